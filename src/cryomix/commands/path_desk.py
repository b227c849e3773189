"""Paths of a job as the explorer lays, keeps and rebuilds them."""

import shlex
from dataclasses import fields
from functools import cached_property
from typing import TYPE_CHECKING

from cryomix.errors import CheckpointError, OutputError
from cryomix.options import TrajectoryOptions

if TYPE_CHECKING:
    from cryomix.files.job import JobFolder
    from cryomix.latent.laid_path import Cloud, LaidPath
    from cryomix.viewer.exploration import Decoding, KeptPath
    from cryomix.viewer.path_plan import PathPlan


def read_paths(job: "JobFolder", latent_size: int) -> "dict[str, KeptPath]":
    """The paths that `job` keeps now; files that hold no latents of it are passed over.

    Raises
    ------
    CheckpointError
        If a file is no array.
    """
    from cryomix.commands.kept_path import is_closed
    from cryomix.files.checkpoint import read_array
    from cryomix.viewer.exploration import KeptPath

    found = {}
    for file in sorted(job.trajectories.glob("*.npy")):
        path = read_array(file)
        if path.ndim == 2 and path.shape[1] == latent_size and len(path):
            found[file.stem] = KeptPath(path.astype("f4"), is_closed(job, file.stem))
    return found


class JobPathDesk:
    """Paths in the folder of a job."""

    def __init__(self, job: "JobFolder", decoding: "Decoding") -> None:
        self._job = job
        self._decoding = decoding

    def lay(self, plan: "PathPlan") -> "LaidPath":
        """The path, not written.

        Raises
        ------
        OptionError
            If there is no such path.
        """
        import torch

        from cryomix.latent.laid_path import lay_path

        points = torch.from_numpy(plan.points)
        return lay_path(plan.kind, points, self._cloud, self._decoding.decode, plan.options)

    def command(self, plan: "PathPlan", name: str) -> str:
        """``cryomix trajectory`` with the points as latents."""
        words = ["cryomix", "trajectory", str(self._job.path), plan.kind, *_words(plan)]
        return shlex.join([*words, *_flags(plan.options), "-o", name])

    def keep(self, name: str, plan: "PathPlan") -> "LaidPath":
        """Write ``analysis/trajectories/NAME.npy`` as that command does, and its record.

        Raises
        ------
        OptionError
            If there is no such path.
        OutputError
            If the job has a path of this name, or other commands write such ones.
        """
        from cryomix.commands.kept_path import keep_path
        from cryomix.files.run_record import COMMAND_LINE

        typed = COMMAND_LINE.set(self.command(plan, name))
        try:
            _, laid, _ = keep_path(self._job, plan.kind, _words(plan), name, plan.options)
        finally:
            COMMAND_LINE.reset(typed)
        return laid

    def rebuild(self, name: str) -> list[str]:
        """Arguments of ``cryomix reconstruct`` along a path that was kept.

        Raises
        ------
        CheckpointError
            If there is no such path.
        OutputError
            If there are maps along it.
        """
        if not (self._job.trajectories / f"{name}.npy").is_file():
            raise CheckpointError(f"{self._job.trajectories}: no path {name!r}: keep it first")
        there = sorted(self._job.volumes.glob(f"{name}[0-9][0-9][0-9].mrc"))
        if there:
            raise OutputError(f"{there[0]}: maps along this path are there already")
        return ["reconstruct", str(self._job.path), "--trajectory", name, "--no-clusters"]

    def clear(self, name: str) -> None:
        """Take away maps along a path whose command was stopped before it listed them."""
        from cryomix.files.volume_list import remove_unlisted

        remove_unlisted(self._job.volumes, f"{name}[0-9][0-9][0-9]")

    @cached_property
    def _cloud(self) -> "Cloud":
        from cryomix.commands.kept_path import read_cloud

        return read_cloud(self._job)


def _words(plan: "PathPlan") -> list[str]:
    from cryomix.commands.latent_points import word_of

    return [word_of(point) for point in plan.points]


def _flags(options: TrajectoryOptions) -> list[str]:
    """Those that differ from what the command takes by itself."""
    words = []
    for field in fields(options):
        value = getattr(options, field.name)
        if value == field.default:
            continue
        words.append("--" + field.name.replace("_", "-"))
        if value is not True:
            words += map(str, value) if isinstance(value, tuple) else [str(value)]
    return words
