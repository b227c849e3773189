"""Particles of whichever program the user's file is of, told by the end of its name."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Int64, Shaped

from cryomix.files import eman2, relion
from cryomix.geometry.poses import Poses
from cryomix.imaging.particles import Particles


def read_particles(
    path: Path, *, data_folder: Path | None = None, beside: Path | None = None
) -> Particles:
    """The particles of a file of another program; images stay on disk.

    Parameters
    ----------
    path
        STAR file of RELION, or list (.lst) or stack (.hdf) of EMAN2; see `cryomix.files.relion`
        and `cryomix.files.eman2`.
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
    kind = eman2 if _is_of_eman2(path) else relion
    return kind.read_particles(path, data_folder=data_folder, beside=beside)


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
    kind = eman2 if _is_of_eman2(source) else relion
    kind.write_particles(source, out, rows=rows, added=added)


def write_poses(source: Path, out: Path, poses: Poses) -> None:
    """Write all rows of `source` with all their columns, but with other poses.

    Raises
    ------
    OutputError
        If `out` is `source`, or cannot be written.
    """
    kind = eman2 if _is_of_eman2(source) else relion
    kind.write_poses(source, out, poses)


def _is_of_eman2(path: Path) -> bool:
    return path.suffix.lower() in eman2.SUFFIXES
