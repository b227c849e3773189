"""`cryomix refine-poses`: each particle's pose against its own conformation."""

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryomix.commands.flags import Flat, JobPath, Resume, Seed
from cryomix.errors import CheckpointError, OutputError
from cryomix.options import RuntimeOptions, TrainingOptions

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from cryomix.files.job import JobFolder
    from cryomix.fitting.pose_rounds import PoseRound, PoseState
    from cryomix.geometry.poses import Poses
    from cryomix.imaging.particles import Particles

_OutFile = Annotated[
    Path,
    Parameter(
        name=["--out", "-o"],
        help="particle file to write, .star, .cs or .lst as the job's; must not be there yet",
    ),
]
_RUNTIME = RuntimeOptions()
_MASK_RESOLUTION = 15.0
_PADDING = 1.5


def refine_poses(
    job: JobPath,
    *,
    out: _OutFile,
    resume: Resume = False,
    seed: Seed = 0,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> None:
    """Refine rotations and shifts against each particle's own conformation.

    Poses, networks and latents take turns until poses no longer explain rings that they were not
    refined on surely better. Writes the user's particle file (.star, .cs or .lst) with all rows,
    columns and blocks, only poses changed, and beside it a folder of the same name: rounds.csv,
    fsc.csv, run.toml.

        cryomix refine-poses job -o refined.star
        cryomix train refined.star --neutral job/neutral -o refined_job
    """
    from cryomix.commands.device import prepare_device
    from cryomix.commands.progress import say
    from cryomix.commands.record import read_source, record_job
    from cryomix.files.job import JobFolder, create_job, open_job
    from cryomix.files.particle_file import require_kind, write_particles, write_poses
    from cryomix.files.pose_state import write_rounds

    device = prepare_device(runtime)
    trained = open_job(job, needs=("model", "latents"))
    source, particles = read_source(trained)
    require_kind(out, source)
    if source == trained.expanded(source):
        raise CheckpointError(
            f"{job}: poses of a job with symmetry are not refined: its copies of one image would "
            "go different ways"
        )
    folder = JobFolder(out.with_suffix(""))
    if out.exists() and not (resume and folder.run_record.is_file()):
        raise OutputError(f"{out}: there is such a file already")
    create_job(folder.path, resume=resume)
    inputs = [source, trained.model, trained.latents]
    settings = {"job": str(job.resolve())}
    record_job(folder, "refine-poses", settings, inputs, seed, device)
    if out.exists():
        say(f"{out}: is refined already")
        return

    state = _refine(trained, folder, particles, device)
    lines = [_describe_gain(state)]
    if _has_gained(state):
        lines.append(_compare_maps(folder, trained, particles, state.best))
        write_poses(source, out, state.best, pixel_size=particles.pixel_size)
    else:
        lines.append("no poses are surely better than the given ones, which are written back")
        write_particles(source, out)
    write_rounds(folder.path / "rounds.csv", state.rounds)
    _state_file(folder).unlink()
    print("\n".join([*lines, f"poses: {out}"]))


def _refine(
    trained: "JobFolder", folder: "JobFolder", particles: "Particles", device: "torch.device"
) -> "PoseState":
    """Every round, or those that are left to do."""
    import torch

    from cryomix.commands.progress import counting, say
    from cryomix.files.pose_state import read_pose_state, write_pose_state
    from cryomix.files.training import read_latents, read_model
    from cryomix.fitting.pose_rounds import refine_in_rounds

    options = _training_options(trained)
    model = read_model(trained.model)
    latent = torch.from_numpy(read_latents(trained.latents, model.settings.latent_size))
    if len(latent) != len(particles):
        raise CheckpointError(
            f"{trained.latents}: {len(latent)} rows, but {len(particles)} particles"
        )
    model.to(device, options.precision)
    file = _state_file(folder)

    def save(state: "PoseState") -> None:
        write_pose_state(file, state)
        say(_describe_round(state.rounds[-1]))

    state = read_pose_state(file) if file.is_file() else None
    return refine_in_rounds(
        model, particles, latent, options, state=state, save=save, counting=counting
    )


def _training_options(trained: "JobFolder") -> TrainingOptions:
    """Those that `trained` was trained with."""
    from cryomix.files.run_record import read_run_record

    record = read_run_record(trained.run_record)
    names = {field.name for field in fields(TrainingOptions)}
    try:
        return TrainingOptions(
            **{name: value for name, value in record.options.items() if name in names}
        )
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{trained.run_record}: not of a training: {error}") from error


def _state_file(folder: "JobFolder") -> Path:
    return folder.path / "state.safetensors"


def _has_gained(state: "PoseState") -> bool:
    """Whether a round after round 0 was the best."""
    return float(state.best_scores.mean()) > state.rounds[0].left_out_score


def _describe_round(done: "PoseRound") -> str:
    text = f"round {done.number}: rings left out {done.left_out_score:.2f} nats"
    if done.number == 0:
        return f"{text} at the given poses"
    return (
        f"{text}; turned {done.turned_deg:.2f}°, shifted {done.shifted:.2f} Å; given poses are off "
        f"by {done.prior_deg:.2f}° and {done.prior_shift:.2f} Å along each axis"
    )


def _describe_gain(state: "PoseState") -> str:
    first, last = state.rounds[0], state.rounds[-1]
    return (
        f"rings left out, particles held out: {first.left_out_score:.2f} to "
        f"{float(state.best_scores.mean()):.2f} nats; all: {first.score:.2f} to {last.score:.2f}"
    )


def _compare_maps(
    folder: "JobFolder", trained: "JobFolder", particles: "Particles", poses: "Poses"
) -> str:
    """FSC of the half maps at the given and at refined `poses`; a table and a line."""
    import torch

    from cryomix.commands.progress import counting
    from cryomix.files.checkpoint import write_csv
    from cryomix.files.training import read_model
    from cryomix.imaging.masking import soft_mask
    from cryomix.reconstruction.backprojection import reconstruct
    from cryomix.reconstruction.resolution import average, half_map_correlation, resolution_at

    everyone = torch.arange(len(particles))
    halves = []
    for name, placed in (("given", particles), ("refined", replace(particles, poses=poses))):
        with counting(f"particles inserted at {name} poses") as report:
            halves.append(reconstruct(placed, everyone, padding=_PADDING, report=report))
    whole = average(halves[1])
    mask = soft_mask(whole, max(_MASK_RESOLUTION, 3 * whole.voxel_size))
    before, after = (half_map_correlation(pair, mask) for pair in halves)
    length = whole.box_size * whole.voxel_size
    rows = zip(before.tolist(), after.tolist(), strict=True)
    table = [(shell, shell / length, *values) for shell, values in enumerate(rows)]
    write_csv(folder.path / "fsc.csv", ["shell", "frequency", "given", "refined"], table)
    first, last = (
        resolution_at(fsc, whole.voxel_size, box_size=whole.box_size) for fsc in (before, after)
    )
    finest = read_model(trained.model).settings.resolution
    beyond = slice(particles.grid.ring_of(finest) + 1, None)
    finer = f"{_mean(before[beyond]):.3f} to {_mean(after[beyond]):.3f}"
    return (
        f"half maps (FSC 0.143, masked): {first:.1f} to {last:.1f} Å; "
        f"mean FSC finer than {finest:g} Å, which no pose saw: {finer}"
    )


def _mean(fsc: "Tensor") -> float:
    return float(fsc.mean()) if len(fsc) else float("nan")
