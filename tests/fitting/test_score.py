"""Both scores: blind to scale, right in sign, equal to what they say they are."""

import pytest
import torch

from cryomix.fitting.score import make_metric, score_projections
from cryomix.geometry.fourier import FourierGrid
from cryomix.imaging.correlation import ring_correlation
from cryomix.imaging.noise import Spectrum
from cryomix.imaging.particles import read_batch
from cryomix.imaging.projection_reference import project_gaussians_reference

GRID = FourierGrid(24, 2.5)
FLAT_SPECTRUM = Spectrum(torch.ones(13), torch.full((13,), 2.0), torch.ones(13))


@pytest.fixture
def batch(particles):
    return read_batch(particles, torch.arange(5), GRID)


@pytest.fixture
def projection(model, poses):
    return project_gaussians_reference(model, poses, GRID).to(torch.complex64)


@pytest.mark.parametrize("kind", ["snr", "flat"])
def test_the_scale_of_the_projection_does_not_matter(kind, batch, projection):
    metric = make_metric(kind, FLAT_SPECTRUM, GRID, 8.0)
    score = score_projections(projection, batch, metric)
    torch.testing.assert_close(score_projections(7.0 * projection, batch, metric), score)


@pytest.mark.parametrize("kind", ["snr", "flat"])
def test_the_right_particle_scores_best(kind, batch, projection):
    metric = make_metric(kind, FLAT_SPECTRUM, GRID, 8.0)
    table = torch.stack(
        [score_projections(projection.roll(step, 0), batch, metric) for step in range(5)]
    )
    assert (table.argmax(0) == 0).all()


@pytest.mark.parametrize("kind", ["snr", "flat"])
def test_inverted_contrast_scores_below_nothing(kind, batch, projection):
    metric = make_metric(kind, FLAT_SPECTRUM, GRID, 8.0)
    assert (score_projections(-projection, batch, metric) < 0).all()


def test_snr_is_the_log_likelihood_gained_with_the_best_scale(batch, projection):
    """Against a plain sum over the full plane, the scale found by search."""
    metric = make_metric("snr", FLAT_SPECTRUM, GRID, 8.0)
    full_image, full_expected = (
        torch.fft.fft2(torch.fft.irfft2(values, s=(24, 24)))
        for values in (batch.image_ft, projection * batch.transfer)
    )
    y = torch.fft.fftfreq(24) * 24
    ring = torch.hypot(y[:, None], y[None, :]).round()
    band = (ring >= 1) & (ring <= int(60 / 8.0))
    best = torch.full((5,), -torch.inf)
    for scale in torch.linspace(0, 3, 3001):
        residual = (full_image - scale * full_expected).abs().square()
        gained = (full_image.abs().square() - residual) / 2.0  # noise variance
        best = torch.maximum(best, 0.5 * (gained * band).sum((-2, -1)))
    torch.testing.assert_close(
        score_projections(projection, batch, metric), best, rtol=1e-3, atol=1e-3
    )


def test_flat_is_the_mean_ring_correlation_with_flipped_phases(batch, projection):
    metric = make_metric("flat", FLAT_SPECTRUM, GRID, 8.0)
    frc = ring_correlation(projection, batch.image_ft * batch.transfer.sign(), GRID)
    torch.testing.assert_close(score_projections(projection, batch, metric), frc[:, 1:8].mean(-1))
