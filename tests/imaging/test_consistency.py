"""Planted mistakes in poses, contrast and phases are found, and correct sets pass."""

from dataclasses import replace

import pytest
import torch

from cryomix.geometry.fourier import to_fourier, to_real
from cryomix.geometry.poses import Poses
from cryomix.imaging.consistency import measure_agreement
from cryomix.imaging.ctf import evaluate_ctf
from cryomix.imaging.volume import Volume
from cryomix.simulation import MemoryStack, simulate_particles


@pytest.fixture(scope="module")
def simulation():
    return simulate_particles("mixture", 200, 32, 6.0, 0.2, seed=5)


def best_reading(particles, volume):
    return measure_agreement(particles, volume, sample=200, resolution=13.0).best


def with_poses(particles, rotation, shift):
    return replace(particles, poses=Poses(rotation, shift))


def test_a_correct_set_is_read_as_given(simulation):
    agreement = measure_agreement(
        simulation.particles, simulation.consensus, sample=200, resolution=13.0
    )
    best = agreement.best
    assert best is agreement.given
    assert not best.inverted
    assert agreement.is_related
    assert best.mean > 0.1


def test_inverted_contrast_is_found(simulation):
    dark = replace(simulation.particles, images=MemoryStack(-simulation.particles.images.image))
    best = best_reading(dark, simulation.consensus)
    assert best.inverted
    assert (best.rotation, best.shift, best.phases) == ("as given",) * 3


def test_opposite_shifts_are_found(simulation):
    poses = simulation.particles.poses
    wrong = with_poses(simulation.particles, poses.rotation, -poses.shift)
    best = best_reading(wrong, simulation.consensus)
    assert (best.rotation, best.shift, best.phases) == ("as given", "opposite", "as given")


def test_transposed_rotations_are_found(simulation):
    poses = simulation.particles.poses
    wrong = with_poses(simulation.particles, poses.rotation.mT.contiguous(), poses.shift)
    best = best_reading(wrong, simulation.consensus)
    assert (best.rotation, best.shift, best.phases) == ("transposed", "as given", "as given")


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_mirrored_map_is_found(simulation, axes):
    density = simulation.consensus.density
    mirrored = Volume(density.flip(axes).roll((1,) * len(axes), axes), 6.0)
    assert best_reading(simulation.particles, mirrored).rotation == "mirrored"


def test_phases_that_were_flipped_already_are_found(simulation):
    particles = simulation.particles
    transfer = evaluate_ctf(particles.ctf, particles.grid)
    image = to_real(to_fourier(particles.images.image) * transfer.sign())
    flipped = replace(particles, images=MemoryStack(image))
    best = best_reading(flipped, simulation.consensus)
    assert (best.rotation, best.shift, best.phases) == ("as given", "as given", "other")
    told = replace(flipped, has_flipped_phases=True)
    assert best_reading(told, simulation.consensus).phases == "as given"


def test_two_mistakes_at_once_are_found(simulation):
    poses = simulation.particles.poses
    wrong = with_poses(simulation.particles, poses.rotation.mT.contiguous(), -poses.shift)
    best = best_reading(wrong, simulation.consensus)
    assert (best.rotation, best.shift) == ("transposed", "opposite")


def test_a_map_of_something_else_is_unrelated(simulation):
    noise = torch.randn(32, 32, 32, generator=torch.Generator().manual_seed(1))
    agreement = measure_agreement(
        simulation.particles, Volume(noise, 6.0), sample=200, resolution=13.0
    )
    assert not agreement.is_related


def test_particles_without_shifts_have_no_shift_of_the_wrong_sign(simulation):
    """Three readings of the shift are then one; the given one is kept."""
    poses = simulation.particles.poses
    wrong = with_poses(
        simulation.particles, poses.rotation.mT.contiguous(), torch.zeros_like(poses.shift)
    )
    best = best_reading(wrong, simulation.consensus)
    assert best.shift == "as given"
