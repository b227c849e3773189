"""`cryomix reconstruct`: maps of clusters, and of states along a path or at given latents."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryomix.commands.flags import Flat, JobPath, Seed
from cryomix.commands.selection import Conditions
from cryomix.errors import CheckpointError
from cryomix.options import ReconstructionOptions, RuntimeOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from torch import Tensor

    from cryomix.commands.states import StateMap
    from cryomix.files.job import JobFolder
    from cryomix.files.volume_list import VolumeEntry
    from cryomix.imaging.particles import Particles
    from cryomix.imaging.volume import Volume

_DEFAULT = ReconstructionOptions()
_RUNTIME = RuntimeOptions()
_MASK_RESOLUTION = 15.0


def reconstruct(
    job: JobPath,
    *,
    trajectory: Annotated[
        str | None, Parameter(help="name of a path in JOB/analysis/trajectories, such as curve")
    ] = None,
    at: Annotated[
        Path | None, Parameter(help="latents to rebuild at, one map per row (.npy)")
    ] = None,
    select: Conditions = (),
    out: Annotated[
        Path | None, Parameter(name=["--out", "-o"], help="folder to write [JOB/volumes]")
    ] = None,
    seed: Seed = 0,
    options: Annotated[ReconstructionOptions, Flat] = _DEFAULT,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> None:
    """Rebuild maps from the particles, with half maps, FSC and resolution.

    Of each cluster, and of the state at each point of a trajectory or at given latents: from
    all particles, weighted by how near they are, in each shell as its noise and its blur demand.
    Writes NAME.mrc (filtered by its FSC, solvent flattened), NAME_half1.mrc and
    NAME_half2.mrc (neither filtered nor flattened), and fsc/NAME.csv. With --improved instead
    one map of all particles, moving parts carried back, and whether that helped. With --select
    also one map, selection.mrc, of the particles that `cryomix export` takes by it.

        cryomix reconstruct job --trajectory curve
        cryomix reconstruct job --at latents.npy --no-clusters -o states
        cryomix reconstruct job --select rows:chosen.npy --no-clusters -o chosen
        cryomix reconstruct job --improved
        torchrun --nproc-per-node 4 -m cryomix reconstruct job
    """
    from cryomix.commands.device import prepare_device
    from cryomix.commands.record import read_source
    from cryomix.commands.report import write_report
    from cryomix.files.job import create_job, open_job
    from cryomix.files.run_record import write_run_record
    from cryomix.processes import is_first_process

    device = prepare_device(runtime, in_many=True)
    folder = open_job(job, needs=_needs(options))
    source, particles = read_source(folder)
    points = _read_points(folder, trajectory, at)
    if out is not None and is_first_process():
        create_job(out, resume=False)

    lines = reconstruct_into(folder, out or folder.volumes, particles, points, options, select)

    if not is_first_process():
        return
    record = (out or folder.volumes) / "run.toml"
    inputs = [folder.latents, source] if at is None else [folder.latents, source, at]
    settings = {**asdict(options), "select": list(select)}
    write_run_record(record, "reconstruct", settings, inputs, seed, str(device))
    if out is None and folder.model.is_file():
        write_report(folder)
    print("\n".join(lines))


def _read_points(
    job: "JobFolder", trajectory: str | None, at: Path | None
) -> "dict[str, np.ndarray]":
    """Latents to rebuild at, by the name of their maps."""
    from cryomix.files.checkpoint import read_array
    from cryomix.files.job import find_trajectory
    from cryomix.files.training import read_latents

    size = read_array(job.latents).shape[1]
    points = {}
    if trajectory is not None:
        points[Path(trajectory).stem] = read_latents(find_trajectory(job, trajectory), size)
    if at is not None:
        points["at"] = read_latents(at, size)
    return points


def reconstruct_into(
    job: "JobFolder",
    folder: Path,
    particles: "Particles",
    points: "dict[str, np.ndarray]",
    options: ReconstructionOptions,
    select: tuple[str, ...] = (),
) -> list[str]:
    """Rebuild the maps of the clusters of `job` and of the states at `points`; a line for each.

    And that of the particles that meet the conditions `select`, if there are any.

    Of many processes only the first writes, and has lines.
    """
    import torch

    from cryomix.commands.selection import select_particles
    from cryomix.files.checkpoint import read_array
    from cryomix.files.mrc import read_volume
    from cryomix.files.volume_list import VolumeEntry, update_volume_list
    from cryomix.processes import is_first_process

    latent = read_array(job.latents)
    if len(latent) != len(particles):
        raise CheckpointError(f"{job.latents}: {len(latent)} rows, but {len(particles)} particles")
    groups = _choose_particles(job, latent, points, options)
    if select:
        groups["selection"] = torch.from_numpy(select_particles(job, select)).nonzero().flatten()
    rows = {} if options.nearest else points
    if not groups and not rows and not options.improved:
        raise CheckpointError(
            f"{job.path}: nothing to rebuild: give --clusters, --improved, --trajectory, --at or "
            "--select"
        )
    origin = read_volume(job.neutral_map).origin
    entries: dict[str, VolumeEntry] = {}
    lines: list[str] = []
    if options.improved:
        entries, lines = _improve(job, folder, particles, origin, options)
    for name, state in _rebuild(job, particles, latent, groups, rows, options.padding):
        entries[name] = _write_maps(folder, name, state, origin, options.flatten)
    if not is_first_process():
        return []
    update_volume_list(folder, entries)
    return [*(_describe(name, entry) for name, entry in entries.items()), *lines]


def _improve(
    job: "JobFolder",
    folder: Path,
    particles: "Particles",
    origin: tuple[float, float, float],
    options: ReconstructionOptions,
) -> "tuple[dict[str, VolumeEntry], list[str]]":
    """Write the improved map; its entry, and whether it helped. Of many processes the first."""
    from cryomix.commands.improved import describe_improved, rebuild_improved, write_comparison

    improved = rebuild_improved(job, particles, options.padding)
    if improved is None:
        return {}, []
    state = improved.as_state(len(particles))
    entry = _write_maps(folder, "improved", state, origin, options.flatten, improved.mask)
    write_comparison(folder, improved)
    return {"improved": entry}, [describe_improved(improved)]


def _needs(options: ReconstructionOptions) -> tuple[str, ...]:
    if options.improved:
        return "latents", "model"
    return ("latents", "clusters") if options.clusters else ("latents",)


def _rebuild(
    job: "JobFolder",
    particles: "Particles",
    latent: "np.ndarray",
    groups: "dict[str, Tensor]",
    points: "dict[str, np.ndarray]",
    padding: float,
) -> "Iterator[tuple[str, StateMap]]":
    """The maps of groups of particles, then those of the states at points."""
    import torch

    from cryomix.commands.progress import counting
    from cryomix.commands.states import StateMap, rebuild_states
    from cryomix.reconstruction.backprojection import reconstruct_groups

    if groups:
        with counting("particles inserted") as report:
            maps = reconstruct_groups(
                particles, list(groups.values()), padding=padding, report=report
            )
        for (name, index), halves in zip(groups.items(), maps, strict=False):
            count = torch.full((particles.grid.n_rings,), len(index))
            yield name, StateMap(halves, count, is_weighted=False)
    for name, rows in points.items():
        states = rebuild_states(job, particles, latent, rows, padding)
        for number, state in enumerate(states, start=1):
            yield f"{name}{number:03d}", state


def _describe(name: str, entry: "VolumeEntry") -> str:
    count = f"{entry.particles} particles"
    if entry.finest_particles is not None:
        count = f"{entry.particles} effective particles, {entry.finest_particles} in fine shells"
    return f"{name}: {count}, {entry.resolution:.1f} Å (FSC 0.143, masked)"


def _choose_particles(
    job: "JobFolder",
    latent: "np.ndarray",
    points: "dict[str, np.ndarray]",
    options: ReconstructionOptions,
) -> "dict[str, Tensor]":
    """Those of each cluster and, where a number is given, those nearest to each point."""
    import torch

    from cryomix.files.checkpoint import read_array
    from cryomix.latent.latent_map import LatentMap, nearest_along

    groups = {}
    if options.clusters and not options.improved:
        label = torch.from_numpy(read_array(job.clusters))
        for number in label.unique().tolist():
            groups[f"cluster{number + 1:02d}"] = (label == number).nonzero().flatten()
    if options.nearest:
        values = torch.from_numpy(latent)
        everyone = LatentMap(
            values, torch.zeros_like(values), torch.arange(len(values)), values[:, 0]
        )
        for name, rows in points.items():
            near = nearest_along(everyone, torch.from_numpy(rows), options.nearest)
            for number, chosen in enumerate(near, start=1):
                groups[f"{name}{number:03d}"] = chosen.index
    return groups


def _write_maps(
    folder: Path,
    name: str,
    state: "StateMap",
    origin: tuple[float, float, float],
    flatten: bool,
    mask: "Volume | None" = None,
) -> "VolumeEntry":
    """`mask` is where the molecule is; found in the map by default."""
    from cryomix.files.checkpoint import write_csv
    from cryomix.files.mrc import write_volume
    from cryomix.files.volume_list import VolumeEntry
    from cryomix.imaging.masking import apply_mask, soft_mask
    from cryomix.reconstruction.resolution import (
        average,
        filter_by_fsc,
        half_map_correlation,
        resolution_at,
    )

    halves = state.halves
    whole = average(halves)
    size = whole.voxel_size
    if mask is None:
        mask = soft_mask(whole, max(_MASK_RESOLUTION, 3 * size))
    unmasked, masked = half_map_correlation(halves), half_map_correlation(halves, mask)
    shown = filter_by_fsc(whole, masked if flatten else unmasked)
    for suffix, volume in (
        ("", apply_mask(shown, mask) if flatten else shown),
        ("_half1", halves.first),
        ("_half2", halves.second),
    ):
        write_volume(folder / f"{name}{suffix}.mrc", replace(volume, origin=origin))
    length = whole.box_size * size
    columns = (unmasked.tolist(), masked.tolist(), state.effective.tolist())
    rows = [
        (shell, shell / length, *values) for shell, values in enumerate(zip(*columns, strict=True))
    ]
    header = ["shell", "frequency", "fsc", "masked", "particles"]
    write_csv(folder / "fsc" / f"{name}.csv", header, rows)
    first, last = round(float(state.effective[0])), round(float(state.effective[-1]))
    reached = resolution_at(masked, size, box_size=whole.box_size)
    return VolumeEntry(first, reached, last if state.is_weighted else None)
