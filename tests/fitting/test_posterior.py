"""Refined latents explain their images better, and know how well they are determined."""

from dataclasses import replace

import pytest
import torch

from cryomix.fitting.heterogeneity import build_model, train
from cryomix.fitting.posterior import (
    _curvature,
    _look,
    _Task,
    fit_prior,
    judge_representatives,
    refine_latents,
)
from cryomix.fitting.preparation import PreparedParticles
from cryomix.fitting.representatives import Representatives, find_representatives


@pytest.fixture
def trained(arm, options):
    options = replace(options, epochs=10, hidden=64)
    model = build_model(arm.particles, arm.neutral, 3.0, 10.0, options)
    prepared = PreparedParticles(arm.particles, model.decoder, model.metric, memory_bytes=1e9)
    train(model, prepared, options, state=None, save=lambda _: None, report=lambda *_: None)
    return model, prepared.batch(torch.arange(len(prepared)))


def test_refinement_raises_the_score_and_keeps_the_order(arm, trained):
    model, batch = trained
    first = model.encode(batch.particles)
    prior = fit_prior(first)
    start = refine_latents(model, batch.particles, first, prior, 0)
    end = refine_latents(model, batch.particles, first, prior, 3)
    assert torch.equal(start.latent, first)
    assert end.score.mean() > start.score.mean()
    correlation = torch.corrcoef(torch.stack([end.latent[:, 0], arm.coordinate]))[0, 1].abs()
    assert correlation > 0.85


def test_particles_seen_along_the_motion_are_the_uncertain_ones(arm, trained):
    """The arm moves along x: a beam along x cannot see it."""
    model, batch = trained
    latent = model.encode(batch.particles)
    std = refine_latents(model, batch.particles, latent, fit_prior(latent), 2).std[:, 0]
    along = arm.particles.poses.rotation[:, 2, 0].abs()
    assert (std > 0).all()
    assert std[along > 0.95].median() > 2 * std[along < 0.5].median()


def test_a_second_search_saves_latents_that_start_on_the_wrong_side(arm, trained):
    """Started at the mirrored latent, a few steps often end on the wrong hill."""
    model, batch = trained
    first = model.encode(batch.particles)
    prior = fit_prior(first)
    low, high = first.quantile(0.02), first.quantile(0.98)
    latent = torch.linspace(float(low), float(high), 12)[:, None]
    some = Representatives(latent, torch.full((12,), 1 / 12), torch.tensor(1e6))
    alone = refine_latents(model, batch.particles, -first, prior, 2)
    candidates = (some, judge_representatives(model, batch.particles, some))
    helped = refine_latents(model, batch.particles, -first, prior, 2, candidates=candidates)
    assert helped.score.mean() > alone.score.mean()
    together = torch.stack([helped.latent[:, 0], arm.coordinate])
    apart = torch.stack([alone.latent[:, 0], arm.coordinate])
    assert torch.corrcoef(together)[0, 1].abs() > torch.corrcoef(apart)[0, 1].abs()


def test_the_slope_is_that_of_the_likelihood(arm, trained):
    """Against differences of the log posterior along the latent axis."""
    model, batch = trained
    few = batch.particles[torch.arange(6)]
    task = _Task(model, few, fit_prior(model.encode(batch.particles)))
    latent = torch.linspace(-0.4, 0.4, 6)[:, None]
    _, slope = _curvature(task, _look(task, latent))
    step = 0.01
    above, below = (_look(task, latent + sign * step).log_posterior for sign in (1, -1))
    expected = (above - below) / (2 * step)
    torch.testing.assert_close(slope[:, 0], expected, rtol=0.1, atol=0.1 * float(expected.std()))


def test_views_along_the_motion_are_told_to_see_nothing(arm, trained):
    model, batch = trained
    first = model.encode(batch.particles)
    some = find_representatives(first)
    candidates = (some, judge_representatives(model, batch.particles, some))
    prior = fit_prior(first)
    found = refine_latents(model, batch.particles, first, prior, 2, candidates=candidates)
    along = arm.particles.poses.rotation[:, 2, 0].abs()
    seen = found.information[along < 0.5].median()
    assert found.information[along > 0.97].median() < 0.6 * seen
    assert torch.equal(found.informative, found.information >= 1)
    unasked = refine_latents(model, batch.particles, first, prior, 0)
    assert bool(unasked.informative.all())


def test_an_image_that_says_nothing_leaves_the_spread_of_all(arm, trained):
    """Blank images: the error is that of a particle drawn from all latents."""
    model, batch = trained
    first = model.encode(batch.particles)
    blank = replace(batch.particles, image_ft=0 * batch.particles.image_ft)
    prior = fit_prior(first)
    found = refine_latents(model, blank, first.mean(0).expand_as(first), prior, 0)
    information = 1 / found.covariance[:, 0, 0] - 1 / first.var()
    assert found.std.max() <= 1.001 * first.std()
    assert (information > -1e-3 / first.var()).all()
