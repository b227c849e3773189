"""Atoms carried from one state of a molecule to others by its density."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from cryomix.geometry.rigid_motion import nearest_rotation
from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.flow import DensityFlow, follow_density
from cryomix.latent.registration import blur, cover, sample_density

_NEIGHBORS = 24  # Gaussians that move an atom; those beyond have next to no weight
_SLACK = 0.25  # Å over the sum of the radii: what is nearer is bonded
_BONDS = 3  # atoms so many bonds apart keep their distance, so that angles and planes stay
_STIFFNESS = 30.0  # of such a pair, over the pull of the Gaussians on an atom
_ROUNDS = 60
_ATOM_WIDTH = 1.0  # Å
_FAINT = 0.1


def carry_atoms(
    position: Float[np.ndarray, "atoms 3"],
    radius: Float[np.ndarray, "atoms"],
    routes: Sequence[GaussianModel],
) -> list[Float[np.ndarray, "steps atoms 3"]]:
    """Where atoms are at each step of some routes, all of which begin where the atoms are.

    Parameters
    ----------
    position
        At the first model of every route, from the box centre, Å.
    radius
        Covalent, Å: says which atoms are bonded.
    routes
        Batches of the same Gaussians in one state after another.

    Returns
    -------
    carried
        For each route the places at all its models, the first among them.

    Notes
    -----
    An atom is pulled to where it would be if it turned and shifted with the density around it. Of
    all placements near there, the one is taken that deforms bonded neighbourhoods least: every
    atom and those within three bonds of it turn as nearly as possible as one (Sorkine and Alexa,
    Symposium on Geometry Processing 2007).
    """
    chain = _Chain(position, bonded_pairs(position, radius))
    carried = []
    for models in routes:
        # Density that is followed is smeared at each step: also that of a molecule at rest.
        still, flow = (
            follow_density(each)
            for each in (models[torch.zeros(len(models.center), dtype=torch.long)], models)
        )
        width = float(models.width.mean())
        places = [
            chain.follow(go_with_density(position, still, flow, step, width))
            for step in range(1, len(models.center))
        ]
        carried.append(np.stack([position, *places]))
    return carried


def go_with_density(
    position: Float[np.ndarray, "places 3"],
    still: DensityFlow,
    flow: DensityFlow,
    step: int,
    width: float,
) -> Float[np.ndarray, "places 3"]:
    """Where each place is at a step if it turns and shifts with the density around it, Å.

    From where that is in `still`, as many steps of the first model, to where it is in `flow`. The
    mass counts that is left of what each Gaussian held, by a kernel of `width`. Of a turn the mean
    way of the density alone would show too little.
    """
    mass = (flow.mass[0] * flow.kept[step]).numpy()
    mass = mass + 1e-9 * mass.max()
    distance, index = _neighbors(flow.place[0].numpy(), position)
    # Counted from the nearest, so that places far from all density go with that.
    weight = mass[index] * np.exp(-0.5 * (distance**2 - distance[:, :1] ** 2) / width**2)
    weight = (weight / weight.sum(axis=1, keepdims=True))[..., None]
    before, after = (each.place[step].numpy()[index] for each in (still, flow))
    middle, target = ((weight * points).sum(axis=1) for points in (before, after))
    spread = np.einsum("pni,pnj->pij", weight * (after - target[:, None]), before - middle[:, None])
    turn = nearest_rotation(torch.from_numpy(spread)).numpy()
    goal: np.ndarray = target + np.einsum("pij,pj->pi", turn, position - middle)
    return goal


def _neighbors(
    center: Float[np.ndarray, "gaussians 3"], position: Float[np.ndarray, "places 3"]
) -> tuple[Float[np.ndarray, "places near"], Int64[np.ndarray, "places near"]]:
    """Distances of the Gaussians nearest to each place, and which those are."""
    distance, index = cKDTree(center).query(position, k=min(_NEIGHBORS, len(center)))
    shape = (len(position), -1)
    return distance.reshape(shape), index.reshape(shape).astype(np.int64)


def bonded_pairs(
    position: Float[np.ndarray, "atoms 3"], radius: Float[np.ndarray, "atoms"]
) -> Int64[np.ndarray, "pairs 2"]:
    """Atoms nearer to each other than the sum of their covalent radii, and a little."""
    reach = 2 * float(radius.max()) + _SLACK
    pairs = cKDTree(position).query_pairs(reach, output_type="ndarray").reshape(-1, 2)
    first, second = pairs.T
    apart = np.linalg.norm(position[first] - position[second], axis=1)
    return pairs[apart < radius[first] + radius[second] + _SLACK].astype(np.int64)


def density_correlation(
    position: Float[np.ndarray, "atoms 3"], mass: Float[np.ndarray, "atoms"], model: GaussianModel
) -> float:
    """Correlation of the density of atoms with that of a model, both blurred.

    Parameters
    ----------
    position, mass
        From the box centre, Å; electrons.
    model
        One state.
    """
    center = torch.from_numpy(position).to(model.center)
    width = torch.full_like(center[:, 0], _ATOM_WIDTH)
    atoms = GaussianModel(center, torch.from_numpy(mass).to(center), width)
    grid = cover(model)
    densities = [sample_density(blur(one), grid).flatten() for one in (atoms, model)]
    if min(float(density.std()) for density in densities) == 0:
        return 0.0
    return float(torch.corrcoef(torch.stack(densities))[0, 1])


def share_on_density(position: Float[np.ndarray, "atoms 3"], model: GaussianModel) -> float:
    """Share of places at which `model` has a tenth of the density that its centres have, or more.

    The median over the centres is meant; places are from the box centre, Å.
    """
    typical = np.median(_density_at(model.center.double().numpy(), model))
    return float((_density_at(position, model) > _FAINT * typical).mean())


def _density_at(
    position: Float[np.ndarray, "places 3"], model: GaussianModel
) -> Float[np.ndarray, "places"]:
    center, width = model.center.double().numpy(), model.width.double().numpy()
    amplitude = model.amplitude.double().numpy()
    distance, index = _neighbors(center, position)
    density: np.ndarray = amplitude[index] * np.exp(-0.5 * (distance / width[index]) ** 2)
    return density.sum(axis=1)


class _Chain:
    """Atoms whose bonded neighbourhoods stay as they are while the whole is pulled elsewhere."""

    def __init__(
        self, position: Float[np.ndarray, "atoms 3"], bonds: Int64[np.ndarray, "bonds 2"]
    ) -> None:
        count = len(position)
        ends = (np.r_[bonds[:, 0], bonds[:, 1]], np.r_[bonds[:, 1], bonds[:, 0]])
        bonded = csr_matrix((np.ones(len(ends[0])), ends), shape=(count, count))
        reached, step = bonded, bonded
        for _ in range(_BONDS - 1):
            step = step @ bonded
            reached = reached + step
        self._first, self._second = (side.astype(np.int64) for side in reached.nonzero())
        apart = self._first != self._second
        self._first, self._second = self._first[apart], self._second[apart]
        self._edge = position[self._first] - position[self._second]
        self._degree = np.bincount(self._first, minlength=count)
        weights = np.full(len(self._first), -2 * _STIFFNESS)
        edges = csr_matrix((weights, (self._first, self._second)), shape=(count, count))
        self._solver = splu((edges + diags(2 * _STIFFNESS * self._degree + 1.0)).tocsc())

    def follow(self, target: Float[np.ndarray, "atoms 3"]) -> Float[np.ndarray, "atoms 3"]:
        """The placement near `target`: in turn the rotations of the neighbourhoods, and places."""
        if not len(self._first):  # as in models of Cα alone
            return target
        place = target
        for _ in range(_ROUNDS):
            way = place[self._first] - place[self._second]
            spread = self._sum(way[:, :, None] * self._edge[:, None, :])
            turn = nearest_rotation(torch.from_numpy(spread)).numpy()
            both = turn[self._first] + turn[self._second]
            wanted = self._sum(np.einsum("eij,ej->ei", both, self._edge))
            place = self._solver.solve(_STIFFNESS * wanted + target)
        return place

    def _sum(self, values: Float[np.ndarray, "edges *rest"]) -> Float[np.ndarray, "atoms *rest"]:
        """Over the edges from each atom."""
        flat = values.reshape(len(values), math.prod(values.shape[1:]))
        columns = [
            np.bincount(self._first, column, minlength=len(self._degree)) for column in flat.T
        ]
        return np.stack(columns, axis=1).reshape(len(self._degree), *values.shape[1:])
