"""What the explorer shows of a job that is being trained: latents and decoder as they are."""

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryomix.files.job import JobFolder
    from cryomix.files.training import UnfinishedTraining
    from cryomix.viewer.exploration import Column, Progress


def read_progress(job: "JobFolder") -> "tuple[Progress, UnfinishedTraining | None]":
    """How far the training of `job` has come, and what it has found by then, if anything.

    Raises
    ------
    CheckpointError
        If the state of the training or the record of the run cannot be read.
    """
    from cryomix.files.training import read_unfinished
    from cryomix.viewer.exploration import Progress

    found = read_unfinished(job.training_state) if job.training_state.is_file() else None
    if found is None:
        return Progress(0, has_ended=False), None
    epoch = found.state.history[-1].number
    return Progress(epoch, found.state.is_finished or epoch == _most_epochs(job)), found


def held_out_column(found: "UnfinishedTraining") -> "Column":
    """Which particles train the networks, 1, and which only score, 2."""
    from cryomix.viewer.exploration import Column

    part = 1.0 + found.held_out.astype("f8")
    return Column("held_out", "1 trains, 2 scores: part", "category", partial(part.copy))


def _most_epochs(job: "JobFolder") -> int:
    from cryomix.files.run_record import read_run_record

    return int(read_run_record(job.run_record).options.get("epochs", 0))
