"""Planted mistakes in poses, contrast and phases are found, and correct sets pass."""

from dataclasses import replace

import pytest
import torch

from cryomix.geometry.fourier import to_fourier, to_real
from cryomix.geometry.poses import Poses
from cryomix.imaging.consistency import SURE, measure_agreement
from cryomix.imaging.ctf import evaluate_ctf
from cryomix.imaging.readings import AS_GIVEN, ROTATIONS, Reading
from cryomix.imaging.volume import Volume
from cryomix.simulation import MemoryStack, simulate_particles


@pytest.fixture(scope="module")
def simulation():
    return simulate_particles("mixture", 200, 32, 6.0, 0.2, seed=5)


def measure(particles, volume):
    return measure_agreement(particles, volume, sample=200, resolution=13.0)


def best_reading(particles, volume):
    return measure(particles, volume).best


def with_poses(particles, rotation, shift):
    return replace(particles, poses=Poses(rotation, shift))


def test_a_correct_set_is_read_as_given(simulation):
    agreement = measure(simulation.particles, simulation.consensus)
    assert agreement.best == agreement.given == Reading()
    assert not agreement.is_inverted
    assert agreement.is_related
    assert agreement.correlation == agreement.given_correlation > 0.1
    # Whatever differs from it in one thing is surely worse, or not told apart.
    assert min(agreement.margins.values()) > -SURE


def test_inverted_contrast_is_found(simulation):
    dark = replace(simulation.particles, images=MemoryStack(-simulation.particles.images.image))
    agreement = measure(dark, simulation.consensus)
    assert agreement.is_inverted
    assert agreement.best == Reading()


def test_opposite_shifts_are_found(simulation):
    poses = simulation.particles.poses
    wrong = with_poses(simulation.particles, poses.rotation, -poses.shift)
    assert best_reading(wrong, simulation.consensus) == Reading(shift=-1.0)


@pytest.mark.parametrize("name", ["transposed", "negated", "exchanged"])
def test_rotations_of_another_convention_are_found(simulation, name):
    """Each of the three is its own inverse."""
    wrong = ROTATIONS[name](simulation.particles.poses)
    wrong = with_poses(simulation.particles, wrong.rotation, wrong.shift)
    assert best_reading(wrong, simulation.consensus) == Reading(rotation=name)


@pytest.mark.parametrize(
    ("axes", "name"),
    [
        ((0,), "mirrored in z"),
        ((1,), "mirrored in y"),
        ((2,), "mirrored in x"),
        ((0, 1, 2), "mirrored through its centre"),
    ],
)
def test_a_mirrored_map_is_found(simulation, axes, name):
    density = simulation.consensus.density
    mirrored = Volume(density.flip(axes).roll((1,) * len(axes), axes), 6.0)
    assert best_reading(simulation.particles, mirrored) == Reading(rotation=name)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda image: image.flip(2).roll(1, 2), "images flipped in x"),
        (lambda image: image.flip(1).roll(1, 1), "images flipped in y"),
        (lambda image: image.mT, "images transposed"),
    ],
)
def test_flipped_images_are_found(simulation, change, name):
    stack = MemoryStack(change(simulation.particles.images.image).contiguous())
    wrong = replace(simulation.particles, images=stack)
    assert best_reading(wrong, simulation.consensus) == Reading(rotation=name)


def test_phases_that_were_flipped_already_are_found(simulation):
    particles = simulation.particles
    transfer = evaluate_ctf(particles.ctf, particles.grid)
    image = to_real(to_fourier(particles.images.image) * transfer.sign())
    flipped = replace(particles, images=MemoryStack(image))
    assert best_reading(flipped, simulation.consensus) == Reading(transfer="absolute")
    told = measure(replace(flipped, has_flipped_phases=True), simulation.consensus)
    assert told.best == told.given == Reading(transfer="absolute")


def test_phases_that_were_not_flipped_though_the_file_says_so_are_found(simulation):
    told = replace(simulation.particles, has_flipped_phases=True)
    assert best_reading(told, simulation.consensus) == Reading(transfer="signed")


@pytest.mark.parametrize("factor", [1.3, 0.8])
def test_a_wrong_pixel_size_is_measured(simulation, factor):
    """Shifts in Å and defocus stay; the pixels and voxels are said to be larger."""
    wrong = replace(simulation.particles, pixel_size=6.0 * factor)
    volume = Volume(simulation.consensus.density, 6.0 * factor)
    agreement = measure_agreement(wrong, volume, sample=200, resolution=13.0 * factor)
    assert agreement.stretch.value == pytest.approx(factor, rel=0.02)
    assert agreement.stretch.low <= agreement.stretch.value <= agreement.stretch.high
    assert agreement.best.shift == pytest.approx(factor, rel=0.02)
    assert agreement.best.defocus == pytest.approx(factor**2, rel=0.04)


@pytest.mark.parametrize("factor", [10.0, 1e4, -1.0, 1.5])
def test_a_defocus_of_another_unit_or_sign_is_measured(simulation, factor):
    ctf = simulation.particles.ctf
    wrong = replace(ctf, defocus_u=ctf.defocus_u / factor, defocus_v=ctf.defocus_v / factor)
    best = best_reading(replace(simulation.particles, ctf=wrong), simulation.consensus)
    assert best.defocus == pytest.approx(factor, rel=0.04)
    assert (best.rotation, best.shift, best.transfer) == (AS_GIVEN, 1.0, "signed")


def test_shifts_in_pixels_are_measured(simulation):
    poses = simulation.particles.poses
    wrong = with_poses(simulation.particles, poses.rotation, poses.shift / 6.0)
    best = best_reading(wrong, simulation.consensus)
    assert best.shift == pytest.approx(6.0, rel=0.1)


def test_two_mistakes_at_once_are_found(simulation):
    poses = simulation.particles.poses
    wrong = with_poses(simulation.particles, poses.rotation.mT.contiguous(), -poses.shift)
    best = best_reading(wrong, simulation.consensus)
    assert best == Reading(rotation="transposed", shift=-1.0)


def test_a_map_of_noise_is_unrelated(simulation):
    noise = torch.randn(32, 32, 32, generator=torch.Generator().manual_seed(1))
    assert not measure(simulation.particles, Volume(noise, 6.0)).is_related


def test_particles_without_shifts_have_no_shift_of_the_wrong_sign(simulation):
    """Three readings of the shift are then one; the given one is kept, and told to be open."""
    poses = simulation.particles.poses
    wrong = with_poses(
        simulation.particles, poses.rotation.mT.contiguous(), torch.zeros_like(poses.shift)
    )
    agreement = measure(wrong, simulation.consensus)
    assert agreement.best.shift == 1.0
    assert agreement.cannot_tell(["opposite", "no shifts"]) == ["opposite", "no shifts"]


def test_a_map_of_mirror_symmetry_has_no_hand_to_tell(simulation):
    density = simulation.consensus.density
    both = Volume(density + density.flip(2).roll(1, 2), 6.0)
    agreement = measure(simulation.particles, both)
    assert agreement.best.rotation == AS_GIVEN
    assert "mirrored in x" in agreement.cannot_tell(agreement.margins)
