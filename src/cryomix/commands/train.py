"""`cryomix train`: from particles and a neutral model to a latent per particle."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryomix.commands.flags import DataFolder, Flat, OutFolder, ParticlesFile, Resume
from cryomix.options import RuntimeOptions, TrainingOptions

if TYPE_CHECKING:
    import torch

    from cryomix.files.job import JobFolder
    from cryomix.files.neutral_model import StoredNeutral
    from cryomix.fitting.heterogeneity import TrainingState
    from cryomix.imaging.particles import Particles
    from cryomix.imaging.volume import Volume

_DEFAULT = TrainingOptions()
_RUNTIME = RuntimeOptions()


def train(
    particles: ParticlesFile,
    *,
    neutral: Annotated[Path, Parameter(help="gaussians.safetensors of `cryomix neutral`")],
    out: OutFolder,
    datadir: DataFolder = None,
    resume: Resume = False,
    options: Annotated[TrainingOptions, Flat] = _DEFAULT,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> None:
    """Learn what varies: a latent per particle and a model per latent.

    Writes latents.npy with latent_std.npy, latent_covariance.npy, information.npy and
    informative.npy, particles.star, model.safetensors and history.csv. Stops by itself when
    particles that were held out no longer gain.

        cryomix train particles.star --neutral neutral/gaussians.safetensors -o job
        cryomix train particles.star --neutral neutral -o job --latent-dim 2 --vary amplitudes
        torchrun --nproc-per-node 4 -m cryomix train particles.star --neutral neutral -o job
    """
    from cryomix.commands.device import prepare_device
    from cryomix.commands.progress import say
    from cryomix.commands.record import describe_source, record_job, require_usable_images
    from cryomix.files.job import JobFolder, create_job
    from cryomix.files.neutral_model import (
        has_grown,
        read_neutral,
        require_matching_neutral,
        store_neutral,
    )
    from cryomix.files.relion import read_particles
    from cryomix.processes import agree, is_first_process

    device = prepare_device(runtime, in_many=True)
    dataset = read_particles(particles, data_folder=datadir)
    start = read_neutral(neutral)
    require_matching_neutral(start, dataset)
    settings = {**describe_source(particles, datadir), **asdict(options)}
    job = JobFolder(out)
    if is_first_process():
        create_job(out, resume=resume)
        if not job.run_record.is_file():
            require_usable_images(dataset, particles)
        record_job(job, "train", settings, [particles, start.path], options.seed, device)
        if not job.model.is_file() and not has_grown(job):
            store_neutral(job, start, dataset)

    if agree(job.model.is_file()):
        say(f"{out}: is trained already")
        return
    train_into(job, particles, dataset, start, options, device)


def train_into(
    job: "JobFolder",
    source: Path,
    particles: "Particles",
    neutral: "StoredNeutral",
    options: TrainingOptions,
    device: "torch.device",
    mask: "Volume | None" = None,
) -> None:
    """Train on `particles`, which came from `source`, and write what was found into `job`.

    `neutral` is that of `job`, which is replaced by what it grows to inside of `mask`. Of many
    processes only the first writes.
    """
    from cryomix.commands.neutral_growth import grow_neutral
    from cryomix.commands.progress import counting, say
    from cryomix.files.training import read_state, write_state, write_training
    from cryomix.fitting.heterogeneity import build_model, train
    from cryomix.fitting.inference import infer_latents
    from cryomix.fitting.preparation import PreparedParticles
    from cryomix.processes import is_first_process

    resolution = options.resolution or neutral.resolution
    if options.grow:
        neutral = grow_neutral(job, particles, neutral, mask, options.seed)
    model = build_model(particles, neutral.model, neutral.base_width, resolution, options)
    model.to(device, options.precision)
    prepared = PreparedParticles(
        particles, model.decoder, model.metric, memory_bytes=options.memory_gb * 1e9
    )
    checkpoint = job.checkpoints / "state.safetensors"

    def save(state: "TrainingState") -> None:
        if is_first_process():
            write_state(checkpoint, state)
        epoch = state.history[-1]
        say(
            f"epoch {epoch.number}: score {epoch.training_score:.4g}, "
            f"held out {epoch.held_out_score:.4g}"
        )

    state = read_state(checkpoint) if checkpoint.is_file() else None
    with counting("particles trained on") as report:
        history = train(model, prepared, options, state=state, save=save, report=report)
    with counting("latents refined") as report:
        found = infer_latents(model, prepared, options.posterior_steps, report)

    if is_first_process():
        write_training(job, source, model, found, history)
