"""`cryomix run`: the whole job, from particles and a map to latents, classes and maps."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryomix.commands.external_job import ExternalRuntime
from cryomix.commands.flags import (
    DataFolder,
    Flat,
    MapFile,
    MaskFile,
    OutFolder,
    ParticlesFile,
    Resume,
)
from cryomix.commands.focus import Focus, describe_focus, require_focus
from cryomix.commands.symmetry import expand_particles, require_symmetry
from cryomix.options import (
    AnalysisOptions,
    CheckOptions,
    NeutralOptions,
    ReconstructionOptions,
    TrainingOptions,
)

if TYPE_CHECKING:
    import torch

    from cryomix.files.job import JobFolder
    from cryomix.files.neutral_model import StoredNeutral
    from cryomix.imaging.particles import Particles
    from cryomix.imaging.volume import Volume

_DEFAULT = TrainingOptions()
_RUNTIME = ExternalRuntime()


def run(
    particles: ParticlesFile,
    *,
    volume: MapFile,
    out: OutFolder,
    mask: MaskFile = None,
    focus: Focus = (),
    datadir: DataFolder = None,
    gaussians: Annotated[
        int | None, Parameter(help="number of Gaussians [as many as the map needs]")
    ] = None,
    resume: Resume = False,
    options: Annotated[TrainingOptions, Flat] = _DEFAULT,
    runtime: Annotated[ExternalRuntime, Flat] = _RUNTIME,
) -> None:
    """Do the whole job: check, neutral, train, analyze, reconstruct.

    Refuses particles and map that do not agree. Writes a job folder; the mask says where the
    molecule is.

        cryomix run particles.star --map consensus.mrc -o job
        cryomix run particles.star --map consensus.mrc -o job --latent-dim 2 --seed 1
        cryomix run particles.star --map consensus.mrc -o job --symmetry C3
        cryomix run --o External/job012/ --in_parts x.star --in_3dref m.mrc --j 8   # from RELION
    """
    from cryomix.commands.check import default_resolution
    from cryomix.commands.device import prepare_device
    from cryomix.commands.record import describe_source, record_job, require_usable_images
    from cryomix.files.agreement import read_consensus, read_mask
    from cryomix.files.job import create_job
    from cryomix.files.particle_file import read_particles
    from cryomix.imaging.particles import working_grid

    device = prepare_device(runtime)
    dataset = read_particles(particles, data_folder=datadir)
    consensus = read_consensus(volume, dataset)
    region = read_mask(mask, consensus) if mask else None
    require_focus(focus, dataset, options)
    resolution = options.resolution or default_resolution(dataset)
    working_grid(dataset, resolution)  # refuses what its images do not hold
    require_symmetry(consensus, volume, options.symmetry, default_resolution(dataset))
    job = create_job(out, resume=resume)
    if not job.run_record.is_file():
        require_usable_images(dataset, particles)
        require_agreement(dataset, consensus, particles, volume, options.seed)
    settings = {
        **describe_source(particles, datadir),
        **describe_focus(focus),
        "gaussians": gaussians,
        **asdict(options),
    }
    inputs = [path for path in (particles, volume, mask, *focus) if path is not None]
    record_job(job, "run", settings, inputs, options.seed, device)

    fit = NeutralOptions(resolution=resolution, gaussians=gaussians, seed=options.seed)
    source, dataset = expand_particles(job, particles, dataset, datadir, options.symmetry)
    run_into(job, source, dataset, consensus, region, fit, options, device, focus)


def run_into(
    job: "JobFolder",
    source: Path,
    particles: "Particles",
    consensus: "Volume",
    mask: "Volume | None",
    fit: NeutralOptions,
    options: TrainingOptions,
    device: "torch.device",
    focus: Sequence[Path] = (),
) -> None:
    """Every step of a job on inputs that agree; steps that are done are not done again."""
    from cryomix.commands.analyze import analyze_into
    from cryomix.commands.reconstruct import reconstruct_into
    from cryomix.commands.report import write_report
    from cryomix.commands.train import train_into
    from cryomix.files.job import require_folder
    from cryomix.files.training import read_latents

    neutral = _fit_neutral(job, consensus, mask, fit)
    if not job.model.is_file():
        train_into(job, source, particles, neutral, options, device, mask, focus)
    require_folder(job)
    lines = analyze_into(job, source, particles.source_row, AnalysisOptions(seed=options.seed))
    path = next(
        job.trajectories / f"{name}.npy"
        for name in ("loop", "curve")
        if (job.trajectories / f"{name}.npy").is_file()
    )
    points = {path.stem: read_latents(path, options.latent_size)}
    require_folder(job)
    lines += reconstruct_into(job, job.volumes, particles, points, ReconstructionOptions())
    require_folder(job)
    write_report(job)
    print("\n".join([*lines, f"report: {job.report}"]))


def _fit_neutral(
    job: "JobFolder", consensus: "Volume", mask: "Volume | None", options: NeutralOptions
) -> "StoredNeutral":
    from cryomix.commands.neutral import summarize
    from cryomix.commands.progress import say
    from cryomix.files.neutral_model import read_neutral, write_neutral
    from cryomix.fitting.neutral import fit_neutral

    # The last of its files to be written says that the step is done.
    if not job.neutral_frc.is_file():
        found = fit_neutral(consensus, options, mask=mask, report=say)
        grid = (consensus.box_size, consensus.voxel_size, consensus.origin)
        write_neutral(job.neutral_model.parent, found, *grid)
        say(summarize(found, options.frc))
    return read_neutral(job.neutral_model)


def require_agreement(
    particles: "Particles", consensus: "Volume", source: Path, volume: Path, seed: int
) -> None:
    """Refuse particles and map that do not fit each other."""
    from cryomix.commands.check import default_resolution
    from cryomix.commands.diagnosis import judge_relation
    from cryomix.commands.finding import problems_of
    from cryomix.errors import InputFileError
    from cryomix.reconstruction.relation import relate

    options = CheckOptions(seed=seed)
    relation = relate(
        particles,
        consensus,
        sample=options.sample,
        resolution=default_resolution(particles),
        seed=options.seed,
    )
    problems = problems_of(judge_relation(relation, particles))
    if problems:
        raise InputFileError(f"{source} and {volume} do not agree: {'; '.join(problems)}")
