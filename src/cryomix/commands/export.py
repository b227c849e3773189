"""`cryomix export`: what a job found, as files of other programs."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from cryomix.commands.flags import Flat, JobPath, Seed
from cryomix.commands.selection import Conditions
from cryomix.errors import OptionError, OutputError
from cryomix.options import RuntimeOptions, SceneOptions, StatesOptions

if TYPE_CHECKING:
    from cryomix.files.job import JobFolder

_RUNTIME = RuntimeOptions()
_STATES, _SCENE = StatesOptions(), SceneOptions()

Target = Literal["star", "cs", "lst", "cif", "pdb", "csv", "chimerax"]
_To = Annotated[
    Target,
    Parameter(
        help="`star`, `cs`, `lst`: particles for RELION, cryoSPARC or EMAN2, the user's own rows "
        "and columns; `cif`, `pdb`, `csv`: Gaussian models of states; `chimerax`: a folder with "
        "maps, arrows and scripts"
    ),
]
_Out = Annotated[
    Path, Parameter(name=["--out", "-o"], help="file or folder to write; must not be there yet")
]


def export(
    job: JobPath,
    *,
    to: _To,
    out: _Out,
    select: Conditions = (),
    states: Annotated[StatesOptions, Flat] = _STATES,
    scene: Annotated[SceneOptions, Flat] = _SCENE,
    seed: Seed = 0,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> None:
    """Write a selection of the particles, or models of states, for another program.

    A selection is one or several conditions, all of which must hold:

    - `cluster:1,3`: in one of these clusters
    - `latent1>0.5`: a comparison (<, <=, >, >=, =, !=) of latent1 …, std1 …, pca1 …, umap1 …,
      information, informative, image_score, or a column of the particles
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

    Models are of the neutral structure, of states along a path, of clusters or at latents: one
    atom per Gaussian, in the frame of the job's maps.

        cryomix export job --to cif -o curve.cif --along curve --b-factor displacement
        cryomix export job --to csv -o clusters.csv --clusters
        cryomix export job --to chimerax -o scene --along curve --scale 2
        cryomix export job --to cif -o moved.cif --along curve --atoms fitted.pdb
    """
    from cryomix.commands.device import prepare_device
    from cryomix.commands.export_models import export_models
    from cryomix.commands.export_scene import export_scene
    from cryomix.files.job import open_job

    prepare_device(runtime)
    if to != "chimerax" and out.suffix != f".{to}":
        raise OutputError(f"{out}: a file of --to {to} must end in .{to}")
    if out.exists():
        raise OutputError(f"{out}: there is such a file already")
    _require_fitting(to, select, states, scene)
    if to in _WRITERS:
        print(_WRITERS[to](open_job(job, needs=("latents",)), out, select))
    elif to == "chimerax":
        print(export_scene(open_job(job), out, states, scene))
    else:
        print(export_models(open_job(job), out, to, states))


def _require_fitting(
    to: Target, select: tuple[str, ...], states: StatesOptions, scene: SceneOptions
) -> None:
    """Refuse options that mean nothing for what is written."""
    if to != "chimerax" and scene != _SCENE:
        raise OptionError(f"--scale, --between: are of --to chimerax, got --to {to}")
    if to in _WRITERS and states != _STATES:
        raise OptionError(f"--to {to}: writes particles, states are of models")
    if to not in _WRITERS and select:
        raise OptionError(f"--select: chooses particles, but --to {to} writes models")


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
