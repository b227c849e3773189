"""Particles of whichever program the user's file is of, told by the end of its name."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64, Shaped

from cryomix.files import relion, relion_table
from cryomix.geometry.poses import Poses
from cryomix.imaging.particles import Particles


def read_particles(
    path: Path, *, data_folder: Path | None = None, beside: Path | None = None
) -> Particles:
    """The particles of a file of another program; images stay on disk.

    Parameters
    ----------
    path
        STAR file of RELION; see `cryomix.files.relion`.
    data_folder
        Where to look for image stacks first; see `open_images`.
    beside
        The file beside which they lie, if `path` was written from another one.

    Raises
    ------
    InputFileError
        If a file is missing, malformed, truncated or of no known kind, or a value is not finite
        or out of range.
    """
    return relion.read_particles(path, data_folder=data_folder, beside=beside)


def read_column(path: Path, name: str) -> Float[np.ndarray, "particles"]:
    """One column of numbers, by its name in that program.

    Raises
    ------
    MissingColumnError
        If there is none of this name.
    InputFileError
        If it does not hold numbers.
    """
    return relion.read_column(path, name)


def number_columns(path: Path) -> tuple[str, ...]:
    """Names of the columns of numbers of the particles, told by the first of them.

    Raises
    ------
    InputFileError
        If the file cannot be read.
    """
    return relion_table.number_columns(path)


def write_particles(
    source: Path,
    out: Path,
    *,
    rows: Int64[np.ndarray, "selected"] | None = None,
    added: Mapping[str, Shaped[np.ndarray, "written"]] | None = None,
) -> None:
    """Write rows of `source` with all their columns, and some columns more, as its program does.

    Parameters
    ----------
    source
        The user's file.
    out
        Another one, of the same program.
    rows
        Which, and in which order; all if absent.
    added
        Name → one value per written row; replaces a column of that name.

    Raises
    ------
    OutputError
        If `out` is `source`, or cannot be written.
    """
    relion.write_particles(source, out, rows=rows, added=added)


def write_poses(source: Path, out: Path, poses: Poses) -> None:
    """Write all rows of `source` with all their columns, but with other poses.

    Raises
    ------
    OutputError
        If `out` is `source`, or cannot be written.
    """
    relion.write_poses(source, out, poses)
