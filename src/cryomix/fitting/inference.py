"""Latents of all particles by a trained model."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from sklearn.cluster import KMeans
from torch import Tensor

from cryomix.fitting.posterior import LatentPosterior, fit_prior, refine_latents
from cryomix.fitting.preparation import PreparedParticles
from cryomix.fitting.trained_model import TrainedModel

_BATCH = 64
_CANDIDATES = 24
_SAMPLE = 10_000


@torch.no_grad()
def infer_latents(
    model: TrainedModel,
    prepared: PreparedParticles,
    steps: int,
    report: Callable[[int, int], None],
) -> LatentPosterior:
    """The encoder's estimates, refined particle by particle in `steps` Gauss–Newton steps.

    The prior of the refinement is the spread of the estimates themselves; the means of clusters
    of them are where a particle is searched for a second time.
    """
    parts = torch.arange(len(prepared)).split(_BATCH)
    estimate = torch.cat([model.encoder(prepared.batch(index).gradient) for index in parts])
    prior = fit_prior(estimate)
    candidates = _representatives(estimate)
    found = []
    for index in parts:
        batch = prepared.batch(index).particles
        first = estimate[index]
        found.append(refine_latents(model, batch, first, prior, steps, candidates=candidates))
        report(int(index[-1]) + 1, len(prepared))
    return LatentPosterior(
        latent=torch.cat([part.latent for part in found]),
        std=torch.cat([part.std for part in found]),
        score=torch.cat([part.score for part in found]),
    )


def _representatives(
    estimate: Float[Tensor, "particles latent"],
) -> Float[Tensor, "candidates latent"]:
    """Latents that between them are near every particle: means of k-means clusters."""
    every = max(1, len(estimate) // _SAMPLE)
    sample = estimate[::every].numpy()
    means = KMeans(min(_CANDIDATES, len(sample)), n_init=1, random_state=0).fit(sample)
    return torch.from_numpy(means.cluster_centers_).to(estimate)
