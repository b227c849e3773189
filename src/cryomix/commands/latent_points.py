"""Points of the latent space as they are named on the command line."""

from pathlib import Path
from typing import TYPE_CHECKING

from cryomix.errors import CheckpointError, OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from jaxtyping import Float

    from cryomix.files.job import JobFolder

POINT_HELP = (
    "cluster:3 (its centre), particle:1204 (its row), latents such as 0.5,-1.2, or a "
    "file with latents in rows (.npy, .csv)"
)
_FILES = (".npy", ".csv")


def read_points(
    job: "JobFolder", words: "Sequence[str]", latent_size: int
) -> "Float[np.ndarray, 'points latent']":
    """Latents at the points that were named, in their order, float32.

    Raises
    ------
    OptionError
        If a word names no point.
    CheckpointError
        If the job lacks what a word speaks of, or a file holds no latents of this job.
    """
    import numpy as np

    return np.concatenate([_read_point(job, word, latent_size) for word in words])


def named_files(words: "Sequence[str]") -> list[Path]:
    """Those words that are files of latents."""
    return [Path(word) for word in words if word.endswith(_FILES)]


def word_of(latent: "Float[np.ndarray, 'latent']") -> str:
    """A latent as the command line takes it; reading it gives the same float32."""
    import numpy as np

    return ",".join(str(np.float32(value)) for value in latent)


def _read_point(job: "JobFolder", word: str, size: int) -> "Float[np.ndarray, 'points latent']":
    import numpy as np

    from cryomix.files.checkpoint import read_array
    from cryomix.files.training import read_latents

    if word.endswith(_FILES):
        return read_latents(Path(word), size)
    what, _, number = word.partition(":")
    if what in ("cluster", "particle") and number.isdecimal():
        latent = read_latents(job.latents, size)
        if what == "particle":
            return latent[_row(word, int(number), len(latent))][None]
        if not job.clusters.is_file():
            raise CheckpointError(f"{job.path}: {word} needs clusters, which analyze finds")
        label = read_array(job.clusters)
        center: np.ndarray = latent[label == _row(word, int(number), int(label.max()) + 1)]
        return center.mean(axis=0, keepdims=True)
    try:
        values = np.array([[float(value) for value in word.split(",")]], np.float32)
    except ValueError:
        raise OptionError(
            f"a point is cluster:3, particle:1204, latents such as 0.5,-1.2, or a file of latents "
            f"(.npy, .csv), got {word!r}"
        ) from None
    if values.shape[1] != size or not np.isfinite(values).all():
        raise OptionError(f"a point of this job has {size} finite latents, got {word!r}")
    return values


def _row(word: str, number: int, count: int) -> int:
    if not 1 <= number <= count:
        raise OptionError(f"{word}: numbers go from 1 to {count}")
    return number - 1
