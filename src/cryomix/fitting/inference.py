"""Latents of all particles by a trained model."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from cryomix.fitting.posterior import (
    LatentPosterior,
    fit_prior,
    judge_representatives,
    refine_latents,
)
from cryomix.fitting.preparation import PreparedParticles
from cryomix.fitting.representatives import Representatives, find_representatives, populate
from cryomix.fitting.trained_model import TrainedModel
from cryomix.processes import positions_here, sum_over_processes, take_from_first

_BATCH = {"cpu": 64, "cuda": 512}

Report = Callable[[int, int], None]


@torch.no_grad()
def infer_latents(
    model: TrainedModel, prepared: PreparedParticles, steps: int, report: Report
) -> LatentPosterior:
    """The encoder's estimates, refined particle by particle in `steps` Gauss–Newton steps.

    The prior of the refinement is the spread of the estimates themselves; the means of clusters
    of them, populated as all images say, are where a particle is searched for a second time.
    Without steps it is the estimates. In a run of many processes each takes its share of the
    particles, and all get the latents of every particle, on the CPU.
    """
    everyone = torch.arange(len(prepared))
    here = everyone[positions_here(everyone, len(prepared))]
    parts = [part for part in here.split(_BATCH.get(model.device.type, 64)) if len(part)]
    estimate = torch.zeros(len(prepared), model.settings.latent_size)
    for index, batch in zip(parts, prepared.batches(parts), strict=True):
        estimate[index] = model.encoder(batch.gradient).cpu()
    sum_over_processes([estimate])  # each process gives its rows; the others are zero

    prior = fit_prior(estimate).to(model.device)
    judged = None
    if steps > 0:
        judged = _judge(model, prepared, parts, find_representatives(estimate))
    size = model.settings.latent_size
    latent, covariance = torch.zeros_like(estimate), torch.zeros(len(estimate), size, size)
    score, information = torch.zeros(len(estimate)), torch.zeros(len(estimate))
    for index, batch in zip(parts, prepared.batches(parts), strict=True):
        start = estimate[index].to(model.device)
        candidates = judged and (judged[0], judged[1][index].to(model.device))
        found = refine_latents(model, batch.particles, start, prior, steps, candidates=candidates)
        latent[index], covariance[index] = found.latent.cpu(), found.covariance.cpu()
        score[index], information[index] = found.score.cpu(), found.information.cpu()
        report(int(index[-1] - here[0]) + 1, len(here))
    sum_over_processes([latent, covariance, score, information])
    return LatentPosterior(latent, covariance, score, information)


def _judge(
    model: TrainedModel,
    prepared: PreparedParticles,
    parts: list[Int64[Tensor, "_"]],
    representatives: Representatives,
) -> tuple[Representatives, Float[Tensor, "particles representatives"]]:
    """How likely each representative is for every image, and how many particles are at each."""
    take_from_first(representatives.tensors())
    representatives = representatives.to(model.device)
    likelihood = torch.zeros(len(prepared), len(representatives.latent))
    for index, batch in zip(parts, prepared.batches(parts), strict=True):
        judged = judge_representatives(model, batch.particles, representatives)
        likelihood[index] = judged.cpu()
    sum_over_processes([likelihood])
    populated = populate(representatives, likelihood.to(model.device))
    return populated, likelihood
