"""Noise and signal found in simulated images are those that were put in."""

import pytest
import torch

from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import random_poses
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.noise import estimate_spectrum
from cryomix.imaging.particles import iterate_batches


def single(model):
    return GaussianModel(model.center.float(), model.amplitude.float(), model.width.float())


def test_spectrum_of_images_with_white_noise(model, make_particles):
    grid = FourierGrid(24, 2.5)
    poses = random_poses(300, torch.Generator().manual_seed(0))
    particles = make_particles(single(model), poses, grid, noise=5.0)
    images = particles.images.images
    deviation = images.std(dim=(-2, -1)).mean()
    batches = iterate_batches(particles, grid, torch.arange(300), 50)
    spectrum = estimate_spectrum(single(model), batches, grid)
    # Images are divided by their deviation; a coefficient sums n² pixels of noise.
    expected = 24**2 * (5.0 / deviation) ** 2
    torch.testing.assert_close(spectrum.noise[2:12], torch.full((10,), expected), rtol=0.1, atol=0)
    torch.testing.assert_close(
        spectrum.gain[1:6], torch.full((5,), 1 / deviation), rtol=0.1, atol=0
    )


def test_rings_without_signal_have_no_gain(model, make_particles):
    grid = FourierGrid(24, 2.5)
    poses = random_poses(200, torch.Generator().manual_seed(1))
    nothing = GaussianModel(model.center.float(), 0 * model.amplitude.float(), model.width.float())
    particles = make_particles(nothing, poses, grid, noise=1.0)
    batches = iterate_batches(particles, grid, torch.arange(200), 50)
    spectrum = estimate_spectrum(single(model), batches, grid)
    assert (spectrum.gain[1:] == 0).float().mean() > 0.9


@pytest.mark.parametrize("deviation", [0.0, 0.3])
def test_scales_of_single_images_are_found_to_differ(model, make_particles, deviation):
    grid = FourierGrid(24, 2.5)
    generator = torch.Generator().manual_seed(2)
    poses = random_poses(1500, generator)
    scale = 1 + deviation * torch.randn(1500, 1, generator=generator)
    varied = GaussianModel(
        model.center.float().expand(1500, -1, 3),
        model.amplitude.float() * scale,
        model.width.float().expand(1500, -1),
    )
    noise = 6.0
    particles = make_particles(varied, poses, grid, noise=noise)
    batches = iterate_batches(particles, grid, torch.arange(1500), 50)
    found = float(estimate_spectrum(single(model), batches, grid).scale_variance)
    assert found == pytest.approx(max(deviation, 0.05) ** 2, abs=0.02)
