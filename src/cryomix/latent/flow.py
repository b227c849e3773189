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
from scipy.spatial import cKDTree
from torch import Tensor

from cryomix.imaging.gaussians import GaussianModel

FOLLOWED_AT_MOST = 1500
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
        Integrated density at the first step, arbitrary units.
    membership
        For each step, how much of each Gaussian's density (rows) came from each one's at the
        first step (columns), as a share of the former.
    """

    index: Int64[Tensor, "followed"]
    place: Float[Tensor, "steps followed 3"]
    kept: Float[Tensor, "steps followed"]
    mass: Float[Tensor, "followed"]
    membership: Float[Tensor, "steps followed followed"]


def follow_density(models: GaussianModel) -> DensityFlow:
    """Follow the density of a batch of models, one per step of a path.

    Density is taken for lost, or new, rather than moved, beyond half the radius of the molecule
    from one step to the next.
    """
    center = models.center.detach().double().numpy()
    mass = (models.amplitude * models.width**3).detach().double().numpy()
    width = float(models.width.mean())
    index = np.sort(np.argsort(-mass.mean(axis=0), kind="stable")[:FOLLOWED_AT_MOST])
    center, mass = center[:, index], np.maximum(mass[:, index], 1e-9 * max(mass.max(), 1e-30))
    reach = max(0.5 * _radius(center[0], mass[0]), 3 * width)

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
        torch.from_numpy(index),
        torch.from_numpy(np.stack(place)),
        torch.from_numpy(np.stack(kept)),
        torch.from_numpy(mass[0]),
        torch.from_numpy(np.stack(membership)),
    )


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

    Minimises Σ d² · plan + ½ reach² · (density lost + density new), smoothed by an entropy: the
    scaling iteration of Chizat and others (2018) with the total variation as penalty.
    """
    softness = max(2 * width**2, (reach / 10) ** 2)
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
        first = np.clip(mass_start / np.maximum(kernel @ second, 1e-300), 1 / limit, limit)
        second = np.clip(mass_end / np.maximum(turned @ first, 1e-300), 1 / limit, limit)
    return kernel.multiply(first[:, None]).multiply(second[None, :]).tocsr()
