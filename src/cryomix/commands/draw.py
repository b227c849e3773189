"""`cryomix draw`: arrows, movies and the place of a path, for a figure or a talk."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryomix.commands.flags import Flat, JobPath, OutFolder, Seed
from cryomix.errors import OptionError
from cryomix.options import DrawingOptions, RuntimeOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from cryomix.files.job import JobFolder
    from cryomix.imaging.gaussians import GaussianModel
    from cryomix.imaging.volume import Volume
    from cryomix.latent.flow import DensityFlow
    from cryomix.report.motion_arrows import Arrows

_DEFAULT = DrawingOptions()
_RUNTIME = RuntimeOptions()
_MODEL_MS, _MAP_MS = 80, 400  # that a frame is shown


def draw(
    job: JobPath,
    trajectory: Annotated[
        str,
        Parameter(help="name of a path in JOB/analysis/trajectories, or a file of latents"),
    ],
    *,
    out: OutFolder,
    seed: Seed = 0,
    options: Annotated[DrawingOptions, Flat] = _DEFAULT,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> None:
    """Draw the motion along a path: arrows, movies, and where the path lies among the particles.

    Writes arrows.png and arrows.svg (three views, coloured by displacement in Å), path.png and
    path.svg, models.gif of the decoded models and, where reconstruct rebuilt maps along the
    path, maps.gif of those.

        cryomix draw job curve -o drawings --scale 2
        cryomix draw job loop -o drawings --closed --between 1 3 --arrows density
        cryomix draw job geodesic -o drawings --movie mp4 --frames 120
    """
    import torch

    from cryomix.commands.device import prepare_device
    from cryomix.files.job import create_job, find_trajectory, open_job
    from cryomix.files.movie import require_movie
    from cryomix.files.run_record import write_run_record
    from cryomix.files.training import read_latents, read_model

    device = prepare_device(runtime)
    folder = open_job(job, needs=("latents", "model"))
    source = find_trajectory(folder, trajectory)
    model = read_model(folder.model)
    latent = torch.from_numpy(read_latents(source, model.settings.latent_size))
    ends = _ends(source, len(latent), options)
    require_movie(out / f"models.{options.movie}")
    maps = _read_maps(folder, source.stem, len(latent))
    written = create_job(out, resume=False)

    lines = _draw_motion(out, model.decode(latent), maps, ends, options)
    _write_figure(out / "path", _map_path(folder, latent))

    settings = {"job": str(job), **asdict(options)}
    inputs = [folder.model, folder.latents, source]
    write_run_record(written.run_record, "draw", settings, inputs, seed, str(device))
    told = f"{len(maps)} maps" if maps else f"no maps: reconstruct --trajectory {source.stem} first"
    print("\n".join([*lines, f"{out}: {told}"]))


def _draw_motion(
    out: Path,
    models: "GaussianModel",
    maps: "list[Volume]",
    ends: tuple[int, int],
    options: DrawingOptions,
) -> list[str]:
    """Write arrows and movies; what there is to say of them."""
    from cryomix.commands.progress import say
    from cryomix.files.movie import write_movie
    from cryomix.latent.flow import follow_density, largest_moving_group
    from cryomix.report.motion_arrows import draw_arrows
    from cryomix.report.motion_pictures import frame_models
    from cryomix.report.movie_frames import draw_map_frames, draw_model_frames

    first, last = ends
    say("following the density")
    flow = follow_density(models)
    arrows = _arrows(models, flow, first, last, options)
    moving = largest_moving_group(models, flow).share.double().numpy()
    _write_figure(out / "arrows", draw_arrows(models[first], arrows, options.scale))
    say("drawing frames")
    frames = draw_model_frames(models, moving, options.frames, is_closed=options.closed)
    write_movie(out / f"models.{options.movie}", frames, _MODEL_MS)
    if maps:
        shown = draw_map_frames(maps, frame_models(models), is_closed=options.closed)
        write_movie(out / f"maps.{options.movie}", shown, _MAP_MS)
    longest = float(arrows.displacement.norm(dim=1).max())
    return [
        f"{out}: {len(arrows)} arrows from point {first + 1} to {last + 1}, up to {longest:.1f} Å",
        f"{out}: a movie of {len(frames)} frames",
    ]


def _ends(source: Path, steps: int, options: DrawingOptions) -> tuple[int, int]:
    """Rows from which and to which arrows go."""
    if steps < 2:
        raise OptionError(f"{source}: a path needs at least 2 points, got {steps}")
    first, last = options.between or (1, steps)
    if max(first, last) > steps:
        raise OptionError(f"{source}: between takes points from 1 to {steps}, got {first} {last}")
    return first - 1, last - 1


def _arrows(
    models: "GaussianModel", flow: "DensityFlow", first: int, last: int, options: DrawingOptions
) -> "Arrows":
    from cryomix.report.motion_arrows import gather_arrows

    if options.arrows == "gaussians":
        mass = models.amplitude * models.width**3
        moved = models.center[last] - models.center[first]
        return gather_arrows(models.center[first], moved, mass[first] + mass[last])
    # Density that is lost on the way has no place where it ends.
    kept = flow.kept[[first, last]].amin(dim=0)
    there = (kept > 0.3).double() * kept * flow.mass[0]
    return gather_arrows(flow.place[first], flow.place[last] - flow.place[first], there)


def _map_path(job: "JobFolder", latent: "Tensor") -> "Figure":
    import torch

    from cryomix.files.checkpoint import read_array
    from cryomix.latent.reduction import fit_pca
    from cryomix.latent.trajectory import through
    from cryomix.report.figures import map_latents

    return map_latents(fit_pca(torch.from_numpy(read_array(job.latents))), path=through(latent))


def _read_maps(job: "JobFolder", name: str, steps: int) -> "list[Volume]":
    """The maps of all points of the path; none where any is missing."""
    from cryomix.files.mrc import read_volume

    files = [job.volumes / f"{name}{number:03d}.mrc" for number in range(1, steps + 1)]
    return [read_volume(file) for file in files] if all(file.is_file() for file in files) else []


def _write_figure(path: Path, figure: "Figure") -> None:
    from cryomix.files.atomic import write_atomically
    from cryomix.report.figures import to_file

    for kind in ("png", "svg"):
        with write_atomically(path.with_suffix(f".{kind}")) as file:
            file.write(to_file(figure, kind))
