"""`cryomix export`: what a job found, as files of other programs."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from cryomix.commands.flags import Flat, JobPath, Seed
from cryomix.commands.selection import Conditions
from cryomix.errors import OutputError
from cryomix.options import RuntimeOptions

if TYPE_CHECKING:
    from cryomix.files.job import JobFolder

_RUNTIME = RuntimeOptions()

Target = Literal["star", "cs", "lst"]


def export(
    job: JobPath,
    *,
    to: Annotated[
        Target,
        Parameter(
            help="`star`, `cs` or `lst`: the user's own rows, for RELION, cryoSPARC or EMAN2"
        ),
    ],
    out: Annotated[
        Path, Parameter(name=["--out", "-o"], help="file to write; must not be there yet")
    ],
    select: Conditions = (),
    seed: Seed = 0,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> None:
    """Write a selection of the particles for another program.

    A selection is one or several conditions, all of which must hold:

    - `cluster:1,3`: in one of these clusters
    - `latent1>0.5`: a comparison (<, <=, >, >=, =, !=) of latent1 …, std1 …, pca1 …, umap1 …,
      information, informative, or a column of the particles
    - `nearest:500:axis1:4`: the 500 nearest to point 4 of path axis1
    - `within:0.3:axis1:4`: no farther from it, in latent units
    - `lasso:umap1:umap2:drawn.json`: in an outline of two values, a file (.json, .csv, .npy) of
      its corners or the corners themselves: 0,0;1,0;1,2
    - `rows:chosen.npy`: these rows of latents.npy, from 0 (.npy, .txt), or true and false

    They may be given one by one, or joined by the word `and`.

        cryomix export job --to star -o open.star --select cluster:2
        cryomix export job --to star -o open.star --select "latent1>0.5 and informative=1"
        cryomix export job --to star -o point4.star --select nearest:2000:curve:4
        cryomix export job --to lst -o sets/open.lst --select "cluster:2 and score<-0.1"
    """
    from cryomix.commands.device import prepare_device
    from cryomix.files.job import open_job

    prepare_device(runtime)
    if out.suffix != f".{to}":
        raise OutputError(f"{out}: a file of --to {to} must end in .{to}")
    if out.exists():
        raise OutputError(f"{out}: there is such a file already")
    print(_WRITERS[to](open_job(job, needs=("latents",)), out, select))


def _write_particles(job: "JobFolder", out: Path, select: tuple[str, ...]) -> str:
    """The rows of a selection, in the kind of file that the user's particles are."""
    from cryomix.commands.record import find_particles
    from cryomix.commands.selection import select_particles
    from cryomix.files.particle_file import write_particles

    source = find_particles(job)
    if out.suffix != source.suffix:
        raise OutputError(
            f"{out}: the particles of this job are {source.name}: write them to a {source.suffix} "
            "file"
        )
    chosen = select_particles(job, select)
    write_particles(source, out, rows=chosen.nonzero()[0])
    return f"{out}: {int(chosen.sum())} of {len(chosen)} particles"


_WRITERS: dict[Target, Callable[["JobFolder", Path, tuple[str, ...]], str]] = {
    "star": _write_particles,
    "cs": _write_particles,
    "lst": _write_particles,
}
