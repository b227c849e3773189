"""Particles of whichever program the user's file is of, told by the end of its name."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64, Shaped

from cryomix.errors import InputFileError, OutputError
from cryomix.files import (
    cryosparc,
    cryosparc_columns,
    eman2,
    eman2_latents,
    relion,
    relion_latents,
    relion_table,
    star_column,
)
from cryomix.files.text_column import TextColumn
from cryomix.geometry.poses import Poses
from cryomix.imaging.particles import Particles

_CRYOSPARC = ".cs"
_RELION = ".star"
# Rows of a stack are written as a list that points into it.
_WRITTEN = {_RELION: _RELION, _CRYOSPARC: _CRYOSPARC, ".lst": ".lst", ".hdf": ".lst"}


def read_particles(
    path: Path, *, data_folder: Path | None = None, beside: Path | None = None
) -> Particles:
    """The particles of a file of another program; images stay on disk.

    Parameters
    ----------
    path
        STAR file of RELION, .cs file of cryoSPARC, list (.lst) or stack (.hdf) of EMAN2; see
        `cryomix.files.relion`, `cryomix.files.cryosparc` and `cryomix.files.eman2`.
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
    if is_cryosparc(path):
        return cryosparc.read_particles(path, data_folder=data_folder, beside=beside)
    if is_eman2(path):
        return eman2.read_particles(path, data_folder=data_folder, beside=beside)
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
    if is_cryosparc(path):
        return cryosparc_columns.read_column(path, name)
    if is_eman2(path):
        return eman2.read_listing(path).numbers(name)
    return relion.read_column(path, name)


def read_text_column(path: Path, name: str) -> TextColumn:
    """One column of texts or whole numbers, each different one held once.

    Raises
    ------
    MissingColumnError
        If there is none of this name.
    InputFileError
        If the file is malformed, or there are too many different ones to group particles by.
    """
    if is_cryosparc(path):
        return cryosparc_columns.read_text_column(path, name)
    if is_eman2(path):
        return eman2.read_listing(path).texts(name)
    return star_column.read_text_column(path, name)


def read_directions(path: Path) -> Float[np.ndarray, "particles 2"] | None:
    """Azimuth and tilt of each particle, degrees, of a .cs file whose columns do not have them.

    None of other files: STAR files have them as columns, of lists of EMAN2 they are not read.

    Raises
    ------
    InputFileError
        If the file is malformed.
    """
    return cryosparc_columns.read_directions(path) if is_cryosparc(path) else None


def columns_of_numbers(path: Path) -> dict[str, bool]:
    """Columns of one value per particle: whether each holds numbers, told by the first particle.

    Of a STAR file or a .cs file only the head is read.

    Raises
    ------
    InputFileError
        If the file cannot be read.
    """
    if is_cryosparc(path):
        return cryosparc_columns.columns_of_numbers(path)
    if is_eman2(path):
        return eman2.read_listing(path).columns_of_numbers()
    return relion_table.columns_of_numbers(path)


def write_particles(
    source: Path,
    out: Path,
    *,
    rows: Int64[np.ndarray, "selected"] | None = None,
    added: Mapping[str, Shaped[np.ndarray, "written *width"]] | None = None,
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
    if is_cryosparc(source):
        cryosparc.write_particles(source, out, rows=rows, added=added)
    elif is_eman2(source):
        eman2.write_particles(source, out, rows=rows, added=added)
    else:
        relion.write_particles(source, out, rows=rows, added=added)


def write_latents(
    source: Path,
    out: Path,
    latent: Float[np.ndarray, "written latent"],
    *,
    rows: Int64[np.ndarray, "written"] | None = None,
    cluster: Int64[np.ndarray, "written"] | None = None,
) -> None:
    """Write rows of `source` with the latent of each, and its cluster, which counts from 1.

    In a STAR file the columns are ``_cryomixLatent1`` and on, and ``_cryomixCluster``, in a list of
    EMAN2 the keys without the underscore; in a .cs file the fields are ``cryomix/latent``, a
    vector, and ``cryomix/cluster``.

    Parameters
    ----------
    source, out, rows
        As in `write_particles`.
    latent, cluster
        One per written row. Those that `source` has, of an earlier job, are replaced.

    Raises
    ------
    OutputError
        If `out` is `source`, or cannot be written.
    """
    if is_cryosparc(source):
        cryosparc.write_latents(source, out, latent, rows=rows, cluster=cluster)
    elif is_eman2(source):
        eman2_latents.write_latents(source, out, latent, rows=rows, cluster=cluster)
    else:
        relion_latents.write_latents(source, out, latent, rows=rows, cluster=cluster)


def read_latents(path: Path, latent_size: int) -> Float[np.ndarray, "rows latent"]:
    """The latents that `write_latents` wrote into a file, or into the one its rows are from.

    Raises
    ------
    MissingColumnError
        If there are none, or fewer than `latent_size`.
    """
    if is_cryosparc(path):
        return cryosparc.read_latents(path, latent_size)
    if is_eman2(path):
        return eman2_latents.read_latents(path, latent_size)
    return relion_latents.read_latents(path, latent_size)


def write_poses(source: Path, out: Path, poses: Poses, *, pixel_size: float) -> None:
    """Write all rows of `source` with all their columns, but with other poses.

    Parameters
    ----------
    source, out
        As in `write_particles`.
    poses
        One per row.
    pixel_size
        Of the particles, Å, for programs that count shifts in pixels and keep it elsewhere.

    Raises
    ------
    OutputError
        If `out` is `source`, or cannot be written.
    """
    if is_cryosparc(source):
        cryosparc.write_poses(source, out, poses)
    elif is_eman2(source):
        eman2.write_poses(source, out, poses, pixel_size=pixel_size)
    else:
        relion.write_poses(source, out, poses)


def is_cryosparc(path: Path) -> bool:
    """Whether a file is of cryoSPARC.

    Raises
    ------
    InputFileError
        If it is of no known kind.
    """
    return _kind(path) == _CRYOSPARC


def is_eman2(path: Path) -> bool:
    """Whether a file is of EMAN2; raises as `is_cryosparc` does."""
    return _kind(path) in eman2.SUFFIXES


def written_suffix(source: Path) -> str:
    """End of the name of a file that holds rows of `source`; raises as `is_cryosparc` does."""
    return _WRITTEN[_kind(source)]


def require_kind(out: Path, source: Path) -> None:
    """Refuse a name to write that is not of the kind of `source`.

    Raises
    ------
    OutputError
        Naming the end that it must have.
    """
    suffix = written_suffix(source)
    if out.suffix.lower() != suffix:
        raise OutputError(f"{out}: the file to write must end in {suffix}")


def _kind(path: Path) -> str:
    kind = path.suffix.lower()
    if kind not in _WRITTEN:
        raise InputFileError(
            f"{path}: particles must be a file of RELION ({_RELION}) or cryoSPARC ({_CRYOSPARC}), "
            f"or of EMAN2 ({' or '.join(eman2.SUFFIXES)})"
        )
    return kind
