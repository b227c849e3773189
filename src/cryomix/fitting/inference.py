"""Latents of all particles by a trained model."""

from collections.abc import Callable

import torch

from cryomix.fitting.posterior import LatentPosterior, fit_prior, refine_latents
from cryomix.fitting.preparation import PreparedParticles
from cryomix.fitting.trained_model import TrainedModel

_BATCH = 64


@torch.no_grad()
def infer_latents(
    model: TrainedModel,
    prepared: PreparedParticles,
    steps: int,
    report: Callable[[int, int], None],
) -> LatentPosterior:
    """The encoder's estimates, refined particle by particle in `steps` Gauss–Newton steps.

    The prior of the refinement is the spread of the estimates themselves.
    """
    parts = torch.arange(len(prepared)).split(_BATCH)
    estimate = torch.cat([model.encoder(prepared.batch(index).gradient) for index in parts])
    prior = fit_prior(estimate)
    found = []
    for index in parts:
        batch = prepared.batch(index).particles
        found.append(refine_latents(model, batch, estimate[index], prior, steps))
        report(int(index[-1]) + 1, len(prepared))
    return LatentPosterior(
        latent=torch.cat([part.latent for part in found]),
        std=torch.cat([part.std for part in found]),
        score=torch.cat([part.score for part in found]),
    )
