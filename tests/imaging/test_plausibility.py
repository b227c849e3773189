"""Metadata that cannot be right are seen without any image."""

from dataclasses import replace

import pytest
import torch

from cryomix.geometry.poses import Poses, euler_to_rotation
from cryomix.imaging.plausibility import judge_metadata
from cryomix.simulation import simulate_particles


@pytest.fixture(scope="module")
def particles():
    return simulate_particles("linear", 600, 16, 6.0, 0.2, seed=5).particles


def test_ranges_are_those_of_the_particles(particles):
    known = judge_metadata(particles)
    least, median, greatest = known.defocus
    assert 8000 - 300 <= least < median < greatest <= 25000 + 300
    assert (known.overfocused, known.has_one_rotation) == (0, False)
    assert 0 < known.astigmatism <= 600
    # Uniform to three pixels along x and y.
    assert known.shift == pytest.approx(18 * (2 / 3) ** 0.5, rel=0.1)
    assert known.half_sets == (300, 300)
    assert len(known.repeated) == 0


def test_even_views_cover_all_directions_and_one_rotation_hardly_any(particles):
    assert judge_metadata(particles).coverage > 0.98
    same = particles.poses.rotation[:1].expand(600, 3, 3).contiguous()
    known = judge_metadata(replace(particles, poses=Poses(same, particles.poses.shift)))
    assert known.has_one_rotation
    # A cap of 15° and its opposite: 1 − cos 15° of the sphere.
    assert known.coverage == pytest.approx(0.034, abs=0.02)


def test_side_views_miss_the_poles(particles):
    generator = torch.Generator().manual_seed(0)
    euler = torch.rand(600, 3, generator=generator) * 360
    euler[:, 1] = 90
    sides = Poses(euler_to_rotation(euler), particles.poses.shift)
    # All within 15° of the equator: sin 15° of the sphere.
    assert judge_metadata(replace(particles, poses=sides)).coverage == pytest.approx(0.26, abs=0.04)


def test_rows_that_repeat_image_and_pose_are_found(particles):
    same = torch.arange(600)
    same[[5, 9]] = 2
    rotation = particles.poses.rotation.clone()
    shift = particles.poses.shift.clone()
    rotation[5], shift[5] = rotation[2], shift[2]
    twice = replace(particles, poses=Poses(rotation, shift), same_image=same)
    assert judge_metadata(twice).repeated.tolist() == [5]


def test_overfocus_is_counted(particles):
    ctf = particles.ctf
    sign = torch.ones(600)
    sign[:150] = -1
    wrong = replace(ctf, defocus_u=ctf.defocus_u * sign, defocus_v=ctf.defocus_v * sign)
    assert judge_metadata(replace(particles, ctf=wrong)).overfocused == 0.25
