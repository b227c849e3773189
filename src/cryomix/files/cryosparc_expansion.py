"""Fields of the copies of cryoSPARC particles under a point group."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, Int8, Shaped, UInt64
from torch import Tensor

from cryomix.errors import InputFileError
from cryomix.files.cryosparc import POSE, SPLIT, rotation_to_vector, vector_to_rotation
from cryomix.files.cryosparc_table import UID, read_table
from cryomix.geometry.poses import Poses
from cryomix.geometry.symmetry import expand_poses

SOURCE, COPY = "sym_expand/src_uid", "sym_expand/idx"


def copy_fields(
    source: Path, half_set: Int8[Tensor, "particles"], group: Float64[Tensor, "order 3 3"]
) -> dict[str, Shaped[np.ndarray, "copies *width"]]:
    """What differs between the copies of each particle of `source`, one after the other.

    They are named as cryoSPARC names them when it expands: the uid of the particle and the number
    of the copy, from 0. Each copy has a uid of its own, since cryoSPARC knows particles by nothing
    else; that of copy 0 is the particle's. Copy 0 keeps its pose as it is written.

    Raises
    ------
    InputFileError
        If uids are not there once each.
    """
    table = read_table(source, (POSE,))
    count, order = len(table), len(group)
    uid = table.rows[UID]
    if len(np.unique(uid)) != count:
        raise InputFileError(f"{source}: a uid must be there once to be expanded")
    given = table.numbers(POSE, 3)
    poses = Poses(vector_to_rotation(given), torch.zeros(count, 2, dtype=torch.float64))
    vector = rotation_to_vector(expand_poses(poses, group).rotation).reshape(count, order, 3)
    vector[:, 0] = given
    copy = np.tile(np.arange(order, dtype="<u4"), count)
    parent = np.repeat(uid, order)
    return {
        UID: _uids_of_copies(uid, order).reshape(-1),
        POSE: vector.reshape(-1, 3),
        SPLIT: half_set.repeat_interleave(order).numpy().astype("<u4") - 1,
        SOURCE: parent.astype("<u8"),
        COPY: copy,
    }


def _uids_of_copies(
    uid: UInt64[np.ndarray, "particles"], order: int
) -> UInt64[np.ndarray, "particles order"]:
    """Drawn anew for all copies but the first; the same for the same particles."""
    made = np.repeat(uid[None], order, axis=0)
    generator = np.random.default_rng(int(uid[0]))
    pending = np.ones((order - 1, len(uid)), bool)
    while pending.any():
        drawn = generator.integers(1, 2**63, int(pending.sum()), dtype=np.uint64)
        made[1:][pending] = drawn
        # Two of many numbers of 63 bits are hardly ever the same.
        _, first = np.unique(made, return_index=True)
        is_first = np.zeros(made.size, bool)
        is_first[first] = True
        pending = ~is_first.reshape(made.shape)[1:]
    return made.T
