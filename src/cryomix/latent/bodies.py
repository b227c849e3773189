"""Which parts of a molecule move as one, and how each does from state to state.

A trained model moves density in two ways: a Gaussian moves, or one fades while another further on
grows. Displacements of centres therefore do not tell how far a domain went. Here the Gaussians of
one state are taken for rigid bodies, and the density of every other state says where each body is.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy.ndimage import map_coordinates
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from scipy.spatial import cKDTree
from torch import Tensor

from cryomix.geometry.rigid_motion import RigidMotion
from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.registration import (
    CoarseGrid,
    blur,
    centers_of_mass,
    cover,
    register_parts,
    sample_density,
)

MOST_BODIES = 6
NEIGHBORHOOD = 12.0  # Å: Gaussians so near to one another are judged together
POORLY_FOUND = 0.85
LEAST_MASS = 0.02  # of the model's, for a body
LEAST_GAIN = 0.05  # of density found again, for a body


@dataclass(frozen=True, slots=True)
class RigidBodies:
    """Rigid parts of one state, and where they are in others.

    Attributes
    ----------
    rest
        The model at rest: one of the states.
    reference
        Which of the states that is.
    label
        Body of each of its Gaussians, from 0 on.
    motion
        From rest to each state: (states, bodies).
    found
        Share of each Gaussian's density that is where its body is, mean over the states.
    """

    rest: GaussianModel
    reference: int
    label: Int64[Tensor, "gaussians"]
    motion: RigidMotion
    found: Float[Tensor, "gaussians"]

    def __len__(self) -> int:
        """Number of bodies."""
        return self.motion.shift.shape[1]

    def centers(self) -> Float[Tensor, "bodies 3"]:
        """Centre of mass of each body at rest, Å."""
        return centers_of_mass(self.rest, self.label, len(self))


def find_bodies(models: GaussianModel, share: Float[Tensor, "states"]) -> RigidBodies:
    """Rigid bodies that between them make the density of each of the `models`.

    Parameters
    ----------
    models
        One per state, none far from all others.
    share
        Of the particles in each state.

    Notes
    -----
    All is one body at first, and still: so the consensus refinement has put it. Neighbouring
    density that a body's motion does not find again in the other states is tried as a body of its
    own, the heaviest first; it stays one if it is then found better. From the state in the
    middle, motions are followed from each state to the most similar ones, so that each step is
    small.
    """
    search = _Search(models, share)
    label = torch.zeros(len(search.rest), dtype=torch.int64)
    motion = search.still()
    found = search.found_by_body(motion)[:, 0]
    tried = torch.zeros(len(label), dtype=torch.bool)
    count = 1
    while count < MOST_BODIES:
        seed = search.heaviest_lost(found, tried)
        if seed is None:
            break
        new_label, new_found = search.split(label, seed, count)
        gain = ((new_found - found) * search.mass)[seed].sum() / search.mass[seed].sum()
        if len(new_label.unique()) == count or gain < LEAST_GAIN:
            tried |= seed
            continue
        label, found, count = new_label, new_found, count + 1
        motion = search.follow(label, count)
    return RigidBodies(search.rest, search.reference, label, motion, found)


class _Search:
    """The densities of all states on one grid, and what is computed of them once."""

    def __init__(self, models: GaussianModel, share: Float[Tensor, "states"]) -> None:
        self.grid: CoarseGrid = cover(models)
        self.share = share / share.sum()
        blurred = [blur(models[state]) for state in range(len(share))]
        self.density = torch.stack([sample_density(one, self.grid) for one in blurred])
        self.reference, self.order = _order_of_states(self.density, self.share)
        self.rest = models[self.reference]
        self.blurred = blurred[self.reference]
        self.mass = self.rest.amplitude * self.rest.width**3
        self.near = _neighborhoods(self.rest.center, self.mass)

    def still(self) -> RigidMotion:
        """All is one body, and stays where it is."""
        states = len(self.density)
        return RigidMotion(torch.eye(3).repeat(states, 1, 1, 1), torch.zeros(states, 1, 3))

    def split(
        self, label: Int64[Tensor, "gaussians"], seed: Bool[Tensor, "gaussians"], count: int
    ) -> tuple[Int64[Tensor, "gaussians"], Float[Tensor, "gaussians"]]:
        """Labels once `seed` has become body `count`, and the share then found of each Gaussian.

        Each Gaussian goes with the body that finds its surroundings best, twice.
        """
        label = torch.where(seed, count, label)
        found = torch.zeros(len(label))
        for _ in range(2):
            if len(label.unique()) == count:  # a body was left with nothing
                break
            found, label = self.found_by_body(self.follow(label, count + 1)).max(dim=1)
        return label, found

    def follow(self, label: Int64[Tensor, "gaussians"], count: int) -> RigidMotion:
        """Motions of each body to each state, each begun where the state before it ended."""
        states = len(self.density)
        rotation = torch.eye(3).repeat(states, count, 1, 1)
        shift = torch.zeros(states, count, 3)
        for state, before in self.order:
            start = RigidMotion(rotation[before], shift[before])
            there = register_parts(self.density[state], self.blurred, label, start, self.grid)
            rotation[state], shift[state] = there.rotation, there.shift
        return RigidMotion(rotation, shift)

    def found_by_body(self, motion: RigidMotion) -> Float[Tensor, "gaussians bodies"]:
        """Share of the density about each Gaussian that is found again, if it goes with a body."""
        at_rest = self._look_up(self.reference, self.rest.center).clamp_min(1e-12)
        total = torch.zeros(len(at_rest), motion.shift.shape[1])
        for state in range(len(self.density)):
            for body in range(motion.shift.shape[1]):
                place = motion[state][body].apply(self.rest.center)
                share = (self._look_up(state, place) / at_rest).clamp(0, 1)
                total[:, body] += self.share[state] * share
        return torch.from_numpy(self.near @ total.numpy())

    def heaviest_lost(
        self, found: Float[Tensor, "gaussians"], tried: Bool[Tensor, "gaussians"]
    ) -> Bool[Tensor, "gaussians"] | None:
        """Neighbouring Gaussians that are poorly found, but for those `tried` already."""
        lost = ((found < POORLY_FOUND) & ~tried).numpy()
        linked = self.near.multiply(lost[:, None]).multiply(lost).tocsr()
        _, group = connected_components(linked, directed=False)
        weight = np.bincount(group, weights=(self.mass.numpy() * lost))
        if weight.max() < LEAST_MASS * float(self.mass.sum()):
            return None
        return torch.from_numpy((group == weight.argmax()) & lost)

    def _look_up(self, state: int, place: Float[Tensor, "points 3"]) -> Float[Tensor, "points"]:
        voxel = (place - self.grid.axis[0]) / self.grid.voxel_size
        values = map_coordinates(
            self.density[state].numpy(), voxel.T.flip(0).numpy(), order=1, mode="constant"
        )
        return torch.from_numpy(values)


def _order_of_states(
    density: Float[Tensor, "states n n n"], share: Float[Tensor, "states"]
) -> tuple[int, list[tuple[int, int]]]:
    """The state in the middle, and all others, each with the similar one that comes before it."""
    flat = density.flatten(1)
    distance = torch.cdist(flat, flat).double()
    middle = int((distance @ share.double()).argmin())
    # States that are equal are linked too, which a distance of zero would prevent.
    tree = minimum_spanning_tree(distance.clamp_min(1e-9).numpy())
    order, before = breadth_first_order(tree, middle, directed=False)
    return middle, [(int(state), int(before[state])) for state in order[1:]]


def _neighborhoods(
    center: Float[Tensor, "gaussians 3"], mass: Float[Tensor, "gaussians"]
) -> csr_matrix:
    """Weights of the Gaussians around each, which sum to 1."""
    points = center.numpy()
    # A Gaussian that has faded away in this state still has surroundings.
    mass = mass.clamp_min(1e-6 * float(mass.max()))
    tree = cKDTree(points)
    pair = tree.query_pairs(2 * NEIGHBORHOOD, output_type="ndarray")
    row = np.concatenate([pair[:, 0], pair[:, 1], np.arange(len(points))])
    column = np.concatenate([pair[:, 1], pair[:, 0], np.arange(len(points))])
    square = ((points[row] - points[column]) ** 2).sum(axis=1)
    weight = np.exp(-2 * square / NEIGHBORHOOD**2) * mass.numpy()[column]
    matrix = csr_matrix((weight, (row, column)), shape=(len(points),) * 2)
    total = np.asarray(matrix.sum(axis=1)).ravel()
    scale = csr_matrix((1 / total, (np.arange(len(points)),) * 2))
    return (scale @ matrix).astype(np.float32)
