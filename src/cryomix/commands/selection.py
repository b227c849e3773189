"""Particles that a user picks by what a job found of them: conditions as text."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryomix.errors import OptionError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Float

    from cryomix.files.job import JobFolder

Conditions = Annotated[
    tuple[str, ...],
    Parameter(
        name=["--select", "--selection"],
        help="a condition, or several joined by `and`; given again: all must hold [all particles]",
        show_default=False,
    ),
]

_COMPARISON = re.compile(r"_?([A-Za-z][\w/]*)\s*(<=|>=|!=|=|<|>)\s*(\S+)")
_COLUMNS = ("latent", "std", "pca", "umap")  # several values per particle, by number
_NUMBERED = re.compile(rf"({'|'.join(_COLUMNS)})(\d+)")
_FORMS = (
    "cluster:1,3, latent1>0.5, nearest:500:PATH:4, within:0.3:PATH:4, "
    "lasso:latent1:latent2:FILE or rows:FILE"
)


def select_particles(
    job: "JobFolder", conditions: Sequence[str]
) -> "Bool[np.ndarray, 'particles']":
    """Whether each row of the latents of `job` meets all conditions.

    Raises
    ------
    OptionError
        If a condition is not understood, or no particle meets all of them.
    CheckpointError
        If the job lacks what a condition speaks of.
    """
    import numpy as np

    from cryomix.files.checkpoint import read_array

    chosen = np.ones(len(read_array(job.latents)), bool)
    for text in conditions:
        for condition in re.split(r"\s+and\s+", text.strip()):
            chosen &= _meeting(job, condition)
    if not chosen.any():
        raise OptionError(f"no particle of {job.path} meets --select {' and '.join(conditions)}")
    return chosen


def _meeting(job: "JobFolder", condition: str) -> "Bool[np.ndarray, 'particles']":
    from cryomix.latent.criteria import inside_outline, passing

    comparison = _COMPARISON.fullmatch(condition)
    if comparison is not None:
        name, sign, bound = comparison.groups()
        return passing(read_values(job, name), sign, _number(bound, condition))
    what, *words = condition.split(":")
    if what == "cluster" and len(words) == 1:
        return _in_clusters(job, words[0], condition)
    if what in ("nearest", "within") and len(words) == 3:
        return _near_point(job, what, words, condition)
    if what == "lasso" and len(words) == 3:
        import numpy as np

        point = np.stack([read_values(job, name) for name in words[:2]], axis=1)
        return inside_outline(point, _read_outline(words[2], condition))
    if what == "rows" and len(words) == 1:
        return _read_rows(Path(words[0]), job)
    raise OptionError(f"--select takes {_FORMS}, got {condition!r}")


def read_values(job: "JobFolder", name: str) -> "Float[np.ndarray, 'particles']":
    """What a name stands for, one number per particle: a result of the job, or a column.

    Raises
    ------
    OptionError
        If the job has nothing of this name.
    """
    import numpy as np

    from cryomix.commands.record import find_particles
    from cryomix.files.checkpoint import read_array
    from cryomix.files.particle_file import read_column

    numbered = _NUMBERED.fullmatch(name)
    kind = numbered[1] if numbered else name
    files = {
        "latent": job.latents, "std": job.latent_std, "pca": job.pca, "umap": job.umap,
        "information": job.information, "informative": job.informative, "cluster": job.clusters,
        "image_score": job.image_score,
    }  # fmt: skip
    if kind not in files or (numbered is None) != (kind not in _COLUMNS):
        return read_column(find_particles(job), name)
    if not files[kind].is_file():
        raise OptionError(f"{job.path}: there is no {name}, because {files[kind].name} is missing")
    values = read_array(files[kind]).astype(np.float64)
    if numbered is None:
        return values + 1 if kind == "cluster" else values
    number = int(numbered[2])
    if not 1 <= number <= values.shape[1]:
        raise OptionError(f"{job.path}: has {kind}1 to {kind}{values.shape[1]}, but no {name}")
    return values[:, number - 1]


def _in_clusters(job: "JobFolder", numbers: str, condition: str) -> "Bool[np.ndarray, 'particles']":
    import numpy as np

    label = read_values(job, "cluster")
    wanted = [_number(word, condition) for word in numbers.split(",")]
    strange = [number for number in wanted if number not in label]
    if strange:
        raise OptionError(
            f"--select {condition}: clusters are numbered from 1 to {int(label.max())}, "
            f"got {strange[0]:g}"
        )
    return np.isin(label, wanted)


def _near_point(
    job: "JobFolder", what: str, words: Sequence[str], condition: str
) -> "Bool[np.ndarray, 'particles']":
    from cryomix.files.checkpoint import read_array
    from cryomix.files.job import find_trajectory
    from cryomix.files.training import read_latents
    from cryomix.latent.criteria import closest, within

    latent = read_array(job.latents)
    points = read_latents(find_trajectory(job, words[1]), latent.shape[1])
    number = _number(words[2], condition)
    if number not in range(1, len(points) + 1):
        raise OptionError(
            f"--select {condition}: {words[1]} has points 1 to {len(points)}, got {words[2]}"
        )
    point, reach = points[int(number) - 1], _number(words[0], condition)
    if reach <= 0 or (what == "nearest" and reach % 1):
        rule = "a number of particles" if what == "nearest" else "a distance"
        raise OptionError(f"--select {condition}: must be {rule} above 0, got {words[0]}")
    if what == "nearest":
        return closest(latent, point, int(reach))
    return within(latent, point, reach)


def _read_outline(text: str, condition: str) -> "Float[np.ndarray, 'corners 2']":
    """Corners of a polygon: of a file, or as they are written."""
    import numpy as np

    from cryomix.files.outline import read_outline

    if text.endswith((".json", ".csv", ".npy")):
        return read_outline(Path(text))
    pairs = [[_number(word, condition) for word in pair.split(",")] for pair in text.split(";")]
    if len(pairs) < 3 or any(len(pair) != 2 for pair in pairs):
        raise OptionError(
            f"--select {condition}: an outline is a file (.json, .csv, .npy), or at least three "
            f"corners such as 0,0;1,0;1,2, got {text!r}"
        )
    return np.array(pairs)


def _read_rows(path: Path, job: "JobFolder") -> "Bool[np.ndarray, 'particles']":
    import numpy as np

    from cryomix.files.checkpoint import read_array, read_number_rows

    count = len(read_array(job.latents))
    rows = read_array(path) if path.suffix == ".npy" else read_number_rows(path)
    if rows.dtype.kind == "b" and rows.shape == (count,):
        return rows
    rows = rows[:, 0] if rows.ndim == 2 and rows.shape[1] == 1 else rows
    numbers = rows.astype(np.int64) if rows.dtype.kind in "iuf" and rows.ndim == 1 else None
    if numbers is None or (numbers != rows).any():
        raise OptionError(
            f"{path}: must hold numbers of rows, or true or false for each of {count}, got "
            f"{rows.dtype} of shape {rows.shape}"
        )
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < count:
        raise OptionError(
            f"{path}: rows are numbered from 0 to {count - 1}, got {numbers.min()} to "
            f"{numbers.max()}"
        )
    chosen = np.zeros(count, bool)
    chosen[numbers] = True
    return chosen


def _number(text: str, condition: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise OptionError(f"--select {condition}: must be a number, got {text!r}") from None
    if not math.isfinite(number):
        raise OptionError(f"--select {condition}: must be finite, got {text!r}")
    return number
