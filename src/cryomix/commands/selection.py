"""Particles that a user picks by what a job found of them: conditions as text."""

import re
from collections.abc import Sequence
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

_COMPARISON = re.compile(r"_?([A-Za-z]\w*)\s*(<=|>=|!=|=|<|>)\s*(\S+)")
_NUMBERED = re.compile(r"(latent|std|pca|umap)(\d+)")
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
    from cryomix.latent.criteria import passing

    comparison = _COMPARISON.fullmatch(condition)
    if comparison is not None:
        name, sign, bound = comparison.groups()
        return passing(_values(job, name), sign, _number(bound, condition))
    what, _, rest = condition.partition(":")
    if what == "cluster":
        return _in_clusters(job, rest, condition)
    raise OptionError(f"--select takes {_FORMS}, got {condition!r}")


def _in_clusters(job: "JobFolder", numbers: str, condition: str) -> "Bool[np.ndarray, 'particles']":
    import numpy as np

    label = _values(job, "cluster")
    wanted = [_number(word, condition) for word in numbers.split(",")]
    strange = [number for number in wanted if number not in label]
    if strange:
        raise OptionError(
            f"--select {condition}: clusters are numbered from 1 to {int(label.max())}, "
            f"got {strange[0]:g}"
        )
    return np.isin(label, wanted)


def _values(job: "JobFolder", name: str) -> "Float[np.ndarray, 'particles']":
    """What a name stands for, one number per particle."""
    import numpy as np

    from cryomix.files.checkpoint import read_array

    numbered = _NUMBERED.fullmatch(name)
    files = {
        "latent": job.latents, "std": job.latent_std, "pca": job.pca, "umap": job.umap,
        "information": job.information, "informative": job.informative, "cluster": job.clusters,
    }  # fmt: skip
    kind = numbered[1] if numbered else name
    if kind not in files:
        raise OptionError(f"{name}: unknown")
    array = read_array(files[kind]).astype(np.float64)
    if numbered is None:
        return array + (kind == "cluster")
    number = int(numbered[2])
    if not 1 <= number <= array.shape[1]:
        raise OptionError(f"{name}: this job has {kind}1 to {kind}{array.shape[1]}")
    return array[:, number - 1]


def _number(text: str, condition: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise OptionError(f"--select {condition}: must be a number, got {text!r}") from None
