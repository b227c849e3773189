"""What moves between two models, what moves together, and which latent direction moves it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy.linalg import eigh
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
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
class MovingGroup:
    """Neighbouring Gaussians whose density changes together along a path.

    Attributes
    ----------
    inside
        Which Gaussians these are.
    center
        Centre of their mass at each step, Å.
    mass
        Their integrated density at each step, over that of the whole model on average.
    """

    inside: Bool[Tensor, "gaussians"]
    center: Float[Tensor, "steps 3"]
    mass: Float[Tensor, "steps"]

    @property
    def path_length(self) -> float:
        """Length of the way that the centre of mass goes, Å."""
        return float(self.center.diff(dim=0).norm(dim=1).sum())

    @property
    def end_to_end(self) -> float:
        """Distance of the centre of mass at the last step from that at the first, Å."""
        return float((self.center[-1] - self.center[0]).norm())


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


def largest_moving_group(models: GaussianModel) -> MovingGroup:
    """The neighbouring Gaussians whose density changes most along a path.

    Parameters
    ----------
    models
        One model per step of the path.

    Notes
    -----
    A trained model moves density in two ways: a Gaussian moves, or one fades while another further
    on grows. Both count as change: what a Gaussian's density at a step and at the first do not
    share (the L² norm of the difference over that of the density). Gaussians change if they do
    so at least half as much as the most changed 2 % of the mass. They belong together if they
    are within three typical spacings of each other at some step and do not move apart.
    """
    if models.center.ndim != 3 or len(models.center) < 2:
        raise ValueError(f"needs a batch of at least two models, got {tuple(models.center.shape)}")
    center, mass = models.center.double(), _mass(models).double()
    weight = mass.mean(dim=0)
    change = _density_change(center, mass, models.width.double().mean(dim=0))
    changed = change >= 0.5 * _weighted_quantile(change, weight, 0.98)
    # A Gaussian of next to no mass may go anywhere unseen.
    heavy = weight >= 0.1 * weight.median()
    mover = torch.nonzero(changed & heavy).flatten()
    group = _connected(center[:, mover])
    total = torch.zeros(int(group.max()) + 1, dtype=torch.float64)
    total = total.index_add(0, group, (weight * change)[mover])
    inside = torch.zeros(len(models), dtype=torch.bool)
    inside[mover[group == total.argmax()]] = True
    held = mass[:, inside]
    sums = held.sum(dim=1).clamp_min(1e-30)
    middle = (center[:, inside] * held[..., None]).sum(dim=1) / sums[:, None]
    share = held.sum(dim=1) / weight.sum().clamp_min(1e-30)
    return MovingGroup(inside, middle.to(models.center), share.to(models.center))


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


def _density_change(
    center: Float[Tensor, "steps gaussians 3"],
    mass: Float[Tensor, "steps gaussians"],
    width: Float[Tensor, "gaussians"],
) -> Float[Tensor, "gaussians"]:
    """Norm of the difference of each Gaussian from its first step, at most √2 of its largest.

    Two Gaussians of the same σ at distance d share exp(−d² / 4σ²).
    """
    squared = (center - center[0]).square().sum(dim=-1)
    shared = torch.exp(-squared / (4 * width.square()))
    difference = mass.square() + mass[0].square() - 2 * mass * mass[0] * shared
    largest = mass.amax(dim=0).clamp_min(1e-30)
    return difference.clamp_min(0).amax(dim=0).sqrt() / largest


def _weighted_quantile(
    values: Float[Tensor, "gaussians"], weight: Float[Tensor, "gaussians"], share: float
) -> float:
    order = values.argsort()
    reached = weight[order].cumsum(0) >= share * weight.sum()
    return float(values[order][int(reached.double().argmax())])


def _connected(place: Float[Tensor, "steps movers 3"]) -> Int64[Tensor, "movers"]:
    """Label of the connected group of each mover."""
    count = place.shape[1]
    if count == 1:
        return torch.zeros(1, dtype=torch.long)
    way = place - place.mean(dim=0)
    graph = csr_matrix((count, count))
    for points in place.numpy():
        tree = cKDTree(points)
        spacing = float(np.median(tree.query(points, k=2)[0][:, 1]))
        first, second = tree.query_pairs(3 * spacing + 1e-9, output_type="ndarray").T
        apart = (way[:, first] * way[:, second]).sum(dim=(0, 2)).numpy() < 0
        ends = (first[~apart], second[~apart])
        graph = graph + coo_matrix((np.ones(len(ends[0])), ends), shape=(count, count)).tocsr()
    return torch.from_numpy(connected_components(graph, directed=False)[1]).long()
