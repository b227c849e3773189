"""Maps rebuilt from particles of a job, by the names under which the explorer lists them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cryomix.errors import CheckpointError

if TYPE_CHECKING:
    from cryomix.files.job import JobFolder
    from cryomix.imaging.volume import Volume
    from cryomix.viewer.exploration import HalfMapCurve

_HALVES = ("_half1", "_half2")
_COLUMNS = ("frequency", "fsc", "masked", "particles")


def find_maps(job: "JobFolder") -> "dict[str, Callable[[], Volume]]":
    """Maps of JOB/volumes and of selections, as they are there now; each is read when called."""
    from cryomix.files.mrc import read_volume

    return {name: partial(read_volume, path) for name, path in _find_files(job).items()}


def find_curves(job: "JobFolder") -> "dict[str, Callable[[], HalfMapCurve]]":
    """How far the half maps of each of these agree, where that was written beside the map."""
    return {
        name: partial(_read_curve, path)
        for name, path in _find_files(job).items()
        if _table_of(path).is_file()
    }


def name_of_selection(name: str) -> str:
    """Under which the map of a selection is listed."""
    return f"selection {name}"


def _find_files(job: "JobFolder") -> dict[str, Path]:
    whole = [path for path in sorted(job.volumes.glob("*.mrc")) if not path.stem.endswith(_HALVES)]
    found = {path.stem: path for path in whole}
    for path in sorted(job.selections.glob("*/selection.mrc")):
        found[name_of_selection(path.parent.name)] = path
    return found


def _table_of(path: Path) -> Path:
    return path.parent / "fsc" / f"{path.stem}.csv"


def _read_curve(path: Path) -> "HalfMapCurve":
    import torch

    from cryomix.files.checkpoint import read_csv
    from cryomix.reconstruction.resolution import resolution_of_curve
    from cryomix.viewer.exploration import HalfMapCurve

    file = _table_of(path)
    table = read_csv(file)
    lacking = [name for name in _COLUMNS if name not in table]
    if lacking or len(table["frequency"]) < 2:
        rule = f"lacks {lacking[0]}" if lacking else "must have a row for each of several shells"
        raise CheckpointError(f"{file}: {rule}")
    frequency, unmasked, masked, particles = (table[name] for name in _COLUMNS)
    reached, reached_masked = (
        resolution_of_curve(torch.from_numpy(frequency), torch.from_numpy(fsc))
        for fsc in (unmasked, masked)
    )
    return HalfMapCurve(str(file), frequency, unmasked, masked, particles, reached, reached_masked)
