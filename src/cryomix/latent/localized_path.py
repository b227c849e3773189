"""Where each particle is along a localised motion, and the path of the particles along it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.screw_motion import ScrewMotion

_AT_ONCE = 256
_ENDS = 0.01  # share of the particles left out at either end of a path
_BANDWIDTH = 0.02  # of the length of a path: how far the particles that a point averages spread


@dataclass(frozen=True, slots=True)
class DomainMotion:
    """What was found about one domain.

    Attributes
    ----------
    name
        Of its mask, or its number.
    gaussians
        How many are in it.
    inside, outside
        Root mean square displacement inside and outside the domain per unit of latent along the
        most local direction, at the neutral model, Å.
    share_inside
        Of the squared displacement along the path of the particles.
    rigid
        The motion along that path, as a rotation and a shift.
    """

    name: str
    gaussians: int
    inside: float
    outside: float
    share_inside: float
    rigid: ScrewMotion


def motion_coordinate(
    decode: Callable[[Tensor], GaussianModel],
    latent: Float[Tensor, "particles latent"],
    field: Float[Tensor, "gaussians 3"],
    inside: Bool[Tensor, "gaussians"],
    weight: Float[Tensor, "gaussians"],
) -> Float[Tensor, "particles"]:
    """How far the domain of each particle has gone the way of `field`, Å.

    The domain's displacement from latent 0 is projected on `field`, in the mean over its Gaussians,
    each counted by `weight`; the root mean square of the part along `field` is the coordinate, with
    its sign. For a decoder that were linear it would be the latent along the direction of `field`.
    """
    share = weight[inside] / weight[inside].sum()
    way = field[inside] / (field[inside].square().sum(-1) * share).sum().sqrt().clamp_min(1e-12)
    with torch.no_grad():
        still = decode(torch.zeros_like(latent[:1])).center[0, inside]
        parts = [
            torch.einsum("pnd,nd,n->p", decode(some).center[:, inside] - still, way, share)
            for some in latent.split(_AT_ONCE)
        ]
    return torch.cat(parts)


def mean_path(
    latent: Float[Tensor, "particles latent"],
    coordinate: Float[Tensor, "particles"],
    steps: int,
) -> Float[Tensor, "steps latent"]:
    """Mean latent of the particles at evenly spaced coordinates.

    The real path of a motion, bent as the particles lie; what varies independently of it averages
    out. A hundredth of the particles lie beyond each end.
    """
    ends = torch.quantile(_few(coordinate), torch.tensor([_ENDS, 1 - _ENDS]).to(coordinate))
    points = torch.linspace(0, 1, steps).to(coordinate) * (ends[1] - ends[0]) + ends[0]
    spread = (_BANDWIDTH * (ends[1] - ends[0])).clamp_min(1e-12)
    means = []
    for point in points:
        weight = torch.exp(-0.5 * ((coordinate - point) / spread).square())
        means.append((weight[:, None] * latent).sum(0) / weight.sum().clamp_min(1e-30))
    return torch.stack(means)


def together(
    first: Float[Tensor, "steps latent"], second: Float[Tensor, "steps latent"]
) -> Float[Tensor, "steps latent"]:
    """Two motions at once: their sum. With one of them reversed, their difference."""
    return first + second - (first.mean(0) + second.mean(0)) / 2


def share_inside(
    models: GaussianModel, inside: Bool[Tensor, "gaussians"], weight: Float[Tensor, "gaussians"]
) -> float:
    """Share of the squared displacement along a path that is the domain's."""
    step = models.center.diff(dim=0).square().sum((0, 2)) * weight
    return float(step[inside].sum() / step.sum().clamp_min(1e-30))


def _few(coordinate: Float[Tensor, "particles"]) -> Float[Tensor, "some"]:
    """At most 10⁶ of them, which is what a quantile takes."""
    return coordinate[:: max(1, len(coordinate) // 1_000_000)]
