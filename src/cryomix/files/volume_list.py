"""What a folder of rebuilt maps holds: how many particles each is from, and its resolution."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cryomix.errors import CheckpointError
from cryomix.files.atomic import cannot_write, remove_partial_files, write_atomically


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


def remove_unfinished(folder: Path, name: str) -> None:
    """Take away a map, the only one of `folder`, whose program was stopped; other files stay.

    A folder with a run.toml, which is written last, is left as it is.

    Raises
    ------
    OutputError
        If a file cannot be taken away.
    """
    if not folder.is_dir() or (folder / "run.toml").exists():
        return
    remove_partial_files(folder)
    maps = [folder / f"{name}{half}.mrc" for half in ("", "_half1", "_half2")]
    try:
        for file in (*maps, folder / "fsc" / f"{name}.csv", folder / "maps.json"):
            file.unlink(missing_ok=True)
        for empty in (folder / "fsc", folder):
            if empty.is_dir() and not any(empty.iterdir()):
                empty.rmdir()
    except OSError as error:
        raise cannot_write(folder, error) from error


def remove_unlisted(folder: Path, pattern: str) -> None:
    """Take away maps whose names match `pattern`, such as ``curve*``, and are not in the list.

    They are those of a program that was stopped: it lists its maps when all are written.

    Raises
    ------
    CheckpointError
        If the list is malformed.
    OutputError
        If a file cannot be taken away.
    """
    listed = read_volume_list(folder)
    try:
        for whole in folder.glob(f"{pattern}.mrc"):
            if whole.stem in listed:
                continue
            for half in ("_half1", "_half2", ""):
                (folder / f"{whole.stem}{half}.mrc").unlink(missing_ok=True)
            (folder / "fsc" / f"{whole.stem}.csv").unlink(missing_ok=True)
        for part in (*folder.glob(f".{pattern}*.part"), *folder.glob(f"fsc/.{pattern}*.part")):
            part.unlink(missing_ok=True)
        for empty in (folder / "fsc", folder):
            if empty.is_dir() and not any(empty.iterdir()):
                empty.rmdir()
    except OSError as error:
        raise cannot_write(folder, error) from error
