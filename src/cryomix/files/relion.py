"""RELION particle files: read as `Particles`, written back with every row of the user's kept."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from cryomix.errors import InputFileError, MissingColumnError, OutputError
from cryomix.files.mrc import write_stack
from cryomix.files.relion_images import open_on_one_grid
from cryomix.files.relion_limits import LIMITED, refuse_unsupported, warn_of_ignored
from cryomix.files.relion_table import RelionTable, particle_block, read_table
from cryomix.files.star import StarFile, make_block, read_star, write_star
from cryomix.files.star_column import read_number_column
from cryomix.geometry.poses import Poses, euler_to_rotation, rotation_to_euler
from cryomix.imaging.ctf import Ctf
from cryomix.imaging.particles import Particles

_LATENT = "cryomixLatent"
_ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
_ORIGIN = ("rlnOriginXAngst", "rlnOriginYAngst")
_ORIGIN_PX = ("rlnOriginX", "rlnOriginY")
_DEFOCUS = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")
_MICROSCOPE = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")
_MAGNIFICATION = ("rlnDetectorPixelSize", "rlnMagnification")

_POSE_NEEDS = (*(((label,),) for label in _ANGLES), (_ORIGIN, _ORIGIN_PX))
_CTF_NEEDS = tuple(((label,),) for label in (*_DEFOCUS, *_MICROSCOPE))
_PIXEL_SIZE_NEED = (("rlnImagePixelSize",), ("rlnPixelSize",), _MAGNIFICATION)

_WANTED = (
    *_ANGLES,
    *_ORIGIN,
    *_ORIGIN_PX,
    *_DEFOCUS,
    *_MICROSCOPE,
    *_MAGNIFICATION,
    *LIMITED,
    "rlnImagePixelSize",
    "rlnPixelSize",
    "rlnImageSize",
    "rlnPhaseShift",
    "rlnRandomSubset",
    "rlnCtfDataArePhaseFlipped",
)


def read_particles(
    path: Path, *, data_folder: Path | None = None, beside: Path | None = None
) -> Particles:
    """The particles of a RELION 3.0, 3.1 or 5 file; images stay on disk.

    RELION's origin is the shift that centers the particle, so ours is the negative; origins in
    Å go before those in pixels. Without half sets, images are taken in turn as 1, 2, 1, 2.

    Parameters
    ----------
    path
        STAR file.
    data_folder
        Where to look for image stacks first; see `open_images`.
    beside
        The file beside which they lie, if `path` was written from another one.

    Raises
    ------
    MissingColumnError
        If a column of pose, CTF or pixel size is absent.
    BoxMismatchError
        If stacks have another box size than the file says.
    InputFileError
        If a file is missing, malformed or truncated, a value is not finite or out of range, or
        the images are subtomograms or multiplied by their CTF.

    Warns
    -----
    DataWarning
        If aberrations are set aside, stacks claim another pixel size than the STAR file's, or
        images of several pixel or box sizes are put on one grid.
    """
    table = read_table(path, _WANTED)
    refuse_unsupported(table)
    table.require((*_POSE_NEEDS, *_CTF_NEEDS, _PIXEL_SIZE_NEED))
    images = open_on_one_grid(
        table, _pixel_size(table), source=beside or path, data_folder=data_folder
    )
    first = torch.from_numpy(images.first_of_each)
    row = torch.arange(len(table))
    warn_of_ignored(table)
    return Particles(
        images=images.stack,
        poses=_poses(table),
        ctf=_ctf(table),
        pixel_size=images.grid.pixel_size,
        box_size=images.grid.box_size,
        half_set=_half_set(table, first),
        source_row=row,
        has_flipped_phases=_has_flipped_phases(table),
        same_image=None if torch.equal(first, row) else first,
        limit=images.limit,
    )


def read_poses(path: Path) -> Poses:
    """Only the poses; neither CTF nor images need be there."""
    table = read_table(path, _WANTED)
    table.require(_POSE_NEEDS if table.has(*_ORIGIN) else (*_POSE_NEEDS, _PIXEL_SIZE_NEED))
    return _poses(table)


def read_column(path: Path, label: str) -> Float[np.ndarray, "particles"]:
    """One column of the particles, or of the optics group of each.

    A column of the particles is read without holding the file in memory.

    Raises
    ------
    MissingColumnError
        If neither block has it.
    InputFileError
        If a value is not a finite number.
    """
    try:
        return read_number_column(path, label)
    except MissingColumnError:
        table = read_table(path, (label,))
        table.require((((label,),),))
        return table.numbers[label]


def write_particles(
    source: Path,
    out: Path,
    *,
    rows: Int64[np.ndarray, "selected"] | None = None,
    added: Mapping[str, Shaped[np.ndarray, "written"]] | None = None,
) -> None:
    """Write rows of `source` with all their columns and blocks, and some columns more.

    Parameters
    ----------
    source
        The user's file.
    out
        Another one.
    rows
        Which, and in which order; all if absent.
    added
        Label without underscore → one value per written row; replaces a column of that name.
        Where they are latents, all latents that `source` has are replaced.

    Raises
    ------
    OutputError
        If `out` is `source`, or cannot be written.
    """
    if out.exists() and out.samefile(source):
        raise OutputError(f"{out}: the input must not be overwritten")
    star = read_star(source)
    block = particle_block(star)
    if not block.is_loop:
        raise InputFileError(f"{source}: data_{block.name} must be a loop")
    if rows is not None:
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(block):
            raise ValueError(f"{len(block)} rows, got {rows.min()} to {rows.max()}")
        block = block.selected(rows)
    if added:
        # Latents of another job, of which there may have been more, are not those of this one.
        stale = [label for label in block.labels if label.startswith(_LATENT)]
        if any(label.startswith(_LATENT) for label in added):
            block = block.without(label for label in stale if label not in added)
        block = block.extended(added)
    write_star(out, star.with_block(block))


def write_poses(source: Path, out: Path, poses: Poses) -> None:
    """Write all rows of `source` with all their columns, but with other poses.

    Origins are written as the file has them, in Å, pixels, or both.

    Parameters
    ----------
    source
        The user's file.
    out
        Another one.
    poses
        One per row, in the order of the file.

    Raises
    ------
    OutputError
        If `out` is `source`, or cannot be written.
    """
    table = read_table(source, _WANTED)
    if len(poses) != len(table):
        raise ValueError(f"{len(table)} rows but {len(poses)} poses")
    table.require(_POSE_NEEDS)
    euler = rotation_to_euler(poses.rotation.double())
    origin = -poses.shift.double()
    columns = {label: _decimal(euler[:, i]) for i, label in enumerate(_ANGLES)}
    if table.has(*_ORIGIN):
        columns |= {label: _decimal(origin[:, i]) for i, label in enumerate(_ORIGIN)}
    if table.has(*_ORIGIN_PX):
        table.require((_PIXEL_SIZE_NEED,))
        origin_px = origin / torch.from_numpy(_pixel_size(table))[:, None]
        columns |= {label: _decimal(origin_px[:, i]) for i, label in enumerate(_ORIGIN_PX)}
    write_particles(source, out, added={label: np.array(text) for label, text in columns.items()})


def write_particle_set(path: Path, particles: Particles) -> None:
    """Write a new RELION 3.1 file and, beside it, a stack of the same name with all images."""
    stack = path.with_suffix(".mrcs")
    index = torch.arange(len(particles))
    batches: Iterator[Tensor] = (particles.images.read(part) for part in index.split(256))
    write_stack(stack, batches, particles.pixel_size)
    ctf, subset = particles.ctf, particles.half_set.tolist()
    microscope = torch.stack(
        [ctf.voltage_kv, ctf.spherical_aberration_mm, ctf.amplitude_contrast], dim=1
    )
    groups, group = microscope.unique(dim=0, return_inverse=True)
    optics = {
        "rlnOpticsGroup": range(1, len(groups) + 1),
        "rlnOpticsGroupName": [f"opticsGroup{number + 1}" for number in range(len(groups))],
        **{label: _decimal(groups[:, i]) for i, label in enumerate(_MICROSCOPE)},
        "rlnImagePixelSize": [f"{particles.pixel_size:.6f}"] * len(groups),
        "rlnImageSize": [particles.box_size] * len(groups),
        "rlnImageDimensionality": [2] * len(groups),
        "rlnCtfDataArePhaseFlipped": [int(particles.has_flipped_phases)] * len(groups),
    }
    euler = rotation_to_euler(particles.poses.rotation.double())
    columns = {
        "rlnImageName": [f"{number:06d}@{stack.name}" for number in range(1, len(index) + 1)],
        **{label: _decimal(euler[:, i]) for i, label in enumerate(_ANGLES)},
        **{label: _decimal(-particles.poses.shift[:, i]) for i, label in enumerate(_ORIGIN)},
        "rlnDefocusU": _decimal(ctf.defocus_u),
        "rlnDefocusV": _decimal(ctf.defocus_v),
        "rlnDefocusAngle": _decimal(ctf.defocus_angle_deg),
        "rlnPhaseShift": _decimal(ctf.phase_shift_deg),
        "rlnOpticsGroup": (group + 1).tolist(),
        "rlnRandomSubset": subset,
    }
    blocks = (make_block("optics", optics), make_block("particles", columns))
    write_star(path, StarFile(path, blocks, (b"", b"# version 30001")))


def _decimal(values: Float[Tensor, "rows"]) -> list[str]:
    return [f"{value:.6f}" for value in values.tolist()]


def _pixel_size(table: RelionTable) -> Float[np.ndarray, "particles"]:
    numbers = table.numbers
    for label in ("rlnImagePixelSize", "rlnPixelSize"):
        if table.has(label):
            return _in_range(table, label, above=0.0)
    detector = _in_range(table, "rlnDetectorPixelSize", above=0.0)
    _in_range(table, "rlnMagnification", above=0.0)
    return detector * 1e4 / numbers["rlnMagnification"]  # µm to Å


def _poses(table: RelionTable) -> Poses:
    euler = np.stack([table.numbers[label] for label in _ANGLES], axis=1)
    if table.has(*_ORIGIN):
        origin = np.stack([table.numbers[label] for label in _ORIGIN], axis=1)
    else:
        origin_px = np.stack([table.numbers[label] for label in _ORIGIN_PX], axis=1)
        origin = origin_px * _pixel_size(table)[:, None]
    rotation = euler_to_rotation(torch.from_numpy(euler)).float()
    return Poses(rotation, -torch.from_numpy(origin).float())


def _ctf(table: RelionTable) -> Ctf:
    _in_range(table, "rlnVoltage", above=0.0)
    _in_range(table, "rlnAmplitudeContrast", above=-1.0, below=1.0)
    phase_shift = table.numbers.get("rlnPhaseShift", np.zeros(len(table)))
    columns = [table.numbers[label] for label in (*_DEFOCUS, *_MICROSCOPE)]
    return Ctf(*(torch.from_numpy(column).float() for column in (*columns, phase_shift)))


def _half_set(table: RelionTable, image: Int64[Tensor, "particles"]) -> Tensor:
    if not table.has("rlnRandomSubset"):
        number = image.unique(return_inverse=True)[1]
        return (number % 2 + 1).to(torch.int8)
    subset = table.numbers["rlnRandomSubset"]
    bad = np.flatnonzero((subset != 1) & (subset != 2))
    if len(bad):
        raise InputFileError(
            f"{table.path}: _rlnRandomSubset must be 1 or 2, got {subset[bad[0]]:g} "
            f"in {table.particles.line_of(int(bad[0]))}"
        )
    return torch.from_numpy(subset).to(torch.int8)


def _has_flipped_phases(table: RelionTable) -> bool:
    flipped = table.numbers.get("rlnCtfDataArePhaseFlipped", np.zeros(len(table))) != 0
    if flipped.any() and not flipped.all():
        raise InputFileError(
            f"{table.path}: _rlnCtfDataArePhaseFlipped must be the same for all particles, "
            f"got 1 for {flipped.sum()} of {len(table)}"
        )
    return bool(flipped.all())


def _in_range(
    table: RelionTable, label: str, *, above: float, below: float = np.inf
) -> Float[np.ndarray, "particles"]:
    values = table.numbers[label]
    bad = np.flatnonzero((values <= above) | (values >= below))
    if len(bad):
        rule = f"above {above:g}" if below == np.inf else f"between {above:g} and {below:g}"
        raise InputFileError(
            f"{table.path}: _{label} must be {rule}, got {values[bad[0]]:g} "
            f"in {table.particles.line_of(int(bad[0]))}"
        )
    return values
