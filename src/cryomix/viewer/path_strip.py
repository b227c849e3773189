"""What a path is like all along: how far it has moved, how many particles are near, where it is."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.motion import displacement_along
from cryomix.viewer.latent_axes import Neighborhood

SAMPLES = 97  # along a path
_NEAR = 15  # particles whose median place is where a latent lies on a map that has no formula


@dataclass(frozen=True, slots=True)
class PathStrip:
    """At places evenly along the steps of a path, the first and the last included.

    Attributes
    ----------
    along
        Root mean square displacement up to each, Å.
    count
        Particles no farther than the 50 nearest of the median particle reach: 50 is usual.
    reach
        How far the 50 nearest reach, over that of the median particle.
    place
        Median place of the nearest particles on the map.
    """

    along: Float[np.ndarray, "samples"]
    count: Int64[np.ndarray, "samples"]
    reach: Float[np.ndarray, "samples"]
    place: Float[np.ndarray, "samples 2"]

    def told(self) -> dict[str, object]:
        """As the page is told."""
        return {
            "along": self.along.tolist(),
            "count": self.count.tolist(),
            "reach": self.reach.tolist(),
            "place": self.place.tolist(),
        }


def sample_path(
    steps: Float[np.ndarray, "steps latent"], *, is_closed: bool
) -> Float[np.ndarray, "samples latent"]:
    """Straight from step to step, as the page plays it; a closed path ends where it began."""
    stops = np.concatenate([steps, steps[:1]]) if is_closed else steps
    place = np.linspace(0, len(stops) - 1, SAMPLES)
    number = np.arange(len(stops))
    return np.stack([np.interp(place, number, column) for column in stops.T], 1).astype(np.float32)


def measure_path(
    steps: Float[np.ndarray, "steps latent"],
    decode: Callable[[Tensor], GaussianModel],
    everyone: Neighborhood,
    place: Float[np.ndarray, "particles 2"],
    *,
    is_closed: bool,
) -> PathStrip:
    """Along `steps`; `place` is where each particle lies on the map that is looked at."""
    latent = sample_path(steps, is_closed=is_closed)
    near = [everyone.nearest(row, _NEAR) for row in latent]
    return PathStrip(
        displacement_along(decode(torch.from_numpy(latent))).numpy().astype(np.float64),
        everyone.count_within(latent),
        everyone.reaches(latent),
        np.stack([np.nanmedian(place[rows], axis=0) for rows in near]).astype(np.float64),
    )
