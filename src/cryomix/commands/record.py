"""The beginning of a job: its folder, what is run in it, and whether it may go on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cryomix.errors import CheckpointError, InputFileError

if TYPE_CHECKING:
    import torch

    from cryomix.files.job import JobFolder
    from cryomix.files.run_record import RunRecord
    from cryomix.imaging.half_sets import Half
    from cryomix.imaging.particles import Particles


def record_job(
    job: "JobFolder",
    command: str,
    settings: Mapping[str, object],
    inputs: Sequence[Path],
    seed: int,
    device: "torch.device",
) -> None:
    """Write the run.toml of a new job, or see that one which goes on is the same.

    Raises
    ------
    CheckpointError
        If a job goes on with another command, other settings or other inputs.
    """
    from cryomix.files.run_record import read_run_record, write_run_record

    if job.run_record.is_file():
        _require_same(job.path, read_run_record(job.run_record), command, settings, inputs)
    else:
        write_run_record(job.run_record, command, settings, inputs, seed, str(device))


def describe_source(
    particles: Path,
    data_folder: Path | None,
    half: "Half | None" = None,
    beside: Path | None = None,
) -> dict[str, object]:
    """Where the particles came from, as run.toml keeps it for later commands."""
    return {
        "particles": str(particles.resolve()),
        "datadir": None if data_folder is None else str(data_folder.resolve()),
        "beside": None if beside in (None, particles) else str(beside.resolve()),
        "half": half,
    }


def read_source(job: "JobFolder") -> tuple[Path, "Particles"]:
    """The particles that a job was trained on, and their file; with symmetry, all copies.

    Raises
    ------
    CheckpointError
        If the job does not say.
    """
    from cryomix.files.particle_file import read_particles
    from cryomix.files.run_record import read_run_record

    data_folder, beside = stack_place(job)
    options = read_run_record(job.run_record).options
    if options.get("half", "odd") not in ("odd", "even"):
        raise CheckpointError(f"{job.run_record}: half must be odd or even")
    source = Path(options["particles"])
    expanded = job.expanded(source)
    rows = expanded if expanded.is_file() else source
    particles = read_particles(rows, data_folder=data_folder, beside=beside)
    if "half" in options:
        particles = take_half_of(particles, options["half"], source)
    return rows, particles


def stack_place(job: "JobFolder") -> tuple[Path | None, Path]:
    """The folder in which the stacks of `job` are looked for first, and the file beside them.

    Raises
    ------
    CheckpointError
        If the job does not say.
    """
    from cryomix.files.run_record import read_run_record

    options = read_run_record(job.run_record).options
    if not isinstance(options.get("particles"), str):
        raise CheckpointError(f"{job.run_record}: does not name the particles of the job")
    for name in ("datadir", "beside"):
        if not isinstance(options.get(name, ""), str):
            raise CheckpointError(f"{job.run_record}: {name} must be a path")
    folder = Path(options["datadir"]) if "datadir" in options else None
    return folder, Path(options.get("beside", options["particles"]))


def find_particles(job: "JobFolder") -> Path:
    """The particle file of `job`, with latents and clusters.

    Raises
    ------
    CheckpointError
        If the job does not say of which kind it is, or it is not there.
    """
    file = job.particles(stack_place(job)[1])
    if not file.is_file():
        raise CheckpointError(f"{file}: there is no such file")
    return file


def take_half_of(particles: "Particles", half: "Half", source: Path) -> "Particles":
    """One half set of `particles`, which came from `source`.

    Raises
    ------
    InputFileError
        If there are no particles in it.
    """
    from cryomix.imaging.half_sets import NUMBER, take_half

    chosen = take_half(particles, half)
    if not len(chosen):
        raise InputFileError(
            f"{source}: the {half} half needs particles of half set {NUMBER[half]}, got none"
        )
    return chosen


def require_usable_images(particles: "Particles", source: Path) -> None:
    """Read every image once; refuse those that are not finite or are constant.

    Raises
    ------
    InputFileError
        Naming the first of them.
    """
    from cryomix.commands.progress import counting
    from cryomix.files.mrc import find_bad_images

    with counting("images read") as report:
        bad = find_bad_images(particles.images, report)
    if bad:
        raise InputFileError(bad_images(source, bad))


def bad_images(source: Path, bad: Sequence[int]) -> str:
    """One line about images that cannot be used."""
    rows = ", ".join(str(row + 1) for row in bad[:5]) + (", …" if len(bad) > 5 else "")
    return f"{source}: images must be finite and not constant; {len(bad)} are not: rows {rows}"


def _require_same(
    folder: Path,
    record: "RunRecord",
    command: str,
    settings: Mapping[str, object],
    inputs: Sequence[Path],
) -> None:
    from cryomix.files.run_record import digest_input

    if record.command != command:
        raise CheckpointError(
            f"{folder}: holds a job of `cryomix {record.command}`, got --resume of {command}"
        )
    given = {name: value for name, value in settings.items() if value is not None}
    for name in sorted(given.keys() | record.options.keys()):
        before, now = record.options.get(name), given.get(name)
        if before != now:
            raise CheckpointError(
                f"{folder}: --resume needs the same {name} as before, {before!r}, got {now!r}"
            )
    for path, digest in zip(inputs, record.inputs, strict=False):
        if digest_input(path).sha256 != digest.sha256:
            raise CheckpointError(f"{folder}: --resume needs the same input, {path} has changed")
