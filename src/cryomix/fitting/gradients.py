"""The encoder's input: how each particle would have the neutral model changed."""

import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.fitting.networks import Decoder
from cryomix.fitting.score import Metric, score_projections
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.particles import ParticleBatch
from cryomix.imaging.projection import project_gaussians


def neutral_gradient(
    decoder: Decoder, batch: ParticleBatch, metric: Metric
) -> tuple[Float[Tensor, "batch gaussians 5"], Float[Tensor, "batch"]]:
    """Gradient of each particle's score with respect to the neutral model; the score itself.

    In the model's own frame, hence free of pose, and in network units (logits), so that the
    five parameters compare (paper, Methods).
    """
    neutral = decoder.neutral
    shape = (len(batch), len(neutral))
    leaves = [
        neutral.center.expand(*shape, 3).clone().requires_grad_(),
        neutral.amplitude.expand(shape).clone().requires_grad_(),
        neutral.width.expand(shape).clone().requires_grad_(),
    ]
    with torch.enable_grad():
        projection = project_gaussians(GaussianModel(*leaves), batch.poses, metric.grid)
        score = score_projections(projection, batch, metric)
        center, amplitude, width = torch.autograd.grad(score.sum(), leaves)
    gradient = torch.cat([center, amplitude[..., None], width[..., None]], dim=-1)
    unit = decoder.logit.sigmoid()
    return gradient * (unit * (1 - unit) * decoder.unit), score.detach()
