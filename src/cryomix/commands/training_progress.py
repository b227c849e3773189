"""What the explorer shows of a job that is being trained: latents and decoder as they are."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryomix.files.job import JobFolder
    from cryomix.files.training import UnfinishedTraining
    from cryomix.viewer.exploration import Column, Progress

_PARTS = ("moves the networks", "held out, only scores")


def read_progress(job: "JobFolder") -> "tuple[Progress, UnfinishedTraining | None]":
    """How far the training of `job` has come, and what it has found by then, if anything.

    Raises
    ------
    CheckpointError
        If the state of the training or the record of the run cannot be read.
    """
    from cryomix.files.training import read_unfinished
    from cryomix.viewer.exploration import Progress

    path = job.training_state
    found = read_unfinished(path) if path.is_file() else None
    if found is None:
        return Progress(0, has_ended=False, written=0.0), None
    epoch = found.state.history[-1].number
    has_ended = found.state.is_finished or epoch == _most_epochs(job)
    return Progress(epoch, has_ended, path.stat().st_mtime), found


def held_out_column(found: "UnfinishedTraining") -> "Column":
    """Which particles train the networks, 1, and which only score, 2."""
    from cryomix.viewer.exploration import Column

    part = 1.0 + found.held_out.astype("f8")
    return Column("held_out", "training or held out", "category", part.copy, _PARTS)


def find_trained_rows(job: "JobFolder") -> Path | None:
    """The file whose rows are trained on; None where they are some of its rows, or it has gone."""
    from cryomix.files.run_record import read_run_record

    options = read_run_record(job.run_record).options
    if "half" in options or not isinstance(options.get("particles"), str):
        return None
    source = Path(options["particles"])
    expanded = job.expanded(source)
    rows = expanded if expanded.is_file() else source
    return rows if rows.is_file() else None


def _most_epochs(job: "JobFolder") -> int:
    from cryomix.files.run_record import read_run_record

    return int(read_run_record(job.run_record).options.get("epochs", 0))
