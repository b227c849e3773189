"""A path through the latent space, written where a job keeps its paths."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from cryomix.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryomix.files.job import JobFolder
    from cryomix.latent.laid_path import Cloud, LaidPath
    from cryomix.options import PathKind, TrajectoryOptions

_TAKEN = re.compile(r"axis\d+|curve|loop|at|cluster.*")  # names that analyze and reconstruct write


def keep_path(
    job: "JobFolder",
    kind: "PathKind",
    words: "Sequence[str]",
    name: str,
    options: "TrajectoryOptions",
    seed: int = 0,
    device: str = "cpu",
) -> "tuple[Path, LaidPath, Cloud]":
    """Lay a path through the points that `words` name and write it, with its record.

    Raises
    ------
    CheckpointError
        If the job lacks what a word speaks of.
    OptionError
        If there is no such path.
    OutputError
        If there is a file of this name, or the name belongs to another command.
    """
    import torch

    from cryomix.commands.latent_points import named_files, read_points
    from cryomix.files.checkpoint import write_array
    from cryomix.files.run_record import write_run_record
    from cryomix.files.training import read_model
    from cryomix.latent.laid_path import lay_path

    file = _place(job, name)
    cloud = read_cloud(job)
    given = torch.from_numpy(read_points(job, words, cloud.everyone.shape[1]))
    laid = lay_path(kind, given, cloud, read_model(job.model).decode, options)
    write_array(file, laid.latent.numpy())
    settings = {"job": str(job.path), "kind": kind, "points": list(words), **asdict(options)}
    inputs = [job.latents, job.model, *named_files(words)]
    write_run_record(file.with_suffix(".toml"), "trajectory", settings, inputs, seed, device)
    return file, laid, cloud


def read_cloud(job: "JobFolder") -> "Cloud":
    """Latents of all particles, and of those that see the motion."""
    import torch

    from cryomix.files.checkpoint import read_array
    from cryomix.files.training import read_informative
    from cryomix.latent.laid_path import Cloud

    everyone = torch.from_numpy(read_array(job.latents))
    informative = read_informative(job, len(everyone))
    seeing = everyone if informative is None else everyone[torch.from_numpy(informative)]
    return Cloud(everyone, seeing)


def is_closed(job: "JobFolder", name: str) -> bool:
    """Whether a path that the job keeps comes back to its first point, as far as is known."""
    from cryomix.errors import CheckpointError
    from cryomix.files.run_record import read_run_record

    record = job.trajectories / f"{name}.toml"
    if not record.is_file():
        return name == "loop"  # the only closed path that analyze writes
    try:
        options = read_run_record(record).options
    except CheckpointError:
        return False
    return options.get("kind") == "circle" or options.get("closed") is True


def _place(job: "JobFolder", name: str) -> Path:
    """Where a path of that name may be written."""
    file = Path(name) if name.endswith(".npy") else job.trajectories / f"{name}.npy"
    if not name.endswith(".npy") and Path(name).name != name:
        raise OutputError(f"{name}: a file of latents must end in .npy, a name have no folder")
    if file.exists():
        raise OutputError(f"{file}: is there already; name another with -o")
    if file.parent.resolve() == job.trajectories.resolve() and _TAKEN.fullmatch(file.stem):
        raise OutputError(
            f"{file}: analyze and reconstruct write files of this name; choose another"
        )
    return file
