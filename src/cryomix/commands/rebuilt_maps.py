"""Maps rebuilt from particles of a job, by the names under which the explorer lists them."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryomix.files.job import JobFolder
    from cryomix.imaging.volume import Volume

_HALVES = ("_half1", "_half2")


def find_maps(job: "JobFolder") -> "dict[str, Callable[[], Volume]]":
    """Maps of JOB/volumes and of selections, as they are there now; each is read when called."""
    from cryomix.files.mrc import read_volume

    whole = [path for path in sorted(job.volumes.glob("*.mrc")) if not path.stem.endswith(_HALVES)]
    found = {path.stem: path for path in whole}
    for path in sorted(job.selections.glob("*/selection.mrc")):
        found[f"selection {path.parent.name}"] = path
    return {name: partial(read_volume, path) for name, path in found.items()}
