"""`cryomix trajectory`: a path through the latent space, laid by hand."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from cryomix.commands.flags import Flat, JobPath, Seed
from cryomix.errors import CheckpointError, OptionError, OutputError
from cryomix.options import RuntimeOptions, TrajectoryOptions

if TYPE_CHECKING:
    from torch import Tensor

    from cryomix.files.job import JobFolder

_DEFAULT = TrajectoryOptions()
_RUNTIME = RuntimeOptions()
_LEAST_MOTION = 0.1  # Å along the whole path; below, nothing moves that points could be spaced by
_TAKEN = re.compile(r"axis\d+|curve|loop|at|cluster.*")  # names that analyze and reconstruct write

Kind = Literal["straight", "geodesic", "through", "circle"]


def trajectory(
    job: JobPath,
    kind: Annotated[
        Kind,
        Parameter(
            help="`straight`: from point to point; `geodesic`: the same where particles are dense; "
            "`through`: a smooth curve through the points; `circle`: about one point"
        ),
    ],
    *points: Annotated[
        str,
        Parameter(
            allow_leading_hyphen=True,
            help="cluster:3 (its centre), particle:1204 (its row), latents such as 0.5,-1.2, or a "
            "file with latents in rows (.npy, .csv)",
        ),
    ],
    out: Annotated[
        str | None,
        Parameter(
            name=["--out", "-o"],
            help="name of the path in JOB/analysis/trajectories, or a .npy file [KIND]",
        ),
    ] = None,
    seed: Seed = 0,
    options: Annotated[TrajectoryOptions, Flat] = _DEFAULT,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> None:
    """Lay a path through points of the latent space: straight, geodesic, smooth or a circle.

    Writes latents, a row per point, evenly far apart; reconstruct --trajectory, decode and draw
    take them. Says how long the path is, and how far from the particles it goes.

        cryomix trajectory job geodesic cluster:1 cluster:4
        cryomix trajectory job straight particle:12 -0.5,1.2 --steps 7 -o opening
        cryomix trajectory job through drawn.csv --closed
        cryomix trajectory job circle cluster:2 --radius 0.8
        cryomix reconstruct job --trajectory opening --no-clusters
    """
    from cryomix.commands.device import prepare_device
    from cryomix.files.checkpoint import write_array
    from cryomix.files.job import open_job
    from cryomix.files.run_record import write_run_record

    device = prepare_device(runtime)
    folder = open_job(job, needs=("latents", "model"))
    file = _place(folder, out or kind)
    given = _read_points(folder, points)

    latent, lines = _lay(folder, kind, given, options)

    write_array(file, latent.numpy())
    settings = {"job": str(job), "kind": kind, "points": list(points), **asdict(options)}
    inputs = [folder.latents, folder.model, *(Path(word) for word in points if _is_file(word))]
    write_run_record(file.with_suffix(".toml"), "trajectory", settings, inputs, seed, str(device))
    print("\n".join([f"{file}: {len(latent)} points", *lines]))


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


def _lay(
    job: "JobFolder", kind: Kind, given: "Tensor", options: TrajectoryOptions
) -> "tuple[Tensor, list[str]]":
    """The points of the path, and what there is to say of it."""
    import torch

    from cryomix.files.checkpoint import read_array
    from cryomix.files.training import read_informative, read_model
    from cryomix.latent.geodesic import relative_reach
    from cryomix.latent.motion import displacement_along
    from cryomix.latent.trajectory import place_steps

    everyone = torch.from_numpy(read_array(job.latents))
    informative = read_informative(job, len(everyone))
    seeing = everyone if informative is None else everyone[torch.from_numpy(informative)]
    path = _outline(kind, given, seeing, options)
    model = read_model(job.model)
    moved = displacement_along(model.decode(path))
    moves = float(moved[-1]) >= _LEAST_MOTION
    if options.spacing == "motion" and not moves:
        raise OptionError(
            f"spacing by motion needs Gaussians that move at least {_LEAST_MOTION} Å along the "
            f"path, got {float(moved[-1]):.2g} Å; take --spacing latent"
        )
    is_closed = options.closed or kind == "circle"
    length = moved if options.spacing == "motion" else None
    steps = place_steps(path, options.steps, length, is_closed=is_closed)
    reach = relative_reach(seeing, steps.latent)
    farthest = int(reach.argmax())
    unseeing = len(everyone) - len(seeing)
    return steps.latent, [
        f"length {float(path.diff(dim=0).norm(dim=1).sum()):.3g} in latent units, "
        f"{float(moved[-1]):.1f} Å of root mean square displacement",
        f"its 50 nearest particles reach {float(reach[farthest]):.2f} times as far at point "
        f"{farthest + 1}, where there are fewest, as those of the median particle",
        *([f"{unseeing} particles that see no motion are left out"] if unseeing else []),
    ]


def _outline(kind: Kind, given: "Tensor", latent: "Tensor", options: TrajectoryOptions) -> "Tensor":
    """Points close together along the path; of a closed one the last is the first."""
    import torch

    from cryomix.latent.geodesic import along_particles
    from cryomix.latent.waypoints import (
        around_circle,
        smooth_through,
        straight_through,
        typical_radius,
    )

    if kind == "circle":
        if len(given) != 1:
            raise OptionError(f"a circle needs one point, its centre, got {len(given)}")
        plane = _plane(latent, options)
        radius = options.radius or typical_radius(latent, given[0], plane)
        return around_circle(given[0], plane, radius)
    if options.radius is not None:
        raise OptionError(f"radius is a circle's, got {options.radius:g} for {kind}")
    stops = torch.cat([given, given[:1]]) if options.closed else given
    if kind == "through":
        return smooth_through(stops, is_closed=options.closed)
    if kind == "straight":
        return straight_through(stops)
    return along_particles(latent, stops)


def _plane(latent: "Tensor", options: TrajectoryOptions) -> "Tensor":
    import torch

    from cryomix.latent.reduction import fit_pca

    size = latent.shape[1]
    if max(options.plane) > size:
        raise OptionError(f"plane takes axes from 1 to {size}, got {options.plane}")
    principal = fit_pca(latent).basis if options.axes == "principal" else None
    rows = torch.eye(size) if principal is None else principal
    return rows[[number - 1 for number in options.plane]].to(latent)


def _read_points(job: "JobFolder", words: tuple[str, ...]) -> "Tensor":
    """Latents at the points that were named, in their order."""
    import torch

    if not words:
        raise OptionError("a trajectory needs points: cluster:3, particle:1204, 0.5,-1.2 or a file")
    return torch.cat([_read_point(job, word) for word in words])


def _read_point(job: "JobFolder", word: str) -> "Tensor":
    import torch

    from cryomix.files.checkpoint import read_array
    from cryomix.files.training import read_latents

    latent = torch.from_numpy(read_array(job.latents))
    size = latent.shape[1]
    if _is_file(word):
        return torch.from_numpy(read_latents(Path(word), size))
    what, _, number = word.partition(":")
    if what in ("cluster", "particle") and number.isdecimal():
        if what == "particle":
            return latent[_row(word, int(number), len(latent))][None]
        if not job.clusters.is_file():
            raise CheckpointError(f"{job.path}: {word} needs clusters, which analyze finds")
        label = torch.from_numpy(read_array(job.clusters))
        return latent[label == _row(word, int(number), int(label.max()) + 1)].mean(0)[None]
    try:
        values = [float(value) for value in word.split(",")]
    except ValueError:
        raise OptionError(
            f"a point is cluster:3, particle:1204, latents such as 0.5,-1.2, or a file of latents "
            f"(.npy, .csv), got {word!r}"
        ) from None
    point = torch.tensor([values])
    if len(values) != size or not bool(point.isfinite().all()):
        raise OptionError(f"a point of this job has {size} finite latents, got {word!r}")
    return point


def _row(word: str, number: int, count: int) -> int:
    if not 1 <= number <= count:
        raise OptionError(f"{word}: numbers go from 1 to {count}")
    return number - 1


def _is_file(word: str) -> bool:
    return word.endswith((".npy", ".csv"))
