"""Both scores: right in scale and sign, equal to what they say they are."""

import math

import pytest
import torch

from cryomix.fitting.score import log_likelihood, make_metric, score_projections
from cryomix.geometry.fourier import FourierGrid
from cryomix.imaging.correlation import ring_correlation
from cryomix.imaging.noise import Spectrum
from cryomix.imaging.particles import read_batch
from cryomix.imaging.projection_reference import project_gaussians_reference

GRID = FourierGrid(24, 2.5)


def white(scale_variance):
    ones = torch.ones(13)
    return Spectrum(ones, 2.0 * ones, ones, torch.tensor(scale_variance))


FLAT_SPECTRUM = white(0.04)


@pytest.fixture
def batch(particles):
    return read_batch(particles, torch.arange(5), GRID)


@pytest.fixture
def projection(model, poses):
    return project_gaussians_reference(model, poses, GRID).to(torch.complex64)


def test_flat_does_not_see_the_scale_of_the_projection(batch, projection):
    metric = make_metric("flat", FLAT_SPECTRUM, GRID, 8.0)
    score = score_projections(projection, batch, metric)
    torch.testing.assert_close(score_projections(7.0 * projection, batch, metric), score)


def test_snr_knows_the_scale_as_well_as_the_images_agree_on_it(batch, projection):
    """Images are of the projections themselves: any other scale is worse, if scales are alike."""
    projection = projection * (batch.image_ft / (projection * batch.transfer)).abs().nanmedian()
    losses = []
    for variance in (0.0025, 0.3):
        metric = make_metric("snr", white(variance), GRID, 8.0)
        right, double = (score_projections(f * projection, batch, metric) for f in (1.0, 2.0))
        losses.append(right - double)
    assert (losses[0] > losses[1]).all()
    assert (losses[1] > 0).all()


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


@pytest.mark.parametrize("variance", [0.01, 0.25])
def test_snr_is_the_log_likelihood_gained_over_all_scales(batch, projection, variance):
    """Against a plain sum over the full plane, and a plain sum over scales."""
    metric = make_metric("snr", white(variance), GRID, 8.0)
    full_image, full_expected = (
        torch.fft.fft2(torch.fft.irfft2(values, s=(24, 24)))
        for values in (batch.image_ft, projection * batch.transfer)
    )
    y = torch.fft.fftfreq(24) * 24
    ring = torch.hypot(y[:, None], y[None, :]).round()
    band = (ring >= 1) & (ring <= int(60 / 8.0))
    scales = torch.linspace(-2, 4, 6001)
    gains = []
    for scale in scales:
        residual = (full_image - scale * full_expected).abs().square()
        gained = (full_image.abs().square() - residual) / 2.0  # noise variance
        gains.append(0.5 * (gained * band).sum((-2, -1)))
    prior = torch.distributions.Normal(1.0, math.sqrt(variance)).log_prob(scales)
    expected = (torch.stack(gains) + prior[:, None]).double().logsumexp(0) + math.log(0.001)
    torch.testing.assert_close(
        score_projections(projection, batch, metric), expected.float(), rtol=1e-3, atol=1e-3
    )


def test_a_known_scale_and_an_unknown_one_are_limits():
    cross, power = torch.tensor([8.0, 3.0]), torch.tensor([10.0, 12.0])
    known = log_likelihood(cross, power, torch.tensor(0.0))
    torch.testing.assert_close(known, cross - power / 2)
    unknown = log_likelihood(cross, power, torch.tensor(1e6)) + 0.5 * (1e6 * power).log()
    torch.testing.assert_close(unknown, cross.square() / power / 2, rtol=1e-4, atol=1e-4)


def test_flat_is_the_mean_ring_correlation_with_flipped_phases(batch, projection):
    metric = make_metric("flat", FLAT_SPECTRUM, GRID, 8.0)
    frc = ring_correlation(projection, batch.image_ft * batch.transfer.sign(), GRID)
    torch.testing.assert_close(score_projections(projection, batch, metric), frc[:, 1:8].mean(-1))
