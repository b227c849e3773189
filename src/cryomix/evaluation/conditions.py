"""What is known of a particle without its image: from where it is seen, and its CTF."""

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from jaxtyping import Float, Int64
from scipy.stats import rankdata
from torch import Tensor

from cryomix.evaluation.neighborhoods import ctf_space, nearest_others
from cryomix.imaging.particles import Particles

_DEGREE = 4  # of the polynomials in the direction of view
_WAVES = 12  # over the range of defoci
_PARTICLES_PER_TERM = 20
_NEIGHBORS = 50


@dataclass(frozen=True, slots=True)
class Conditions:
    """Of some particles.

    Attributes
    ----------
    terms
        Functions of view and CTF, with a constant: what depends on these smoothly is their sum.
        Polynomials of the direction of view, waves over the rank of the mean defocus, both
        together, and the astigmatism; fewer of them for few particles.
    space
        In which particles of like view and CTF are near.
    """

    terms: Float[np.ndarray, "particles terms"]
    space: Float[np.ndarray, "particles axes"]

    @staticmethod
    def of(particles: Particles, index: Int64[Tensor, "chosen"]) -> "Conditions":
        """Those of the particles at `index`."""
        # The beam in the frame of the molecule.
        view = particles.poses.rotation[index, 2].double().numpy()
        ctf = ctf_space(particles.ctf[index])
        degree, waves = _DEGREE, _WAVES
        terms = _assemble(view, ctf, degree, waves)
        while terms.shape[1] * _PARTICLES_PER_TERM > len(view) and degree > 1:
            degree, waves = degree - 1, max(2, waves // 2)
            terms = _assemble(view, ctf, degree, waves)
        return Conditions(terms, np.concatenate([view, 0.5 * ctf], axis=1))

    def alike(self, chosen: Int64[np.ndarray, "chosen"]) -> Int64[np.ndarray, "chosen neighbors"]:
        """Of each of the `chosen` the others of them most like it, as indices into `chosen`."""
        return nearest_others(self.space[chosen], _NEIGHBORS)


def without(
    values: Float[np.ndarray, "particles axes"], terms: Float[np.ndarray, "particles terms"]
) -> Float[np.ndarray, "particles axes"]:
    """What `terms` do not explain of `values`, by least squares."""
    solution = np.linalg.lstsq(terms, values, rcond=1e-8)[0]
    left: np.ndarray = values - terms @ solution
    return left


def _assemble(
    view: Float[np.ndarray, "particles 3"],
    ctf: Float[np.ndarray, "particles 3"],
    degree: int,
    waves: int,
) -> Float[np.ndarray, "particles terms"]:
    rank = (rankdata(ctf[:, 0]) - 0.5) / len(ctf)
    powers = [
        np.prod(view[:, chosen], axis=1)
        for order in range(1, degree + 1)
        for chosen in map(list, combinations_with_replacement(range(3), order))
    ]
    over_defocus = [np.cos(np.pi * number * rank) for number in range(1, waves + 1)]
    both = [power * over_defocus[0] for power in powers[: 9 if degree > 1 else 3]]
    columns = [np.ones(len(view)), *powers, *over_defocus, *both, ctf[:, 1], ctf[:, 2]]
    return np.stack(columns, axis=1)
