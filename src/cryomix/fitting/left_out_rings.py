"""Whether poses and latents found from half of the rings explain the other half."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.fitting.pose_prior import PosePrior
from cryomix.fitting.pose_refinement import refine_poses
from cryomix.fitting.posterior import Prior
from cryomix.fitting.score import Metric, score_projections
from cryomix.fitting.trained_model import TrainedModel
from cryomix.imaging.particles import ParticleBatch
from cryomix.imaging.projection import project_gaussians

AS_GIVEN = PosePrior(1e-6, 1e-4)  # rad, Å: too narrow for any pose to move


def split_rings(metric: Metric) -> tuple[Metric, Metric]:
    """The likelihood over the odd rings, and that over the even ones.

    Noise is independent from ring to ring, so that nothing that was fitted to the noise of
    the one helps with the other.
    """
    odd = metric.grid.ring % 2 == 1
    return (
        replace(metric, weight=torch.where(odd, metric.weight, 0.0)),
        replace(metric, weight=torch.where(odd, 0.0, metric.weight)),
    )


@torch.no_grad()
def left_out_scores(
    model: TrainedModel,
    batch: ParticleBatch,
    latent: Float[Tensor, "batch latent"],
    prior: PosePrior,
    latent_prior: Prior,
) -> Float[Tensor, "batch"]:
    """Log-likelihood of the even rings, nats, with pose and latent refined on the odd ones.

    The poses of `batch` are the given ones; with the prior `AS_GIVEN` they stay.
    """
    seen, left_out = split_rings(model.likelihood)
    fit = refine_poses(model, batch, seen, batch.poses, latent, prior, latent_prior)
    projection = project_gaussians(model.decode(fit.latent), fit.poses, left_out.grid)
    return score_projections(projection, batch, left_out)


def surely_better(scores: Float[Tensor, "particles"], others: Float[Tensor, "particles"]) -> bool:
    """Whether `scores` are higher by more than the standard error of the paired difference."""
    difference = (scores - others).double()
    error = difference.std(correction=0) / max(len(difference) - 1, 1) ** 0.5
    return bool(difference.mean() > error)
