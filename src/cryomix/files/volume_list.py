"""What a folder of rebuilt maps holds: how many particles each is from, and its resolution."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cryomix.errors import CheckpointError
from cryomix.files.atomic import write_atomically


@dataclass(frozen=True, slots=True)
class VolumeEntry:
    """One map.

    Attributes
    ----------
    particles
        How many it is made from; where they are weighted, effectively and in the coarsest shell.
    resolution
        Å; None where the half maps do not agree at all.
    finest_particles
        How many it is made from effectively in the finest shell; None where none is weighted.
    """

    particles: int
    resolution: float | None
    finest_particles: int | None = None


def read_volume_list(folder: Path) -> dict[str, VolumeEntry]:
    """The maps of `folder` by name; none where there is no list.

    Raises
    ------
    CheckpointError
        If the list is malformed.
    """
    path = folder / "maps.json"
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): VolumeEntry(**entry) for name, entry in content.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a list of maps: {error}") from error


def update_volume_list(folder: Path, entries: Mapping[str, VolumeEntry]) -> None:
    """Add `entries` to the list of `folder`; a map of the same name is replaced."""
    finite = {
        name: entry
        if entry.resolution is not None and math.isfinite(entry.resolution)
        else replace(entry, resolution=None)
        for name, entry in entries.items()
    }
    merged = {**read_volume_list(folder), **finite}
    text = json.dumps({name: asdict(entry) for name, entry in merged.items()}, indent=2)
    with write_atomically(folder / "maps.json") as file:
        file.write((text + "\n").encode())
