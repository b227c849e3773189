"""What `cryomix reproduce` found for the particles of a job, where it lies beside that job."""

import json
from dataclasses import dataclass
from pathlib import Path

from cryomix.errors import CheckpointError
from cryomix.files.job import JobFolder
from cryomix.files.run_record import read_run_record


@dataclass(frozen=True, slots=True)
class HalvesVerdict:
    """The answer of one comparison of halves.

    Attributes
    ----------
    folder
        It lies there.
    is_reproducible
        Whether there is anything that both halves found.
    verdict
        In words, a sentence.
    """

    folder: JobFolder
    is_reproducible: bool
    verdict: str


def find_halves_verdict(job: JobFolder, particles: str) -> HalvesVerdict | None:
    """The verdict for the same particles, from the folder that holds the job or one beside it.

    The newest one, if there are several; None if there is none.

    Parameters
    ----------
    job
        Of all particles, or of one of the halves.
    particles
        The job's particle file, as its run.toml has it.

    Raises
    ------
    CheckpointError
        If the newest is malformed.
    """
    parent = job.path.resolve().parent
    files = [JobFolder(parent).reproducibility, *parent.glob("*/reproducibility.json")]
    ours = [file for file in files if _is_of(file, particles)]
    return _read(max(ours, key=lambda file: file.stat().st_mtime_ns)) if ours else None


def _is_of(file: Path, particles: str) -> bool:
    """Folders beside a job may be anything; only records of these particles count."""
    record = JobFolder(file.parent).run_record
    if not (file.is_file() and record.is_file()):
        return False
    try:
        return read_run_record(record).options.get("particles") == particles
    except CheckpointError:
        return False


def _read(file: Path) -> HalvesVerdict:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        return HalvesVerdict(
            JobFolder(file.parent), bool(told["reproducible"]), str(told["verdict"][0])
        )
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise CheckpointError(f"{file}: not a comparison of halves: {error}") from error
