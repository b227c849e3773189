"""Maps of other structures, moved and magnified ones are told from that of the particles."""

import math
from dataclasses import replace

import pytest
import torch

from cryomix.geometry.poses import Poses
from cryomix.imaging.volume import Volume
from cryomix.reconstruction.likeness import compare_with_own, rebuild
from cryomix.reconstruction.relation import (
    LEAST_LIKENESS,
    find_move,
    find_scale,
    magnify,
    move,
    relate,
)
from cryomix.reconstruction.resolution import HalfMaps
from cryomix.simulation import simulate_particles

RESOLUTION = 15.0


@pytest.fixture(scope="module")
def simulation():
    return simulate_particles("mixture", 400, 32, 5.0, 0.2, seed=2)


@pytest.fixture(scope="module")
def other_map():
    return simulate_particles("mixture", 2, 32, 5.0, 1.0, seed=9).consensus


def relation(particles, volume):
    return relate(particles, volume, sample=100, resolution=RESOLUTION)


@pytest.mark.parametrize(("system", "seed"), [("linear", 1), ("cyclic", 2), ("mixture", 3)])
def test_the_map_of_the_particles_is_the_same(system, seed):
    """Whatever moves, and however far: at two levels of noise, and with poses 3° off."""
    for snr, pose_error in ((0.3, 0.0), (0.1, 3.0)):
        found = simulate_particles(system, 400, 32, 5.0, snr, seed=seed, pose_error_deg=pose_error)
        related = relation(found.particles, found.consensus)
        assert related.is_same
        assert related.likeness.share == pytest.approx(1, abs=0.1)
        assert related.agreement.best == related.agreement.given
        assert not related.agreement.is_inverted


def test_a_map_of_another_structure_is_not_the_same(simulation, other_map):
    related = relation(simulation.particles, other_map)
    assert related.is_same is False
    assert related.likeness.share < LEAST_LIKENESS


def test_the_contrast_does_not_make_another_structure(simulation):
    dark = Volume(-simulation.consensus.density, 5.0)
    related = relation(simulation.particles, dark)
    assert related.is_same
    assert related.agreement.is_inverted


def test_a_map_that_was_moved_is_found_where_it_is(simulation):
    by = (15.0, -10.0, 20.0)
    related = relation(simulation.particles, move(simulation.consensus, by))
    assert related.is_same
    assert related.moved == tuple(-part for part in by)
    assert related.agreement.best == related.agreement.given


def test_a_map_of_another_scale_is_measured(simulation):
    related = relation(simulation.particles, magnify(simulation.consensus, 1 / 1.3))
    assert related.is_same
    assert related.scaled == pytest.approx(1.3, rel=0.03)


def test_poses_of_other_rows_give_no_map(simulation):
    poses = simulation.particles.poses
    mixed = replace(simulation.particles, poses=Poses(poses.rotation.roll(1, 0), poses.shift))
    related = relation(mixed, simulation.consensus)
    assert related.is_same is None
    assert not related.agreement.has_rotations


def test_noise_alone_cannot_be_compared(simulation):
    generator = torch.Generator().manual_seed(0)
    first, second = (Volume(torch.randn(32, 32, 32, generator=generator), 5.0) for _ in range(2))
    likeness = compare_with_own(HalfMaps(first, second), simulation.consensus, 10)
    assert math.isnan(likeness.share)


def test_shells_that_were_filtered_away_are_not_compared(simulation):
    """A map of low resolution is no map of another structure."""
    index = torch.arange(400)
    halves = rebuild(simulation.particles, index, RESOLUTION)
    transform = torch.fft.fftn(simulation.consensus.density)
    radius = torch.fft.fftfreq(32) * 32
    radius = (radius[:, None, None] ** 2 + radius[:, None] ** 2 + radius**2).sqrt()
    coarse = Volume(torch.fft.ifftn(transform * (radius < 6.5)).real, 5.0)
    whole = compare_with_own(halves, simulation.consensus, 400)
    part = compare_with_own(halves, coarse, 400)
    assert (part.shells, part.resolution) == (4, pytest.approx(160 / 6))
    assert part.shells < whole.shells
    assert part.share == pytest.approx(1, abs=0.1)


def test_move_and_scale_are_found_without_noise(simulation):
    volume = simulation.consensus
    assert find_move(volume, move(volume, (-5.0, 10.0, 25.0))) == (5.0, -10.0, -25.0)
    assert find_scale(volume, magnify(volume, 0.8)) == pytest.approx(1.25, rel=0.02)
    assert torch.allclose(magnify(volume, 1.0).density, volume.density, atol=1e-5)
