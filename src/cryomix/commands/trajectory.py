"""`cryomix trajectory`: a path through the latent space, laid by hand."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryomix.commands.flags import Flat, JobPath, Seed
from cryomix.commands.latent_points import POINT_HELP
from cryomix.errors import OptionError
from cryomix.options import PathKind, RuntimeOptions, TrajectoryOptions

if TYPE_CHECKING:
    from cryomix.latent.laid_path import Cloud, LaidPath

_DEFAULT = TrajectoryOptions()
_RUNTIME = RuntimeOptions()


def trajectory(
    job: JobPath,
    kind: Annotated[
        PathKind,
        Parameter(
            help="`straight`: from point to point; `geodesic`: the same where particles are dense; "
            "`through`: a smooth curve through the points; `circle`: about one point"
        ),
    ],
    *points: Annotated[
        str,
        Parameter(
            allow_leading_hyphen=True,
            help=POINT_HELP,
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
        cryomix trajectory job circle 0,0 --radius 0.8 --second-radius 0.3 --plane 2 1
        cryomix reconstruct job --trajectory opening --no-clusters
    """
    from cryomix.commands.device import prepare_device
    from cryomix.commands.kept_path import keep_path
    from cryomix.files.job import open_job

    device = prepare_device(runtime)
    folder = open_job(job, needs=("latents", "model"))
    if not points:
        raise OptionError("a trajectory needs points: cluster:3, particle:1204, 0.5,-1.2 or a file")

    file, laid, cloud = keep_path(folder, kind, points, out or kind, options, seed, str(device))

    print("\n".join([f"{file}: {len(laid.latent)} points", *_describe(laid, cloud)]))


def _describe(laid: "LaidPath", cloud: "Cloud") -> list[str]:
    from cryomix.latent.geodesic import relative_reach

    reach = relative_reach(cloud.seeing, laid.latent)
    farthest = int(reach.argmax())
    unseeing = len(cloud.everyone) - len(cloud.seeing)
    return [
        f"length {laid.length:.3g} in latent units, "
        f"{laid.displacement:.1f} Å of root mean square displacement",
        f"its 50 nearest particles reach {float(reach[farthest]):.2f} times as far at point "
        f"{farthest + 1}, where there are fewest, as those of the median particle",
        *([f"{unseeing} particles that see no motion are left out"] if unseeing else []),
    ]
