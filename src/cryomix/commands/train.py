"""`cryomix train`: from particles and a neutral model to a latent per particle."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryomix.commands.beginning import StartClusters, StartJob
from cryomix.commands.flags import DataFolder, Flat, Half, OptionalParticlesFile, OutFolder, Resume
from cryomix.commands.focus import Focus, describe_focus, read_focus, require_focus
from cryomix.commands.symmetry import (
    choose_unit,
    expand_particles,
    refuse_halves,
    require_symmetric_model,
)
from cryomix.options import RuntimeOptions, TrainingOptions

if TYPE_CHECKING:
    import torch

    from cryomix.commands.beginning import Beginning
    from cryomix.files.job import JobFolder
    from cryomix.files.neutral_model import StoredNeutral
    from cryomix.fitting.heterogeneity import TrainingState
    from cryomix.imaging.particles import Particles
    from cryomix.imaging.volume import Volume

_DEFAULT = TrainingOptions()
_RUNTIME = RuntimeOptions()


def train(
    particles: OptionalParticlesFile = None,
    *,
    neutral: Annotated[
        Path | None, Parameter(help="gaussians.safetensors of `cryomix neutral`, or .txt of e2gmm")
    ] = None,
    start: StartJob = None,
    clusters: StartClusters = (),
    out: OutFolder,
    focus: Focus = (),
    datadir: DataFolder = None,
    half: Half = None,
    resume: Resume = False,
    options: Annotated[TrainingOptions, Flat] = _DEFAULT,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> None:
    """Learn what varies: a latent per particle and a model per latent.

    Writes latents.npy with latent_std.npy, latent_covariance.npy, information.npy,
    informative.npy and image_score.npy, particles.star, model.safetensors and history.csv. Stops
    by itself when particles that were held out no longer gain.

        cryomix train particles.star --neutral neutral/gaussians.safetensors -o job
        cryomix train particles.star --neutral neutral -o job --latent-dim 2 --vary amplitudes
        cryomix train particles.star --neutral neutral -o job --focus arm.mrc --focus foot.mrc
        cryomix train --from job --clusters 2 --clusters 3 --vary centers --focus arm.mrc -o second
        cryomix train particles.star --neutral neutral -o job --symmetry C3 --focus unit.mrc
        cryomix train particles.star --neutral neutral -o even --half even
        cryomix train sets/all.lst --neutral gmm_00/model.txt -o job
        torchrun --nproc-per-node 4 -m cryomix train particles.star --neutral neutral -o job
    """
    from cryomix.commands.beginning import find_beginning, write_selection
    from cryomix.commands.device import prepare_device
    from cryomix.commands.progress import say
    from cryomix.commands.record import take_half_of
    from cryomix.files.job import JobFolder, create_job
    from cryomix.processes import agree, is_first_process

    device = prepare_device(runtime, in_many=True)
    begin = find_beginning(particles, neutral, start, clusters, datadir, options)
    require_focus(focus, begin.particles, options, begin.neutral.model)
    require_symmetric_model(begin.neutral, begin.particles, options.symmetry)
    job = JobFolder(out)
    if is_first_process():
        create_job(out, resume=resume)
    begin = write_selection(begin, job)
    if half is not None:
        refuse_halves(options.symmetry)
        begin = replace(begin, particles=take_half_of(begin.particles, half, begin.source))
    if is_first_process():
        settings = {**begin.origin, "half": half, **describe_focus(focus), **asdict(options)}
        _record(job, begin, settings, focus, options.seed, device)

    if agree(job.model.is_file()):
        say(f"{out}: is trained already")
        return
    source, dataset = expand_particles(
        job, begin.source, begin.particles, begin.data_folder, options.symmetry, begin.beside
    )
    train_into(job, source, dataset, begin.neutral, options, device, focus=focus)


def _record(
    job: "JobFolder",
    begin: "Beginning",
    settings: Mapping[str, object],
    focus: Sequence[Path],
    seed: int,
    device: "torch.device",
) -> None:
    from cryomix.commands.record import describe_source, record_job, require_usable_images
    from cryomix.files.neutral_model import has_grown, store_neutral

    if not job.run_record.is_file():
        require_usable_images(begin.particles, begin.source)
    source = describe_source(begin.source, begin.data_folder, beside=begin.beside)
    inputs = [begin.source, begin.neutral.path, *focus]
    record_job(job, "train", {**source, **settings}, inputs, seed, device)
    if not job.model.is_file() and not has_grown(job):
        store_neutral(job, begin.neutral, begin.particles)


def train_into(
    job: "JobFolder",
    source: Path,
    particles: "Particles",
    neutral: "StoredNeutral",
    options: TrainingOptions,
    device: "torch.device",
    mask: "Volume | None" = None,
    focus: Sequence[Path] = (),
) -> None:
    """Train on `particles`, which came from `source`, and write what was found into `job`.

    `neutral` is that of `job`, which is replaced by what it grows to inside of `mask`. Only the
    Gaussians in `focus`, or with symmetry in one unit, vary. Of many processes only the first
    writes.
    """
    from cryomix.commands.neutral_growth import grow_neutral
    from cryomix.commands.progress import counting, say
    from cryomix.files.job import require_folder
    from cryomix.files.training import read_state, write_state, write_training
    from cryomix.fitting.heterogeneity import build_model, train
    from cryomix.fitting.inference import infer_latents
    from cryomix.fitting.preparation import PreparedParticles
    from cryomix.processes import is_first_process

    resolution = options.resolution or neutral.resolution
    fitted = len(neutral.model) - (neutral.added or 0)
    if options.grow:
        neutral = grow_neutral(job, particles, neutral, mask, options.seed)
    inside = read_focus(focus, neutral.model, fitted, particles)
    inside = choose_unit(inside, neutral.model, options.symmetry)
    model = build_model(particles, neutral.model, neutral.base_width, resolution, options, inside)
    model.to(device, options.precision)
    prepared = PreparedParticles(
        particles, model.decoder, model.metric, memory_bytes=options.memory_gb * 1e9
    )

    def save(state: "TrainingState") -> None:
        if is_first_process():
            require_folder(job)
            write_state(job.training_state, state, model.settings)
        epoch = state.history[-1]
        say(
            f"epoch {epoch.number}: score {epoch.training_score:.4g}, "
            f"held out {epoch.held_out_score:.4g}"
        )

    begun = job.training_state.is_file()
    state = read_state(job.training_state) if begun else None
    with counting("particles trained on") as report:
        history = train(model, prepared, options, state=state, save=save, report=report)
    with counting("latents refined") as report:
        found = infer_latents(model, prepared, options.posterior_steps, report)

    if is_first_process():
        require_folder(job)
        write_training(job, source, particles.source_row, model, found, history)
