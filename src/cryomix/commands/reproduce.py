"""`cryomix reproduce`: the whole job on each half of the particles, and what both find."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryomix.commands.flags import (
    DataFolder,
    Flat,
    MapFile,
    MaskFile,
    OutFolder,
    ParticlesFile,
    Resume,
)
from cryomix.options import NeutralOptions, RuntimeOptions, TrainingOptions

if TYPE_CHECKING:
    import torch

    from cryomix.files.job import JobFolder
    from cryomix.imaging.half_sets import Half
    from cryomix.imaging.particles import Particles
    from cryomix.imaging.volume import Volume

_DEFAULT = TrainingOptions()
_RUNTIME = RuntimeOptions()
_MASK_RESOLUTION = 15.0
_FEWEST = 100  # particles of a half; fewer tell nothing


def reproduce(
    particles: ParticlesFile,
    *,
    volume: MapFile,
    out: OutFolder,
    mask: MaskFile = None,
    datadir: DataFolder = None,
    gaussians: Annotated[
        int | None, Parameter(help="number of Gaussians [as many as the maps need]")
    ] = None,
    resume: Resume = False,
    options: Annotated[TrainingOptions, Flat] = _DEFAULT,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> None:
    """Do the whole job twice, on either half of the particles, and say what both find.

    Halves are rlnRandomSubset 1 and 2, or odd and even rows. Writes a job folder of each,
    DIR/odd and DIR/even, then DIR/reproducibility.json and DIR/report.html: which latent
    dimensions, classes and motions are reproducible, judged against chance. The map says whether
    the particles fit and where the molecule is; each half has a neutral model of its own map.

        cryomix reproduce particles.star --map consensus.mrc -o twice
        cryomix reproduce particles.star --map consensus.mrc -o twice --latent-dim 2 --resume
    """
    from cryomix.commands.device import prepare_device
    from cryomix.commands.half_comparison import compare_halves
    from cryomix.commands.record import describe_source, record_job, take_half_of
    from cryomix.commands.symmetry import refuse_halves
    from cryomix.files.agreement import read_consensus, read_mask
    from cryomix.files.job import JobFolder, create_job
    from cryomix.files.particle_file import read_particles
    from cryomix.imaging.half_sets import NUMBER
    from cryomix.imaging.masking import soft_mask

    device = prepare_device(runtime)
    refuse_halves(options.symmetry)
    dataset = read_particles(particles, data_folder=datadir)
    consensus = read_consensus(volume, dataset)
    region = read_mask(mask, consensus) if mask else None
    halves = {half: take_half_of(dataset, half, particles) for half in NUMBER}
    _require_enough(halves, particles)
    whole = create_job(out, resume=resume)
    if not whole.run_record.is_file():
        _require_fit(dataset, consensus, particles, volume, options.seed)
    inputs = [path for path in (particles, volume, mask) if path is not None]
    settings = {"gaussians": gaussians, **asdict(options)}
    source = describe_source(particles, datadir)
    record_job(whole, "reproduce", {**source, **settings}, inputs, options.seed, device)
    inside = region or soft_mask(consensus, max(_MASK_RESOLUTION, 3 * consensus.voxel_size))
    for number, (half, chosen) in enumerate(halves.items()):
        job = JobFolder(out / half)
        # Networks that begin alike may end alike, so either half has a seed of its own.
        own = replace(options, seed=options.seed + number)
        recorded = {**describe_source(particles, datadir, half), **settings, "seed": own.seed}
        record_job(job, "reproduce", recorded, inputs, own.seed, device)
        fit = NeutralOptions(resolution=options.resolution, gaussians=gaussians, seed=own.seed)
        _analyse(job, particles, chosen, consensus, inside, fit, own, device)
    print("\n".join(compare_halves(whole, dataset, inside, options.seed, device)))


def _analyse(
    job: "JobFolder",
    source: Path,
    particles: "Particles",
    consensus: "Volume",
    mask: "Volume",
    fit: NeutralOptions,
    options: TrainingOptions,
    device: "torch.device",
) -> None:
    """The whole job on one half, its neutral model from its own map, unless it is done."""
    from cryomix.commands.progress import say
    from cryomix.commands.run import run_into

    if job.report.is_file():
        say(f"{job.path}: is done already")
        return
    say(f"{job.path.name} half: {len(particles)} particles")
    # A neutral model that is there already needs no map.
    own_map = consensus if job.neutral_frc.is_file() else _map_of(particles, mask, consensus)
    run_into(job, source, particles, own_map, mask, fit, options, device)


def _map_of(particles: "Particles", mask: "Volume", consensus: "Volume") -> "Volume":
    """The map of a half of the particles, filtered to where its own halves agree."""
    import torch

    from cryomix.commands.progress import counting
    from cryomix.reconstruction.backprojection import reconstruct
    from cryomix.reconstruction.resolution import average, filter_by_fsc, half_map_correlation

    everyone = torch.arange(len(particles))
    with counting("particles inserted into the map of their half") as report:
        maps = reconstruct(particles, everyone, padding=1.5, report=report)
    shown = filter_by_fsc(average(maps), half_map_correlation(maps, mask))
    return replace(shown, origin=consensus.origin)


def _require_fit(
    particles: "Particles", consensus: "Volume", source: Path, volume: Path, seed: int
) -> None:
    """Refuse images that cannot be used, and particles and map that do not agree."""
    from cryomix.commands.record import require_usable_images
    from cryomix.commands.run import require_agreement

    require_usable_images(particles, source)
    require_agreement(particles, consensus, source, volume, seed)


def _require_enough(halves: "Mapping[Half, Particles]", source: Path) -> None:
    from cryomix.errors import InputFileError

    for half, chosen in halves.items():
        if len(chosen) < _FEWEST:
            raise InputFileError(
                f"{source}: each half needs at least {_FEWEST} particles, the {half} half has "
                f"{len(chosen)}"
            )
