"""How far given poses are from the right ones, as the particles themselves tell."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

_ROUNDS = 100  # of expectation maximisation
_LEAST_RAD, _LEAST_SHIFT = 1e-4, 1e-3  # below, a width of 0 is only approached


@dataclass(frozen=True, slots=True)
class PosePrior:
    """Errors of given poses: normal, of the same width along all axes.

    Attributes
    ----------
    rotation_rad
        Standard deviation of the vector that turns a given view into the right one.
    shift
        That of the shift, Å.
    """

    rotation_rad: float
    shift: float

    def precision(self, like: Tensor) -> Float[Tensor, "5"]:
        """One over the variance of the three components of the turn and the two of the shift."""
        variance = [self.rotation_rad**2] * 3 + [self.shift**2] * 2
        return 1 / torch.tensor(variance).to(like)


def fit_pose_prior(
    information: Float[Tensor, "particles 5 5"],
    pull: Float[Tensor, "particles 5"],
    start: PosePrior,
) -> PosePrior:
    """Widths under which the images are most probable (empirical Bayes).

    By expectation maximisation on the parabola that each image's log-likelihood is near its
    maximum: each particle adds the square of its correction and the variance of its error, so
    that corrections that are held back do not make given poses seem better than they are.

    Parameters
    ----------
    information
        Curvature of each particle's log-likelihood in its correction.
    pull
        `information` times where that log-likelihood has its maximum.
    start
        Where the search begins; wide is safe.
    """
    information, pull = information.double(), pull.double()
    prior = start
    for _ in range(_ROUNDS):
        covariance = torch.linalg.inv(information + torch.diag(prior.precision(information)))
        mean = (covariance @ pull[..., None])[..., 0]
        square = (mean.square() + covariance.diagonal(dim1=1, dim2=2)).mean(0)
        prior = PosePrior(
            max(float(square[:3].mean()) ** 0.5, _LEAST_RAD),
            max(float(square[3:].mean()) ** 0.5, _LEAST_SHIFT),
        )
    return prior
