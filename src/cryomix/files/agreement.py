"""Whether a map and a mask belong to the particles, as far as their sizes tell."""

import warnings
from dataclasses import replace
from pathlib import Path

from cryomix.errors import BoxMismatchError, DataWarning
from cryomix.files.mrc import read_volume, read_voxel_size
from cryomix.imaging.particles import Particles
from cryomix.imaging.volume import Volume

_TOLERANCE = 0.01


def read_consensus(path: Path, particles: Particles) -> Volume:
    """The map that the particles were refined against, with their pixel size.

    Raises
    ------
    InputFileError
        If it cannot be read as a cubic, finite map.
    BoxMismatchError
        If its box or its voxel size is not that of the particles.

    Warns
    -----
    DataWarning
        If its header gives no voxel size, or 1 Å, so that the particles' is taken.
    """
    volume = _read_with_size(path, particles.pixel_size, "particles")
    require_matching_volume(volume, path, particles)
    return replace(volume, voxel_size=particles.pixel_size)


def read_map_of_any_voxel(path: Path, particles: Particles) -> tuple[Volume, float | None]:
    """A map that may have another voxel size than the particles, to find out which is right.

    Returns
    -------
    volume
        With the particles' pixel size, whatever its header says.
    voxel_size
        What its header says, Å, if that is something else.

    Raises
    ------
    InputFileError
        If it cannot be read as a cubic, finite map.
    BoxMismatchError
        If its box is not that of the particles.
    """
    volume = _read_with_size(path, particles.pixel_size, "particles")
    _require_box(volume, path, particles)
    said = None if _alike(volume.voxel_size, particles.pixel_size) else volume.voxel_size
    return replace(volume, voxel_size=particles.pixel_size), said


def read_mask(path: Path, volume: Volume) -> Volume:
    """A mask on the grid of `volume`; raises and warns as `read_consensus` does."""
    mask = _read_with_size(path, volume.voxel_size, "map")
    require_matching_mask(mask, path, volume)
    return replace(mask, voxel_size=volume.voxel_size)


def require_matching_volume(volume: Volume, path: Path, particles: Particles) -> None:
    """Refuse a map whose box, or voxel size by more than 1 %, is not that of the particles."""
    _require_box(volume, path, particles)
    if not _alike(volume.voxel_size, particles.pixel_size):
        raise BoxMismatchError(
            f"{path}: the map must have the pixel size of the particles, "
            f"{particles.pixel_size:g} Å, got {volume.voxel_size:g} Å"
        )


def _require_box(volume: Volume, path: Path, particles: Particles) -> None:
    if volume.box_size != particles.box_size:
        raise BoxMismatchError(
            f"{path}: the map must have the box of the particles, {particles.box_size} px, "
            f"got {volume.box_size} px"
        )


def require_matching_mask(mask: Volume, path: Path, volume: Volume) -> None:
    """Refuse a mask whose box, or voxel size by more than 1 %, is not that of the map."""
    if mask.box_size != volume.box_size:
        raise BoxMismatchError(
            f"{path}: the mask must have the box of the map, {volume.box_size} px, "
            f"got {mask.box_size} px"
        )
    if not _alike(mask.voxel_size, volume.voxel_size):
        raise BoxMismatchError(
            f"{path}: the mask must have the voxel size of the map, {volume.voxel_size:g} Å, "
            f"got {mask.voxel_size:g} Å"
        )


def _read_with_size(path: Path, expected: float, owner: str) -> Volume:
    # Many programs write 0 or 1 where they do not know.
    size = read_voxel_size(path)
    if size not in (0.0, 1.0) or _alike(size, expected):
        return read_volume(path)
    warnings.warn(
        f"{path}: its header says {size:g} Å per voxel; the {expected:g} Å of the {owner} are used",
        DataWarning,
        stacklevel=3,
    )
    return read_volume(path, voxel_size=expected)


def _alike(size: float, expected: float) -> bool:
    return abs(size - expected) <= _TOLERANCE * expected
