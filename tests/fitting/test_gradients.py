"""The encoder's input is the gradient that finite differences give."""

import torch

from cryomix.fitting.gradients import neutral_gradient
from cryomix.fitting.score import score_projections
from cryomix.fitting.units import to_physical_units
from cryomix.imaging.particles import read_batch
from cryomix.imaging.projection import project_gaussians


def test_gradient_equals_finite_differences(arm, untrained):
    batch = read_batch(arm.particles, torch.arange(6), untrained.metric.grid)
    gradient, score = neutral_gradient(untrained.decoder, batch, untrained.metric)
    length, base = untrained.settings.grid.box_length, untrained.settings.base_width

    def score_at(logit):
        model = to_physical_units(logit.sigmoid(), length, base)
        projection = project_gaussians(model, batch.poses, untrained.metric.grid)
        return score_projections(projection, batch, untrained.metric)

    torch.testing.assert_close(score_at(untrained.decoder.logit), score, rtol=1e-4, atol=1e-3)
    for gaussian, parameter in [(0, 0), (2, 1), (5, 2), (3, 3), (4, 4)]:
        step = torch.zeros_like(untrained.decoder.logit)
        step[gaussian, parameter] = 1e-2
        up, down = (score_at(untrained.decoder.logit + sign * step) for sign in (1, -1))
        expected = gradient[:, gaussian, parameter]
        torch.testing.assert_close((up - down) / 2e-2, expected, rtol=0.02, atol=0.1)


def test_a_particle_has_the_same_gradient_in_any_batch(arm, untrained):
    whole = read_batch(arm.particles, torch.arange(10), untrained.metric.grid)
    one = read_batch(arm.particles, torch.tensor([7]), untrained.metric.grid)
    together, _ = neutral_gradient(untrained.decoder, whole, untrained.metric)
    alone, _ = neutral_gradient(untrained.decoder, one, untrained.metric)
    scale = together.abs().amax()
    torch.testing.assert_close(together[7:8] / scale, alone / scale, rtol=1e-4, atol=1e-5)
