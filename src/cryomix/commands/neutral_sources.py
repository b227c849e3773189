"""What a neutral model can be made from: a map, particles, or an atomic model."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cryomix.errors import (
    BoxMismatchError,
    DataWarning,
    InputFileError,
    OptionError,
    ResolutionError,
)
from cryomix.options import NeutralOptions

if TYPE_CHECKING:
    from cryomix.fitting.neutral import NeutralFit
    from cryomix.imaging.particles import Particles
    from cryomix.imaging.volume import Volume
    from cryomix.reconstruction.resolution import HalfMaps
    from cryomix.simulation import MovingMolecule

_SAMPLE = 20_000  # particles; they show 12 Å at a signal-to-noise ratio of 0.01
_PADDING = 1.5
_LEAST_BOX = 16
_LEAST_DETAIL = 0.25  # of the box
_LEAST_CORRELATION = 0.3  # of an atomic model with the map that it was fitted into


@dataclass(frozen=True, slots=True)
class NeutralSource:
    """Inputs that were read and agree.

    Attributes
    ----------
    fit
        Does the work.
    box_size, voxel_size, origin
        Grid of the map that shows the result: voxels, Å, Å.
    inputs
        Files.
    """

    fit: "Callable[[], NeutralFit]"
    box_size: int
    voxel_size: float
    origin: tuple[float, float, float]
    inputs: tuple[Path, ...]


def open_map(
    path: Path, pixel_size: float | None, mask: Path | None, options: NeutralOptions
) -> NeutralSource:
    """A consensus map."""
    from cryomix.commands.progress import say
    from cryomix.files.agreement import read_mask
    from cryomix.files.mrc import read_volume
    from cryomix.fitting.neutral import fit_neutral

    volume = read_volume(path, voxel_size=pixel_size)
    region = read_mask(mask, volume) if mask else None

    def fit() -> "NeutralFit":
        return fit_neutral(volume, options, mask=region, report=say)

    inputs = tuple(file for file in (path, mask) if file is not None)
    return NeutralSource(fit, volume.box_size, volume.voxel_size, volume.origin, inputs)


def open_particles(
    path: Path, datadir: Path | None, mask: Path | None, options: NeutralOptions
) -> NeutralSource:
    """Particles, of which half maps are made first."""
    from cryomix.files.agreement import read_consensus
    from cryomix.files.particle_file import read_particles

    particles = read_particles(path, data_folder=datadir)
    region = read_consensus(mask, particles) if mask else None

    def fit() -> "NeutralFit":
        return _fit_particles(particles, region, path, options)

    inputs = tuple(file for file in (path, mask) if file is not None)
    size, pixel = particles.box_size, particles.pixel_size
    return NeutralSource(fit, size, pixel, (0.0, 0.0, 0.0), inputs)


def open_atoms(
    path: Path,
    reference: Path | None,
    box_size: int | None,
    pixel_size: float | None,
    mask: Path | None,
    options: NeutralOptions,
) -> NeutralSource:
    """An atomic model, on the grid of the map that it lies in or centred in a box of its own."""
    from cryomix.commands.progress import say
    from cryomix.files.agreement import read_mask
    from cryomix.files.mrc import read_volume
    from cryomix.files.structure import read_structure
    from cryomix.fitting.atom_clusters import fit_neutral_to_atoms
    from cryomix.fitting.neutral import target_resolution
    from cryomix.geometry.fourier import FourierGrid
    from cryomix.imaging.gaussians import GaussianModel
    from cryomix.simulation.atomic_model import still_model
    from cryomix.simulation.molecule import mean_volume

    atomic = read_structure(path)
    place = None
    volume = None
    if reference is not None:
        if box_size is not None:
            raise OptionError(f"--box: must not be given with --map, got {box_size}")
        volume = read_volume(reference, voxel_size=pixel_size)
        box_size, pixel_size, place = volume.box_size, volume.voxel_size, _box_center(volume)
    if box_size is None or pixel_size is None:
        raise OptionError(f"{path}: needs a grid: --map, or --box and --pixel-size")
    _require_positive(box_size, pixel_size)
    molecule = still_model(atomic, pixel_size, place)
    _require_inside(molecule, box_size * pixel_size, path)
    density = mean_volume(molecule, FourierGrid(box_size, pixel_size))
    region = read_mask(mask, density) if mask else None
    resolution = target_resolution(density, options)
    if volume is not None:
        _compare(density, volume, resolution, path, reference)
    states = molecule.states
    atoms = GaussianModel(
        states.center.flatten(0, 1), states.amplitude.flatten(), states.width.flatten()
    )

    def fit() -> "NeutralFit":
        return fit_neutral_to_atoms(atoms, density, options, mask=region, report=say)

    inputs = tuple(file for file in (path, reference, mask) if file is not None)
    return NeutralSource(fit, box_size, pixel_size, density.origin, inputs)


def _fit_particles(
    particles: "Particles", mask: "Volume | None", path: Path, options: NeutralOptions
) -> "NeutralFit":
    import torch

    from cryomix.commands.check import default_resolution
    from cryomix.commands.progress import counting, say
    from cryomix.fitting.neutral import fit_neutral_to_halves
    from cryomix.imaging.particles import in_two_halves, working_grid
    from cryomix.imaging.volume import crop_volume
    from cryomix.reconstruction.backprojection import reconstruct
    from cryomix.reconstruction.resolution import surround

    wanted = options.resolution or default_resolution(particles)
    if wanted < particles.finest:
        raise ResolutionError(
            f"resolution {wanted:g} Å: finer than twice the pixel size, {particles.finest:g} Å"
        )
    generator = torch.Generator().manual_seed(options.seed)
    sample = torch.randperm(len(particles), generator=generator)[:_SAMPLE].sort().values
    particles = in_two_halves(particles, sample)
    grid = working_grid(particles, wanted)
    with counting("particles put into half maps") as report:
        halves = reconstruct(particles, sample, grid=grid, padding=_PADDING, report=report)
    region = surround(halves, wanted) if mask is None else crop_volume(mask, grid.box_size)
    seen = _require_signal(halves, region, path)
    say(f"half maps of {len(sample)} particles agree to {seen:.1f} Å")
    if options.resolution is not None and seen > wanted:
        raise ResolutionError(
            f"{path}: resolution {wanted:g} Å: finer than its particles show, {seen:.1f} Å"
        )
    found = replace(options, resolution=max(wanted, seen))
    return fit_neutral_to_halves(halves.first, halves.second, found, mask=region, report=say)


def _require_signal(halves: "HalfMaps", mask: "Volume", path: Path) -> float:
    """Resolution of the half maps, Å; refuses such as show nothing, or a dark molecule."""
    from cryomix.reconstruction.resolution import (
        average,
        filter_by_fsc,
        half_map_correlation,
        resolution_at,
    )

    fsc = half_map_correlation(halves, mask)
    size, box_size = halves.first.voxel_size, halves.first.box_size
    seen = resolution_at(fsc, size, box_size=box_size)
    if not seen < _LEAST_DETAIL * box_size * size:
        raise InputFileError(f"{path}: half maps of its particles have nothing in common")
    density = filter_by_fsc(average(halves), fsc).density
    if float(-density.min()) > float(density.max()):
        raise InputFileError(f"{path}: protein must be positive (white), its images are inverted")
    return seen


def _require_positive(box_size: int, pixel_size: float) -> None:
    if box_size < _LEAST_BOX:
        raise OptionError(f"--box: must be at least {_LEAST_BOX}, got {box_size}")
    if not (math.isfinite(pixel_size) and pixel_size > 0):
        raise OptionError(f"--pixel-size: must be positive, got {pixel_size:g}")


def _box_center(volume: "Volume") -> tuple[float, float, float]:
    """Of a map in its file's own frame, Å."""
    half = volume.box_size // 2 * volume.voxel_size
    x, y, z = volume.origin
    return (x + half, y + half, z + half)


def _require_inside(molecule: "MovingMolecule", box_length: float, path: Path) -> None:
    reach = float(molecule.states.center.abs().max())
    if reach >= box_length / 2:
        raise BoxMismatchError(
            f"{path}: the atoms must be within {box_length / 2:.0f} Å of the box centre along each "
            f"axis, got {reach:.0f} Å"
        )


def _compare(
    density: "Volume", volume: "Volume", resolution: float, path: Path, reference: Path | None
) -> None:
    """Tell a user whose model does not lie in the map; the two must have one frame."""
    import torch

    from cryomix.imaging.volume import low_pass

    smooth = [low_pass(one, resolution).density.flatten() for one in (density, volume)]
    correlation = float(torch.corrcoef(torch.stack(smooth))[0, 1])
    if correlation < _LEAST_CORRELATION:
        warnings.warn(
            f"{path}: its correlation with {reference} is {correlation:.2f} only: was it fitted "
            f"into that map, and is the map's origin still the same?",
            DataWarning,
            stacklevel=2,
        )
