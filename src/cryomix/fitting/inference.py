"""Latents of all particles by a trained model."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from sklearn.cluster import KMeans
from torch import Tensor

from cryomix.fitting.posterior import LatentPosterior, fit_prior, refine_latents
from cryomix.fitting.preparation import PreparedParticles
from cryomix.fitting.trained_model import TrainedModel
from cryomix.processes import positions_here, sum_over_processes, take_from_first

_BATCH = {"cpu": 64, "cuda": 512}
_CANDIDATES = 24
_SAMPLE = 10_000

Report = Callable[[int, int], None]


@torch.no_grad()
def infer_latents(
    model: TrainedModel, prepared: PreparedParticles, steps: int, report: Report
) -> LatentPosterior:
    """The encoder's estimates, refined particle by particle in `steps` Gauss–Newton steps.

    The prior of the refinement is the spread of the estimates themselves; the means of clusters
    of them are where a particle is searched for a second time. In a run of many processes each
    takes its share of the particles, and all get the latents of every particle, on the CPU.
    """
    everyone = torch.arange(len(prepared))
    here = everyone[positions_here(everyone, len(prepared))]
    parts = [part for part in here.split(_BATCH.get(model.device.type, 64)) if len(part)]
    estimate = torch.zeros(len(prepared), model.settings.latent_size)
    for index, batch in zip(parts, prepared.batches(parts), strict=True):
        estimate[index] = model.encoder(batch.gradient).cpu()
    sum_over_processes([estimate])  # each process gives its rows; the others are zero

    prior = fit_prior(estimate).to(model.device)
    candidates = _representatives(estimate)
    take_from_first([candidates])
    candidates = candidates.to(model.device)
    latent, std, score = (
        torch.zeros_like(values) for values in (estimate, estimate, estimate[:, 0])
    )
    for index, batch in zip(parts, prepared.batches(parts), strict=True):
        start = estimate[index].to(model.device)
        found = refine_latents(model, batch.particles, start, prior, steps, candidates=candidates)
        latent[index], std[index] = found.latent.cpu(), found.std.cpu()
        score[index] = found.score.cpu()
        report(int(index[-1] - here[0]) + 1, len(here))
    sum_over_processes([latent, std, score])
    return LatentPosterior(latent, std, score)


def _representatives(
    estimate: Float[Tensor, "particles latent"],
) -> Float[Tensor, "candidates latent"]:
    """Latents that between them are near every particle: means of k-means clusters."""
    every = max(1, len(estimate) // _SAMPLE)
    sample = estimate[::every].numpy()
    means = KMeans(min(_CANDIDATES, len(sample)), n_init=1, random_state=0).fit(sample)
    return torch.from_numpy(means.cluster_centers_).to(estimate)
