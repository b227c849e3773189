"""The neutral model as files: Gaussians with their units, density, and FRC with the map."""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

from cryomix.errors import BoxMismatchError, CheckpointError, DataWarning
from cryomix.files.checkpoint import (
    read_csv,
    read_gaussians,
    read_tensors,
    write_csv,
    write_gaussians,
)
from cryomix.files.eman2_gaussians import read_gaussian_text
from cryomix.files.job import JobFolder
from cryomix.files.mrc import read_volume, write_volume
from cryomix.fitting.neutral import NeutralFit
from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.particles import Particles
from cryomix.imaging.volume import Volume


@dataclass(frozen=True, slots=True)
class StoredNeutral:
    """A neutral model, and what a training needs to know of its fit.

    Attributes
    ----------
    path
        Its file.
    model
        The Gaussians.
    base_width
        Widths lie in (0.5, 1.5) times this, Å.
    box_length
        Edge of the box, Å.
    resolution
        Finest detail that was compared, Å.
    added
        How many Gaussians, the last ones, were added where the particles of a job show density
        that the map lacks; none if nobody has looked.
    """

    path: Path
    model: GaussianModel
    base_width: float
    box_length: float
    resolution: float
    added: int | None = None


def write_neutral(
    folder: Path,
    fit: NeutralFit,
    box_size: int,
    voxel_size: float,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> None:
    """Write ``gaussians.safetensors``, ``neutral.mrc`` on the grid of a map, and ``frc.csv``."""
    metadata = {name: repr(float(getattr(fit, name))) for name in _UNITS}
    write_gaussians(folder / "gaussians.safetensors", fit.model, metadata)
    density = render_volume(fit.model, box_size, voxel_size)
    write_volume(folder / "neutral.mrc", replace(density, origin=origin))
    rows = [(ring, ring / fit.box_length, float(value)) for ring, value in enumerate(fit.frc)]
    write_csv(folder / "frc.csv", ["ring", "frequency", "frc"], rows)


def read_neutral(path: Path) -> StoredNeutral:
    """A neutral model; `path` is its file or the folder that `write_neutral` wrote.

    Raises
    ------
    CheckpointError
        If the file is missing or malformed, or does not say in which units it was fitted.
    """
    file = path / "gaussians.safetensors" if path.is_dir() else path
    model = read_gaussians(file)
    _, metadata = read_tensors(file)
    try:
        units = {name: float(metadata[name]) for name in _UNITS}
        added = int(metadata["added"]) if "added" in metadata else None
    except KeyError as error:
        raise CheckpointError(f"{file}: not written by `cryomix neutral`: lacks {error}") from error
    except ValueError as error:
        raise CheckpointError(f"{file}: not a neutral model: {error}") from error
    for name, value in units.items():
        if not 0 < value < float("inf"):
            raise CheckpointError(f"{file}: {name} must be positive, got {value:g}")
    return StoredNeutral(file, model, **units, added=added)


def read_neutral_for(particles: Particles, path: Path) -> StoredNeutral:
    """A neutral model of the box of `particles`: of `cryomix neutral`, or text (.txt) of e2gmm.

    Text names neither box nor units: the box is that of the particles, the base width the median
    of the widths, and the finest detail three pixels, but at least 10 Å.

    Raises
    ------
    CheckpointError
        If the file is missing or malformed.
    BoxMismatchError
        If its box is not, within 1 %, as long as that of the particles.

    Warns
    -----
    DataWarning
        If widths had to be brought nearer to their median, with their masses kept.
    """
    if path.suffix != _TEXT:
        neutral = read_neutral(path)
        require_matching_neutral(neutral, particles)
        return neutral
    length = particles.grid.box_length
    model = read_gaussian_text(path, length)
    base_width = float(model.width.median())
    width = model.width.clamp(_LEAST_WIDTH * base_width, _MOST_WIDTH * base_width)
    changed = int((width != model.width).sum())
    if changed:
        warnings.warn(
            f"{path}: {changed} of {len(model)} widths are brought to between {_LEAST_WIDTH:g} and "
            f"{_MOST_WIDTH:g} times their median, {base_width:.2g} Å",
            DataWarning,
            stacklevel=2,
        )
    amplitude = model.amplitude * (model.width / width) ** 3
    amplitude = amplitude * min(
        _MEAN_AMPLITUDE / float(amplitude.mean()), _MOST_AMPLITUDE / float(amplitude.max())
    )
    model = GaussianModel(model.center, amplitude, width)
    resolution = max(_LEAST_PIXELS * particles.pixel_size, _LEAST_RESOLUTION)
    return StoredNeutral(path, model, base_width, length, resolution)


def require_matching_neutral(neutral: StoredNeutral, particles: Particles) -> None:
    """Refuse a neutral model whose box is not, within 1 %, as long as that of the particles."""
    length = particles.grid.box_length
    if abs(neutral.box_length - length) > 0.01 * length:
        raise BoxMismatchError(
            f"{neutral.path}: the neutral model must have the box of the particles, {length:g} Å, "
            f"got {neutral.box_length:g} Å"
        )


def store_neutral(job: JobFolder, neutral: StoredNeutral, particles: Particles) -> None:
    """Keep a copy of a neutral model in `job`, with its density on the grid of the particles.

    It does not say what was added for the particles of another job. Where the map lies in its
    file's own frame is taken over from the density beside the neutral model.
    """
    if neutral.path == job.neutral_model:
        return
    metadata = {name: repr(getattr(neutral, name)) for name in _UNITS}
    write_gaussians(job.neutral_model, neutral.model, metadata)
    density = render_volume(neutral.model, particles.box_size, particles.pixel_size)
    beside = neutral.path.with_name("neutral.mrc")
    if beside.is_file():
        density = replace(density, origin=_same_center(read_volume(beside), density))
    write_volume(job.neutral_map, density)
    frc = neutral.path.with_name("frc.csv")
    if frc.is_file() and neutral.path.suffix != _TEXT:
        table = read_csv(frc)
        write_csv(job.neutral_frc, list(table), zip(*table.values(), strict=True))


def _same_center(stored: Volume, density: Volume) -> tuple[float, float, float]:
    """Origin that puts the centre of `density` where that of `stored` is."""
    half, new_half = (one.box_size // 2 * one.voxel_size for one in (stored, density))
    x, y, z = stored.origin
    return (x + half - new_half, y + half - new_half, z + half - new_half)


def has_grown(job: JobFolder) -> bool:
    """Whether somebody has looked for what the neutral model of `job` lacks."""
    return job.neutral_model.is_file() and read_neutral(job.neutral_model).added is not None


def store_grown(job: JobFolder, neutral: StoredNeutral, added: int) -> None:
    """Put `neutral`, of whose Gaussians the last `added` are new, in the place of that of `job`.

    ``frc.csv`` stays that of the fit to the map. The Gaussians are written last, because they
    say that the step is done.
    """
    if added:
        before = read_volume(job.neutral_map)
        density = render_volume(neutral.model, before.box_size, before.voxel_size)
        write_volume(job.neutral_map, replace(density, origin=before.origin))
    metadata = {name: repr(getattr(neutral, name)) for name in _UNITS}
    write_gaussians(job.neutral_model, neutral.model, {**metadata, "added": str(added)})


_TEXT = ".txt"
_LEAST_WIDTH, _MOST_WIDTH = 0.6, 1.4  # of the base width; networks reach 0.5 to 1.5
_MEAN_AMPLITUDE, _MOST_AMPLITUDE = 0.3, 0.95  # networks reach 0 to 1
_LEAST_PIXELS, _LEAST_RESOLUTION = 3, 10.0  # the second in Å
_UNITS = ("base_width", "box_length", "resolution")
