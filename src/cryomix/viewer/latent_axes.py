"""From a place on a map of particles back to a latent."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64
from scipy.spatial import cKDTree

CROWD = 50  # particles whose mean is taken, and whose reach is the measure of the density
_SAMPLE = 20_000  # particles of which the typical reach is found


@dataclass(frozen=True, slots=True)
class LatentAxes:
    """Linear functions of the latent: value = direction · latent + offset.

    Attributes
    ----------
    name
        Of each, such as ``latent1`` or ``pca2``.
    direction, offset
        In units of the latent.
    mean
        Mean latent of the particles.
    """

    name: tuple[str, ...]
    direction: Float[np.ndarray, "axes latent"]
    offset: Float[np.ndarray, "axes"]
    mean: Float[np.ndarray, "latent"]

    def facing(self, before: "LatentAxes") -> "LatentAxes":
        """The same axes, each with the sign that points less away from that of its name `before`.

        Principal components of latents that are still changing would else turn round.
        """
        if before.direction.shape != self.direction.shape:
            return self
        along = (self.direction * before.direction).sum(axis=1)
        sign = np.where(along < 0, -1.0, 1.0)
        return LatentAxes(self.name, self.direction * sign[:, None], self.offset * sign, self.mean)

    def has(self, names: Sequence[str]) -> bool:
        """Whether all of these are linear in the latent, and differ."""
        return len(set(names)) == len(names) and set(names) <= set(self.name)

    def lift(
        self, names: Sequence[str], place: Float[np.ndarray, "chosen"]
    ) -> Float[np.ndarray, "latent"]:
        """The latent nearest to the mean at which these axes have the values of `place`."""
        rows = [self.name.index(name) for name in names]
        direction = self.direction[rows].astype(np.float64)
        missing = place - self.offset[rows] - direction @ self.mean
        latent: Float[np.ndarray, "latent"] = self.mean + np.linalg.pinv(direction) @ missing
        return latent.astype(np.float32)


class Neighborhood:
    """Particles near places of a map, of two or more dimensions."""

    def __init__(self, place: Float[np.ndarray, "particles axes"]) -> None:
        self._finite = np.flatnonzero(np.isfinite(place).all(axis=1))
        if not len(self._finite):
            raise ValueError("no particle has a place on this map")
        self._tree = cKDTree(place[self._finite])
        some = self._tree.data[:: -(-len(self._finite) // _SAMPLE)]
        self._typical = max(float(np.median(self._reach(some))), 1e-30)

    def nearest(self, place: Float[np.ndarray, "axes"], count: int) -> Int64[np.ndarray, "near"]:
        """Rows of the particles nearest to `place`, sorted; all if there are fewer."""
        wanted = list(range(1, min(count, len(self._finite)) + 1))
        _, row = self._tree.query(place, k=wanted)
        return np.sort(self._finite[row]).astype(np.int64)

    def reach(self, place: Float[np.ndarray, "axes"]) -> float:
        """How far the nearest 50 reach at `place`, over the median of all particles."""
        return float(self._reach(place[None])[0]) / self._typical

    def reaches(self, place: Float[np.ndarray, "places axes"]) -> Float[np.ndarray, "places"]:
        """`reach` at each of many places."""
        reach: Float[np.ndarray, "places"] = self._reach(place) / self._typical
        return reach

    def count_within(self, place: Float[np.ndarray, "places axes"]) -> Int64[np.ndarray, "places"]:
        """Particles no farther than the nearest 50 of the median particle reach."""
        found = self._tree.query_ball_point(place, self._typical, return_length=True)
        return np.asarray(found, np.int64)

    def _reach(self, place: Float[np.ndarray, "places axes"]) -> Float[np.ndarray, "places"]:
        distance, _ = self._tree.query(place, k=[min(CROWD, len(self._finite))])
        farthest: Float[np.ndarray, "places"] = distance[:, 0]
        return farthest
