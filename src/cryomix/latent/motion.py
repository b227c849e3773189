"""What moves between two models, and which latent directions move one domain alone."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.linalg import eigh
from torch import Tensor

from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.reduction import with_fixed_signs


@dataclass(frozen=True, slots=True)
class Motion:
    """From one model to another, Gaussian by Gaussian.

    Attributes
    ----------
    displacement
        Å, end minus start.
    mass_change
        Integrated density at the end over that at the start, minus 1: −1 where density is lost.
    """

    displacement: Float[Tensor, "gaussians 3"]
    mass_change: Float[Tensor, "gaussians"]


@dataclass(frozen=True, slots=True)
class LocalizedMotions:
    """Latent directions ordered by how much more they move a domain than all else.

    Attributes
    ----------
    direction
        Rows are unit vectors, strongest first.
    inside, outside
        Root mean square displacement per unit of latent inside and outside the domain, Å.
    """

    direction: Float[Tensor, "directions latent"]
    inside: Float[Tensor, "directions"]
    outside: Float[Tensor, "directions"]


def decode_motion(start: GaussianModel, end: GaussianModel) -> Motion:
    """What moves, appears or disappears from `start` to `end`, two states of one model."""
    before, after = (_mass(model) for model in (start, end))
    floor = 1e-6 * before.max().clamp_min(torch.finfo(before.dtype).tiny)
    return Motion(end.center - start.center, after / before.clamp_min(floor) - 1)


def displacement_along(models: GaussianModel) -> Float[Tensor, "steps"]:
    """Root mean square displacement of the Gaussians from each model to the next, summed up, Å.

    Weighted by their mass, as the root mean square deviation of atoms is. Density that fades in one
    place and grows in another counts for nothing.
    """
    mass = _mass(models).mean(dim=0)
    square = (models.center.diff(dim=0).square().sum(dim=2) * mass).sum(dim=1)
    step = (square / mass.sum().clamp_min(1e-30)).sqrt()
    return torch.cat([step.new_zeros(1), step.cumsum(0)])


def center_jacobian(
    decode: Callable[[Tensor], GaussianModel],
    origin: Float[Tensor, "latent"],
    step: float = 0.05,
) -> Float[Tensor, "gaussians 3 latent"]:
    """How the centres move per unit of each latent at `origin`, Å; central differences.

    Parameters
    ----------
    decode
        Takes (B, Z) latents to B models.
    origin
        Where; the neutral structure is at 0.
    step
        In latent units; a fraction of the spread of the latents.
    """
    offset = step * torch.eye(len(origin)).to(origin)
    with torch.no_grad():
        center = decode(torch.cat([origin + offset, origin - offset])).center
    ahead, behind = center.chunk(2)
    return ((ahead - behind) / (2 * step)).permute(1, 2, 0)


def localized_directions(
    jacobian: Float[Tensor, "gaussians 3 latent"],
    inside: Bool[Tensor, "gaussians"],
    weight: Float[Tensor, "gaussians"],
) -> LocalizedMotions:
    """Latent directions that move most inside a domain and least outside it.

    Parameters
    ----------
    jacobian
        Of the centres, as from `center_jacobian`.
    inside
        Which Gaussians are in the domain: some, not all.
    weight
        Of each Gaussian, such as its amplitude.

    Notes
    -----
    The directions v maximise vᵀAv / vᵀBv, A and B being the mean of JᵀJ inside and outside. A
    thousandth of the mean eigenvalue of A + B is added to B, so that a direction that moves
    nothing at all is not taken for a local one.
    """
    if not bool(inside.any()) or bool(inside.all()):
        raise ValueError(f"{int(inside.sum())} of {len(inside)} Gaussians are in the domain")
    within, beyond = (_mean_square(jacobian, weight * part) for part in (inside, ~inside))
    size = len(within)
    floor = 1e-3 * max(float(np.trace(within + beyond)) / size, 1e-30)
    _, vectors = eigh(within, beyond + floor * np.eye(size))
    rows = vectors.T[::-1] / np.linalg.norm(vectors.T[::-1], axis=1, keepdims=True)
    rows = with_fixed_signs(torch.from_numpy(rows.copy())).numpy()

    def displacement(matrix: Float[np.ndarray, "latent latent"]) -> Tensor:
        squared = np.einsum("iz,zy,iy->i", rows, matrix, rows)
        return torch.from_numpy(np.sqrt(np.maximum(squared, 0))).to(jacobian)

    return LocalizedMotions(
        torch.from_numpy(rows).to(jacobian), displacement(within), displacement(beyond)
    )


def _mass(model: GaussianModel) -> Float[Tensor, "*batch gaussians"]:
    return model.amplitude * model.width**3


def _mean_square(
    jacobian: Float[Tensor, "gaussians 3 latent"], weight: Float[Tensor, "gaussians"]
) -> Float[np.ndarray, "latent latent"]:
    values = jacobian.double()
    total = weight.double().sum().clamp_min(1e-30)
    matrix: np.ndarray = torch.einsum(
        "n,ndz,ndy->zy", weight.double() / total, values, values
    ).numpy()
    return matrix
