"""cryoSPARC particle files: read as `Particles`, written back with every field of the user's."""

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64, Shaped
from torch import Tensor

from cryomix.errors import BoxMismatchError, DataWarning, InputFileError, OutputError
from cryomix.files.cryosparc_table import (
    CryosparcTable,
    read_rows,
    read_table,
    with_fields,
    write_rows,
)
from cryomix.files.image_names import open_sections
from cryomix.files.mrc import MrcStack
from cryomix.files.sampled_images import put_on_one_grid
from cryomix.geometry.poses import Poses, turn, turn_between
from cryomix.imaging.ctf import Ctf
from cryomix.imaging.particles import Particles

LATENT, CLUSTER = "cryomix/latent", "cryomix/cluster"
POSE, SPLIT = "alignments3D/pose", "alignments3D/split"
_SHIFT, _SHIFT_PIXEL = "alignments3D/shift", "alignments3D/psize_A"
_PATH, _INDEX, _PIXEL, _SIGN = "blob/path", "blob/idx", "blob/psize_A", "blob/sign"
_SHAPE = "blob/shape"
_CTF = (
    "ctf/df1_A",
    "ctf/df2_A",
    "ctf/df_angle_rad",
    "ctf/accel_kv",
    "ctf/cs_mm",
    "ctf/amp_contrast",
)
_PHASE_SHIFT = "ctf/phase_shift_rad"
_POSE_NEEDS = (POSE, _SHIFT, _SHIFT_PIXEL)
_NEEDS = (_PATH, _INDEX, _PIXEL, *_CTF, *_POSE_NEEDS)

# What cryomix does not model: how many numbers, and which of them say that there is none of it.
_IGNORED: dict[str, list[tuple[float, ...]]] = {
    "ctf/shift_A": [(0.0,) * 2],
    "ctf/tilt_A": [(0.0,) * 2],
    "ctf/trefoil_A": [(0.0,) * 2],
    "ctf/tetra_A": [(0.0,) * 4],
    "ctf/anisomag": [(0.0,) * 4, (1.0, 0.0, 0.0, 1.0)],
    "ctf/bfactor": [(0.0,)],
    "ctf/scale": [(1.0,)],
}
_MOST_IMAGES = 2.0**31  # in one stack, by the header of an MRC file
_OF_CLASSES = re.compile(r"(alignments3D_multi|alignments_class_\d+)/pose")


def read_particles(
    path: Path, *, data_folder: Path | None = None, beside: Path | None = None
) -> Particles:
    """The particles of a cryoSPARC file (version 2 to 5); images stay on disk.

    The rotation vector v of cryoSPARC stands for the transpose of our rotation, exp([v]×)ᵀ; its
    shift, in pixels of `alignments3D/psize_A`, centers the particle, so ours is the negative.
    Images are multiplied by `blob/sign`. Half sets are `alignments3D/split`; where all particles
    are of one, images are taken in turn as 1, 2, 1, 2.

    Parameters
    ----------
    path
        Particle file (.cs) of a job, or of an exported group; see `read_table` for what is
        read beside it.
    data_folder
        Where to look for image stacks first; see `open_sections`.
    beside
        The file beside which they lie, if `path` was written from another one.

    Raises
    ------
    MissingColumnError
        If a field of pose, CTF or pixel size is absent.
    BoxMismatchError
        If stacks have another box size than the file says.
    InputFileError
        If a file is missing, malformed or truncated, a value is not finite or out of range, or
        the poses are those of several classes.

    Warns
    -----
    DataWarning
        If aberrations are set aside, `blob/sign` is absent, stacks claim another pixel size, or
        images of several pixel or box sizes are put on one grid.
    """
    table = read_table(path, _NEEDS)
    _refuse_classes(table)
    table.require(_NEEDS)
    # The field is of single precision: 0.6575 Å is stored as 0.65750003.
    pixel_size = table.in_range(_PIXEL, above=1e-6).round(6)
    stack = _open_images(table, beside or path, data_folder)
    _require_box(table, stack)
    images = put_on_one_grid(stack, pixel_size, path, lambda row: f"row {row + 1}")
    _warn_of_ignored(table)
    first = torch.from_numpy(images.first_of_each)
    row = torch.arange(len(table))
    return Particles(
        images=images.stack,
        poses=_poses(table),
        ctf=_ctf(table),
        pixel_size=images.grid.pixel_size,
        box_size=images.grid.box_size,
        half_set=_half_set(table, first),
        source_row=row,
        same_image=None if torch.equal(first, row) else first,
        limit=images.limit,
    )


def read_poses(path: Path) -> Poses:
    """Only the poses; neither CTF nor images need be there."""
    table = read_table(path, _POSE_NEEDS)
    _refuse_classes(table)
    table.require(_POSE_NEEDS)
    return _poses(table)


def write_particles(
    source: Path,
    out: Path,
    *,
    rows: Int64[np.ndarray, "selected"] | None = None,
    added: Mapping[str, Shaped[np.ndarray, "written *width"]] | None = None,
) -> None:
    """Write rows of `source` with all their fields, byte for byte, and some fields more.

    What `source` lacks and its passthrough file has is written as well, so that `out` needs none.

    Parameters
    ----------
    source
        The user's file.
    out
        Another one.
    rows
        Which, and in which order; all if absent.
    added
        Name → one value or vector per written row; replaces the values of a field of that name.

    Raises
    ------
    OutputError
        If `out` is `source`, or cannot be written.
    """
    if out.exists() and out.samefile(source):
        raise OutputError(f"{out}: the input must not be overwritten")
    written = read_table(source, _NEEDS).rows
    if rows is not None:
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(written):
            raise ValueError(f"{len(written)} rows, got {rows.min()} to {rows.max()}")
        written = written[rows]
    write_rows(out, with_fields(written, added) if added else written)


def write_latents(
    source: Path,
    out: Path,
    latent: Float[np.ndarray, "written latent"],
    *,
    rows: Int64[np.ndarray, "written"] | None = None,
    cluster: Int64[np.ndarray, "written"] | None = None,
) -> None:
    """As `write_particles`, with the field `cryomix/latent`, a vector, and `cryomix/cluster`.

    Those that `source` has, of an earlier job, are replaced. Clusters are counted from 1.
    """
    added: dict[str, np.ndarray] = {LATENT: latent.astype("<f4")}
    if cluster is not None:
        added[CLUSTER] = cluster.astype("<u4")
    write_particles(source, out, rows=rows, added=added)


def read_latents(path: Path, latent_size: int) -> Float[np.ndarray, "rows latent"]:
    """The latents that a job wrote into a file, or into the one its rows were taken from."""
    rows = read_rows(path)
    table = CryosparcTable(path, rows, frozenset(rows.dtype.names or ()))
    table.require([LATENT])
    return table.numbers(LATENT, latent_size).astype(np.float32)


def write_poses(source: Path, out: Path, poses: Poses) -> None:
    """Write all rows of `source` with all their fields, but with other poses.

    Raises
    ------
    OutputError
        If `out` is `source`, or cannot be written.
    """
    table = read_table(source, _NEEDS)
    if len(poses) != len(table):
        raise ValueError(f"{len(table)} rows but {len(poses)} poses")
    table.require(_POSE_NEEDS)
    pixel = torch.from_numpy(table.in_range(_SHIFT_PIXEL, above=0.0))
    added = {
        POSE: rotation_to_vector(poses.rotation),
        _SHIFT: (-poses.shift.double() / pixel[:, None]).numpy(),
    }
    write_particles(source, out, added=added)


def vector_to_rotation(
    vector: Float64[np.ndarray, "particles 3"],
) -> Float64[Tensor, "particles 3 3"]:
    """Our rotation, model → view, of cryoSPARC's rotation vectors, radians."""
    start = torch.eye(3, dtype=torch.float64).expand(len(vector), 3, 3)
    return turn(start, -torch.from_numpy(vector))


def rotation_to_vector(
    rotation: Float[Tensor, "particles 3 3"],
) -> Float64[np.ndarray, "particles 3"]:
    """The inverse of `vector_to_rotation`, by at most π."""
    start = torch.eye(3, dtype=torch.float64).expand(len(rotation), 3, 3)
    return -turn_between(start, rotation.double()).numpy()


def _open_images(table: CryosparcTable, source: Path, data_folder: Path | None) -> MrcStack:
    if table.rows.dtype[_PATH].kind not in "SU":
        raise InputFileError(f"{table.path}: {_PATH} must be text, got {table.rows.dtype[_PATH]}")
    file_of_stack: dict[str | bytes, int] = {}
    names: list[str | bytes] = table.rows[_PATH].tolist()
    file = np.array([file_of_stack.setdefault(name, len(file_of_stack)) for name in names])
    stacks = [_stack_name(name, table.path) for name in file_of_stack]
    section = table.in_range(_INDEX, above=-1.0, below=_MOST_IMAGES).astype(np.int64)
    return open_sections(
        stacks, file, section, source, data_folder, several_boxes=True, sign=_sign(table)
    )


def _stack_name(name: str | bytes, path: Path) -> str:
    text = os.fsdecode(name)
    # A group that cryoSPARC exported marks with > what lies beside the file.
    bare = text.removeprefix(">")
    if not bare or "\0" in bare:
        raise InputFileError(f"{path}: {_PATH} must name a stack, got {text!r}")
    return bare


def _sign(table: CryosparcTable) -> Float[np.ndarray, "particles"] | None:
    """What makes protein positive; None where images are as they should be."""
    if not table.has(_SIGN):
        warnings.warn(
            f"{table.path}: lacks {_SIGN}: images are taken as they are, protein must be white",
            DataWarning,
            stacklevel=4,
        )
        return None
    sign = table.numbers(_SIGN)[:, 0]
    bad = np.flatnonzero(np.abs(sign) != 1)
    if len(bad):
        raise InputFileError(
            f"{table.path}: {_SIGN} must be 1 or -1, got {sign[bad[0]]:g} in row {bad[0] + 1}"
        )
    return None if (sign == 1).all() else sign.astype(np.float32)


def _poses(table: CryosparcTable) -> Poses:
    shift = -table.numbers(_SHIFT, 2) * table.in_range(_SHIFT_PIXEL, above=0.0)[:, None]
    return Poses(
        vector_to_rotation(table.numbers(POSE, 3)).float(), torch.from_numpy(shift).float()
    )


def _ctf(table: CryosparcTable) -> Ctf:
    table.in_range("ctf/accel_kv", above=0.0)
    table.in_range("ctf/amp_contrast", above=-1.0, below=1.0)
    u, v, angle, voltage, aberration, contrast = (table.numbers(name)[:, 0] for name in _CTF)
    phase = table.numbers(_PHASE_SHIFT)[:, 0] if table.has(_PHASE_SHIFT) else np.zeros(len(table))
    columns = (u, v, np.rad2deg(angle), voltage, aberration, contrast, np.rad2deg(phase))
    return Ctf(*(torch.from_numpy(column).float() for column in columns))


def _half_set(table: CryosparcTable, image: Int64[Tensor, "particles"]) -> Tensor:
    split = table.numbers(SPLIT)[:, 0] if table.has(SPLIT) else np.zeros(len(table))
    bad = np.flatnonzero((split != 0) & (split != 1))
    if len(bad):
        raise InputFileError(
            f"{table.path}: {SPLIT} must be 0 or 1, got {split[bad[0]]:g} in row {bad[0] + 1}"
        )
    # A job that does not split the particles leaves all of them in one half.
    if (split == split[0]).all():
        number = image.unique(return_inverse=True)[1]
        return (number % 2 + 1).to(torch.int8)
    return torch.from_numpy(split + 1).to(torch.int8)


def _refuse_classes(table: CryosparcTable) -> None:
    """Poses of a passthrough file are older than those of the classes."""
    found = sorted({match[1] for match in map(_OF_CLASSES.fullmatch, table.own) if match})
    if found and POSE not in table.own:
        raise InputFileError(
            f"{table.path}: holds poses of several classes ({', '.join(found)}): give the "
            "particles of one class, or of a refinement"
        )


def _require_box(table: CryosparcTable, stack: MrcStack) -> None:
    if not table.has(_SHAPE):
        return
    shape = table.numbers(_SHAPE, 2)
    other = np.flatnonzero((shape != stack.box_sizes[:, None]).any(axis=1))
    if len(other):
        row = int(other[0])
        raise BoxMismatchError(
            f"{table.path}: {_SHAPE} is {shape[row, 1]:g} x {shape[row, 0]:g} px "
            f"but the images of {stack.file_of(row)} have {stack.box_sizes[row]} px"
        )


def _warn_of_ignored(table: CryosparcTable) -> None:
    ignored = []
    for name, neutral in _IGNORED.items():
        if table.has(name):
            values = table.numbers(name, len(neutral[0]))[:, None]
            is_none = (np.abs(values - np.array(neutral)) <= 1e-6).all(axis=2).any(axis=1)
            ignored += [] if is_none.all() else [name]
    if ignored:
        warnings.warn(f"{table.path}: ignored: {', '.join(ignored)}", DataWarning, stacklevel=3)
