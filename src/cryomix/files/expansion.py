"""Symmetry expansion of a particle file: each row once per element of a point group."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from cryomix.errors import InputFileError
from cryomix.files.cryosparc_expansion import copy_fields
from cryomix.files.eman2_expansion import copy_keys
from cryomix.files.particle_file import is_cryosparc, is_eman2, write_particles
from cryomix.files.relion_table import particle_block
from cryomix.files.star import read_star
from cryomix.geometry.poses import Poses, euler_to_rotation, rotation_to_euler
from cryomix.geometry.symmetry import expand_poses
from cryomix.imaging.particles import Particles

SOURCE, COPY = "cryomixSourceParticle", "cryomixSymmetryCopy"
_ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")


def write_expanded(
    source: Path, out: Path, particles: Particles, group: Float64[Tensor, "order 3 3"]
) -> None:
    """Write each row of `source` once per element of `group`, copies one after the other.

    All columns stay but the angles, which become those of `expand_poses`; copy 1 keeps its own.
    Half sets are written, so that no program parts the copies of a particle. Two columns of a STAR
    file say which row of `source` a copy came from, and which copy it is, both from 1; for the
    fields of a .cs file see `copy_fields`, for the keys of an EMAN2 list `copy_keys`.

    Parameters
    ----------
    source, out
        The user's file, and another one.
    particles
        Those of `source`.
    group
        The identity first.

    Raises
    ------
    InputFileError
        If an image is listed twice, so that the file seems to be expanded already.
    """
    _require_single(source, particles)
    if is_cryosparc(source):
        added = copy_fields(source, particles.half_set, group)
    elif is_eman2(source):
        added = copy_keys(source, particles, group)
    else:
        added = _relion_columns(source, particles, group)
    rows = np.repeat(np.arange(len(particles)), len(group))
    write_particles(source, out, rows=rows, added=added)


def _relion_columns(
    source: Path, particles: Particles, group: Float64[Tensor, "order 3 3"]
) -> dict[str, Shaped[np.ndarray, "copies"]]:
    block = particle_block(read_star(source))
    count, order = len(block), len(group)
    given = np.array([block.column(label) for label in _ANGLES])
    columns = block.float_columns(_ANGLES)
    euler = torch.from_numpy(np.stack([columns[label] for label in _ANGLES], axis=1))
    poses = Poses(euler_to_rotation(euler), torch.zeros(count, 2, dtype=torch.float64))
    angles = rotation_to_euler(expand_poses(poses, group).rotation).reshape(count, order, 3)
    added: dict[str, np.ndarray] = {}
    for number, label in enumerate(_ANGLES):
        text = np.char.mod("%.6f", angles[:, :, number].numpy()).astype(object)
        text[:, 0] = given[number]
        added[label] = text.flatten()
    added["rlnRandomSubset"] = particles.half_set.repeat_interleave(order).numpy()
    added[SOURCE] = np.repeat(np.arange(1, count + 1), order)
    added[COPY] = np.tile(np.arange(1, order + 1), count)
    return added


def _require_single(source: Path, particles: Particles) -> None:
    twice = (particles.image != torch.arange(len(particles))).nonzero()[:, 0]
    if len(twice):
        row, first = int(twice[0]), int(particles.image[twice[0]])
        raise InputFileError(
            f"{source}: is expanded already, or lists an image twice: rows {first + 1} and "
            f"{row + 1} show the same; give the file from before the expansion"
        )
