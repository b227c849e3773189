"""How much images tell of parameters, from how what is expected of them changes with these."""

import torch
from jaxtyping import Float
from torch import Tensor


def likelihood_curvature(
    image: Float[Tensor, "batch numbers"],
    expected: Float[Tensor, "batch numbers"],
    jacobian: Float[Tensor, "batch parameters numbers"],
    variance: Float[Tensor, ""],
) -> tuple[Float[Tensor, "batch parameters parameters"], Float[Tensor, "batch parameters"]]:
    """Information matrix (Gauss–Newton) and slope of the log-likelihood, in nats.

    Parameters
    ----------
    image, expected
        Whitened, as real vectors.
    jacobian
        Change of `expected` with each parameter.
    variance
        Of the scales of single images about 1; the scale is integrated out, as in
        `log_likelihood`.
    """
    cross = torch.linalg.vecdot(image, expected)
    power = torch.linalg.vecdot(expected, expected)
    # Mean and variance of the scale that this image has.
    scale = ((1 + variance * cross) / (1 + variance * power)).clamp_min(0)
    uncertain = variance / (1 + variance * power)
    toward = torch.einsum("bzk,bk->bz", jacobian, image)
    along = torch.einsum("bzk,bk->bz", jacobian, expected)
    # What a change of scale explains tells parameters apart less.
    squared = jacobian @ jacobian.mT - uncertain[:, None, None] * (
        along[:, :, None] * along[:, None, :]
    )
    information = scale[:, None, None].square() * squared
    return information, scale[:, None] * toward - (scale.square() + uncertain)[:, None] * along
