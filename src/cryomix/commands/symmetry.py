"""Symmetry in a training: particles once for each of their units, of which one may vary."""

from pathlib import Path
from typing import TYPE_CHECKING

from cryomix.errors import InputFileError, OptionError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from cryomix.files.job import JobFolder
    from cryomix.files.neutral_model import StoredNeutral
    from cryomix.imaging.gaussians import GaussianModel
    from cryomix.imaging.particles import Particles
    from cryomix.imaging.volume import Volume

_LEAST_CORRELATION = 0.8
_MOST_OVERLAP = 0.5


def require_symmetry(volume: "Volume", source: Path, symmetry: str, resolution: float) -> None:
    """Refuse a map that does not look the same from views that are equal under `symmetry`.

    Raises
    ------
    OptionError
        If there is no such point group.
    InputFileError
        If the mean correlation of the views to `resolution` Å is below 0.8.
    """
    from cryomix.geometry.symmetry import group_generators, point_group
    from cryomix.imaging.asymmetric_unit import symmetry_correlation

    if len(point_group(symmetry)) == 1:
        return
    found = symmetry_correlation(volume, group_generators(symmetry), resolution)
    if found < _LEAST_CORRELATION:
        raise InputFileError(
            f"{source}: must have the symmetry {symmetry.upper()} about the centre of its box, in "
            f"RELION's setting: views that it makes equal must correlate by {_LEAST_CORRELATION:g} "
            f"to {resolution:g} Å, got {found:.2f}"
        )


def refuse_halves(symmetry: str) -> None:
    """One half of the particles is not expanded.

    Raises
    ------
    OptionError
        If `symmetry` is not C1.
    """
    from cryomix.errors import OptionError

    if symmetry != "C1":
        raise OptionError(
            f"--symmetry {symmetry} and halves of the particles cannot go together; expand the "
            "particles first, and give --focus"
        )


def require_symmetric_model(
    neutral: "StoredNeutral", particles: "Particles", symmetry: str
) -> None:
    """As `require_symmetry`, of a neutral model on the grid of `particles`."""
    from cryomix.imaging.gaussians import render_volume

    volume = render_volume(neutral.model, particles.box_size, particles.pixel_size)
    require_symmetry(volume, neutral.path, symmetry, neutral.resolution)


def expand_particles(
    job: "JobFolder",
    source: Path,
    particles: "Particles",
    data_folder: Path | None,
    symmetry: str,
    beside: Path | None = None,
) -> "tuple[Path, Particles]":
    """File and particles of `job`: those of `source`, or their copies under `symmetry`.

    The copies are written into `job` once; of many processes the first one writes.
    """
    from cryomix.commands.progress import say
    from cryomix.files.expansion import write_expanded
    from cryomix.files.particle_file import read_particles
    from cryomix.geometry.symmetry import point_group
    from cryomix.processes import agree, is_first_process

    group = point_group(symmetry)
    if len(group) == 1:
        return source, particles
    expanded = job.expanded(source)
    if is_first_process() and not expanded.is_file():
        write_expanded(source, expanded, particles, group)
        say(f"{len(particles)} particles, {len(group)} copies of each under {symmetry.upper()}")
    agree(0)  # the others wait for the file
    copies = read_particles(expanded, data_folder=data_folder, beside=beside or source)
    return expanded, copies


def choose_unit(
    focus: "Float[Tensor, 'groups gaussians'] | None", model: "GaussianModel", symmetry: str
) -> "Float[Tensor, 'groups gaussians'] | None":
    """How far each Gaussian may vary under `symmetry`: as `focus` says, else those of one unit.

    Raises
    ------
    OptionError
        If half of what `focus` lets vary is there once more in another unit.
    """
    from cryomix.commands.progress import say
    from cryomix.geometry.symmetry import point_group
    from cryomix.imaging.asymmetric_unit import asymmetric_unit, unit_overlap

    group = point_group(symmetry)
    if len(group) == 1:
        return focus
    if focus is None:
        inside = asymmetric_unit(model, group)
        say(f"{int(inside.sum())} of {len(inside)} Gaussians make up one of {len(group)} units")
        return inside.float()[None]
    overlap = unit_overlap(model, (focus > _MOST_OVERLAP).any(0), group)
    if overlap > _MOST_OVERLAP:
        raise OptionError(
            f"--focus must hold parts of one unit of {symmetry.upper()}, but {100 * overlap:.0f} % "
            "of what it holds is there once more in another unit"
        )
    return focus
