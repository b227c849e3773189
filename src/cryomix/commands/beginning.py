"""What a training begins with: particles and a neutral model, given or taken from another job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Int64

    from cryomix.files.job import JobFolder
    from cryomix.files.neutral_model import StoredNeutral
    from cryomix.imaging.particles import Particles
    from cryomix.options import TrainingOptions


StartJob = Annotated[
    Path | None,
    Parameter(
        name="--from",
        help="a job to go on from: the mean of its models at the latents of these particles is "
        "the neutral model",
    ),
]
StartClusters = Annotated[
    tuple[int, ...],
    Parameter(
        help="with --from: only particles of these clusters, as its particle file has",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Beginning:
    """Inputs of a training.

    Attributes
    ----------
    source, data_folder, particles
        The particles, their file, and the folder in which stacks are looked for first.
    beside
        The file beside which stacks lie, if it is not `source`.
    neutral
        The model at latent 0.
    rows
        Which of the particles train; all if absent.
    origin
        The job that this one goes on from, as run.toml keeps it.
    """

    source: Path
    data_folder: Path | None
    particles: "Particles"
    neutral: "StoredNeutral"
    beside: Path | None = None
    rows: "Int64[np.ndarray, 'chosen'] | None" = None
    origin: Mapping[str, object] = field(default_factory=dict)


def find_beginning(
    particles: Path | None,
    neutral: Path | None,
    start: Path | None,
    clusters: Sequence[int],
    data_folder: Path | None,
    options: "TrainingOptions",
) -> Beginning:
    """`particles` and `neutral` as they are given, or what the job `start` says of its clusters.

    Raises
    ------
    OptionError
        If too little is given, or too much.
    ResolutionError
        If the particles do not hold the detail that `options` ask for.
    """
    from cryomix.imaging.particles import working_grid

    begin = _begin(particles, neutral, start, clusters, data_folder, options.seed)
    working_grid(begin.particles, options.resolution or begin.neutral.resolution)
    return begin


def _begin(
    particles: Path | None,
    neutral: Path | None,
    start: Path | None,
    clusters: Sequence[int],
    data_folder: Path | None,
    seed: int,
) -> Beginning:
    from cryomix.errors import OptionError

    if start is not None:
        if neutral is not None:
            raise OptionError("--neutral and --from both say which model is the neutral one")
        return _begin_from(start, particles, clusters, data_folder, seed)
    if clusters:
        raise OptionError("--clusters needs --from, the job whose clusters they are")
    if particles is None or neutral is None:
        raise OptionError("a training needs PARTICLES and --neutral, or --from another job")
    return _begin_with(particles, neutral, data_folder)


def _begin_with(particles: Path, neutral: Path, data_folder: Path | None) -> Beginning:
    from cryomix.files.neutral_model import read_neutral_for
    from cryomix.files.particle_file import read_particles

    dataset = read_particles(particles, data_folder=data_folder)
    start = read_neutral_for(dataset, neutral)
    return Beginning(particles, data_folder, dataset, start)


def _begin_from(
    job: Path,
    particles: Path | None,
    clusters: Sequence[int],
    data_folder: Path | None,
    seed: int,
) -> Beginning:
    """The mean of the models of `job` at the latents of some of its particles.

    They are the rows of `particles`, which hold the latents of `job` as columns; or those of its
    `clusters`, numbered as in its particle file; or all.
    """
    import torch

    from cryomix.commands.record import read_source, stack_place
    from cryomix.errors import OptionError
    from cryomix.files.checkpoint import read_array
    from cryomix.files.job import open_job
    from cryomix.files.neutral_model import StoredNeutral, read_neutral
    from cryomix.files.particle_file import read_latents, read_particles
    from cryomix.files.run_record import read_run_record
    from cryomix.files.training import read_model
    from cryomix.fitting.continuation import mean_model

    if particles is not None and clusters:
        raise OptionError("--clusters are those of all particles of the job; leave PARTICLES out")
    first = open_job(job, needs=("model", "latents", "neutral_model"))
    model = read_model(first.model)
    beside = None
    rows = _rows_of_clusters(first, clusters) if clusters else None
    if particles is None:
        particles, dataset = read_source(first)
        folder, beside = stack_place(first)
        data_folder = data_folder or folder
        latent = read_array(first.latents)
    else:
        dataset = read_particles(particles, data_folder=data_folder)
        latent = read_latents(particles, model.settings.latent_size)
    chosen = torch.from_numpy(latent if rows is None else latent[rows])
    if "half" in read_run_record(first.run_record).options:
        rows = dataset.source_row.numpy()[slice(None) if rows is None else rows]
    neutral = StoredNeutral(
        path=first.model,
        model=mean_model(model, chosen, seed),
        base_width=model.settings.base_width,
        box_length=model.settings.grid.box_length,
        resolution=read_neutral(first.neutral_model).resolution,
    )
    origin = {"from": str(job.resolve()), "clusters": list(clusters)}
    return Beginning(particles, data_folder, dataset, neutral, beside, rows, origin)


def write_selection(beginning: Beginning, job: "JobFolder") -> Beginning:
    """Keep the chosen rows in `job`, as selection.star or the like, whose particles they are."""
    from cryomix.files.particle_file import read_particles, write_particles
    from cryomix.processes import agree, is_first_process

    if beginning.rows is None:
        return beginning
    selection = job.selection(beginning.source)
    if is_first_process() and not selection.is_file():
        write_particles(beginning.source, selection, rows=beginning.rows)
    agree(1)  # the others wait until it is written
    beside = beginning.beside or beginning.source
    chosen = read_particles(selection, data_folder=beginning.data_folder, beside=beside)
    return replace(beginning, source=selection, particles=chosen, beside=beside, rows=None)


def _rows_of_clusters(job: "JobFolder", clusters: Sequence[int]) -> "Int64[np.ndarray, 'chosen']":
    import numpy as np

    from cryomix.errors import OptionError
    from cryomix.files.checkpoint import read_array

    if not job.clusters.is_file():
        raise OptionError(f"{job.path}: has no clusters; run `cryomix analyze` first")
    label = read_array(job.clusters)
    known = int(label.max()) + 1
    strange = [number for number in clusters if not 1 <= number <= known]
    if strange:
        raise OptionError(
            f"{job.path}: --clusters are numbered from 1 to {known}, got {strange[0]}"
        )
    return np.flatnonzero(np.isin(label, np.array(clusters) - 1))
