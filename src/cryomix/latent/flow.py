"""Where the density of a molecule goes along a path, whichever Gaussians carry it.

A trained model moves density in two ways: a Gaussian moves, or one fades while another further on
grows; and Gaussians that lie close to each other trade density without any effect. Displacements
of centres therefore say too little about a motion, and too much about those that hold next to
nothing. Here density is followed from step to step by partial optimal transport: it goes the
shortest ways in all, and only what would have to go too far is taken for lost or new.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from torch import Tensor

from cryomix.imaging.gaussians import GaussianModel

FOLLOWED_AT_MOST = 1200
_ITERATIONS = 150


@dataclass(frozen=True, slots=True)
class DensityFlow:
    """The way of the density that each Gaussian holds at the first step.

    Attributes
    ----------
    index
        Of the Gaussians that were followed: the heaviest, where there are very many.
    place
        Where their density is, on average, at each step, Å.
    kept
        Share of it that was not lost up to each step.
    mass
        Integrated density of the Gaussians at each step, arbitrary units.
    membership
        At each step, how much of each Gaussian's density (rows) came from each one's at the first
        step (columns), as a share of the former.
    """

    index: Int64[Tensor, "followed"]
    place: Float[Tensor, "steps followed 3"]
    kept: Float[Tensor, "steps followed"]
    mass: Float[Tensor, "steps followed"]
    membership: Float[Tensor, "steps followed followed"]

    @property
    def lost(self) -> float:
        """Largest share of the first step's density that is gone at any step."""
        left = (self.kept * self.mass[0]).sum(dim=1) / self.mass[0].sum()
        return float((1 - left).max().clamp_min(0))

    @property
    def new(self) -> float:
        """Largest share of the density of any step that was not there at the first."""
        known = (self.membership.sum(dim=2) * self.mass).sum(dim=1) / self.mass.sum(dim=1)
        return float((1 - known).max().clamp_min(0))


@dataclass(frozen=True, slots=True)
class MovingGroup:
    """Neighbouring density that moves the same way along a path.

    Attributes
    ----------
    share
        How much of each Gaussian's density belongs to it at each step, 0 to 1.
    center
        Centre of its mass at each step, Å.
    mass
        Its density at the first step, over that of the whole model.
    """

    share: Float[Tensor, "steps gaussians"]
    center: Float[Tensor, "steps 3"]
    mass: float

    @property
    def path_length(self) -> float:
        """Length of the way that the centre of mass goes, Å."""
        return float(self.center.diff(dim=0).norm(dim=1).sum())

    @property
    def end_to_end(self) -> float:
        """Distance of the centre of mass at the last step from that at the first, Å."""
        return float((self.center[-1] - self.center[0]).norm())


def follow_density(models: GaussianModel) -> DensityFlow:
    """Follow the density of a batch of models, one per step of a path.

    Density is taken for lost, or new, rather than moved, beyond three quarters of the
    molecule's radius from one step to the next.
    """
    center = models.center.detach().double().numpy()
    mass = (models.amplitude * models.width**3).detach().double().numpy()
    width = float(models.width.mean())
    if center.ndim != 3 or len(center) < 2:
        raise ValueError(f"needs a batch of at least two models, got {center.shape}")
    index = np.sort(np.argsort(-mass.mean(axis=0), kind="stable")[:FOLLOWED_AT_MOST])
    center, mass = center[:, index], np.maximum(mass[:, index], 1e-9 * max(mass.max(), 1e-30))
    reach = max(0.75 * _radius(center[0], mass[0]), 3 * width)

    # Shares of the first step's density (rows) that are in each Gaussian now (columns).
    share = np.eye(len(index))
    place, kept, membership = [center[0]], [np.ones(len(index))], [np.eye(len(index))]
    for step in range(len(center) - 1):
        plan = _transport(center[step], center[step + 1], mass[step], mass[step + 1], width, reach)
        leaving = plan.multiply(1 / mass[step][:, None]).tocsr()
        share = (leaving.T @ share.T).T
        left = share.sum(axis=1)
        kept.append(left)
        place.append(share @ center[step + 1] / np.maximum(left, 1e-12)[:, None])
        membership.append((share * mass[0][:, None] / mass[step + 1]).T)
    return DensityFlow(
        index=torch.from_numpy(index),
        place=torch.from_numpy(np.stack(place)),
        kept=torch.from_numpy(np.stack(kept)),
        mass=torch.from_numpy(mass),
        membership=torch.from_numpy(np.stack(membership).astype(np.float32)),
    )


def largest_moving_group(models: GaussianModel, flow: DensityFlow) -> MovingGroup:
    """The neighbouring density that together moves the most mass the furthest.

    Parameters
    ----------
    models
        One model per step of the path.
    flow
        Of these models, from `follow_density`.

    Notes
    -----
    Density moves if it goes at least half as far from where it starts as the most mobile 2 %
    of the mass. Movers belong together if they start within three typical spacings of each other
    and their ways do not point apart.
    """
    way = flow.place - flow.place[0]
    reach = way.norm(dim=2).amax(dim=0)
    mover = torch.nonzero(reach >= 0.5 * _weighted_quantile(reach, flow.mass[0], 0.98)).flatten()
    group = _connected(flow.place[0, mover], way[:, mover])
    total = torch.zeros(int(group.max()) + 1, dtype=torch.float64)
    total = total.index_add(0, group, (flow.mass[0] * reach)[mover])
    chosen = mover[group == total.argmax()]
    weight = flow.mass[0, chosen] * flow.kept[:, chosen]
    center = (flow.place[:, chosen] * weight[..., None]).sum(dim=1)
    return MovingGroup(
        share=_spread_to_all(models, flow, flow.membership[:, :, chosen].sum(dim=2)),
        center=(center / weight.sum(dim=1, keepdim=True).clamp_min(1e-30)).float(),
        mass=float(flow.mass[0, chosen].sum() / flow.mass[0].sum()),
    )


def _spread_to_all(
    models: GaussianModel, flow: DensityFlow, share: Float[Tensor, "steps followed"]
) -> Float[Tensor, "steps gaussians"]:
    """Gaussians that were not followed have the share of the nearest that was."""
    center = models.center.detach().double().numpy()
    nearest = [cKDTree(place[flow.index.numpy()]).query(place)[1] for place in center]
    rows = [row[torch.from_numpy(near)] for row, near in zip(share, nearest, strict=True)]
    return torch.stack(rows).clamp(0, 1).float()


def _weighted_quantile(
    values: Float[Tensor, "followed"], weight: Float[Tensor, "followed"], share: float
) -> float:
    order = values.argsort()
    reached = weight[order].cumsum(0) >= share * weight.sum()
    return float(values[order][int(reached.double().argmax())])


def _connected(
    place: Float[Tensor, "movers 3"], way: Float[Tensor, "steps movers 3"]
) -> Int64[Tensor, "movers"]:
    """Label of the connected group of each mover."""
    count = len(place)
    if count == 1:
        return torch.zeros(1, dtype=torch.long)
    tree = cKDTree(place.numpy())
    spacing = float(np.median(tree.query(place.numpy(), k=2)[0][:, 1]))
    first, second = tree.query_pairs(3 * spacing + 1e-9, output_type="ndarray").T
    together = ((way[:, first] * way[:, second]).sum(dim=(0, 2)) >= 0).numpy()
    ends = (first[together], second[together])
    graph = csr_matrix((np.ones(len(ends[0])), ends), shape=(count, count))
    return torch.from_numpy(connected_components(graph, directed=False)[1]).long()


def _radius(
    center: Float[np.ndarray, "gaussians 3"], mass: Float[np.ndarray, "gaussians"]
) -> float:
    """Distance from the centre of mass within which 95 % of the mass lies."""
    middle = (center * mass[:, None]).sum(axis=0) / mass.sum()
    distance = np.linalg.norm(center - middle, axis=1)
    order = np.argsort(distance)
    inside = np.cumsum(mass[order]) <= 0.95 * mass.sum()
    return float(distance[order][min(int(inside.sum()), len(order) - 1)])


def _transport(
    start: Float[np.ndarray, "first 3"],
    end: Float[np.ndarray, "second 3"],
    mass_start: Float[np.ndarray, "first"],
    mass_end: Float[np.ndarray, "second"],
    width: float,
    reach: float,
) -> csr_matrix:
    """How much density goes from each Gaussian at the start to each at the end.

    Minimises Σ d² · plan + ½ reach² · (density lost + density new), smoothed by an entropy, by
    the scaling iteration of Chizat and others (Math. Comput. 87, 2018); no Gaussian gives more
    than it has or takes more than it will have.
    """
    softness = max(width**2, (reach / 10) ** 2)
    pairs = cKDTree(start).sparse_distance_matrix(
        cKDTree(end), 1.2 * reach, output_type="coo_matrix"
    )
    kernel = csr_matrix(
        (np.exp(-(pairs.data**2) / softness), (pairs.row, pairs.col)), shape=pairs.shape
    )
    turned = kernel.T.tocsr()
    limit = np.exp(0.5 * reach**2 / softness)
    second = np.ones(len(end))
    for _ in range(_ITERATIONS):
        first = np.minimum(mass_start / np.maximum(kernel @ second, 1e-300), limit)
        second = np.minimum(mass_end / np.maximum(turned @ first, 1e-300), limit)
    return kernel.multiply(first[:, None]).multiply(second[None, :]).tocsr()
