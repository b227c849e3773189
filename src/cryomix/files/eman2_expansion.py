"""Keys of the copies of EMAN2 particles under a point group."""

from pathlib import Path

import numpy as np
from jaxtyping import Float64, Shaped
from torch import Tensor

from cryomix.files.eman2 import list_transforms, read_listing
from cryomix.files.eman2_attributes import CLASS, TRANSFORM
from cryomix.geometry.symmetry import expand_poses
from cryomix.imaging.particles import Particles

SOURCE, COPY = "cryomixSourceParticle", "cryomixSymmetryCopy"


def copy_keys(
    source: Path, particles: Particles, group: Float64[Tensor, "order 3 3"]
) -> dict[str, Shaped[np.ndarray, "copies"]]:
    """What differs between the copies of each particle of `source`, one after the other.

    Half sets are written as classes, so that no program parts the copies of a particle. Two keys
    say which row of `source` a copy came from, and which copy it is, both from 0 as EMAN2 counts.
    """
    count, order = len(particles), len(group)
    rows = np.repeat(np.arange(count), order)
    transform = np.empty(count * order, object)
    copies = read_listing(source).selected(rows)
    transform[:] = list_transforms(
        copies, expand_poses(particles.poses, group), particles.pixel_size
    )
    return {
        TRANSFORM: transform,
        CLASS: particles.half_set.repeat_interleave(order).numpy().astype(np.int64) - 1,
        SOURCE: rows,
        COPY: np.tile(np.arange(order), count),
    }
