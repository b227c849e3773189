"""Training: encoder and decoder together on the particles, in one process or many."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from cryomix.errors import ProcessError
from cryomix.fitting.descent import Descent, part_of
from cryomix.fitting.encoder_estimates import EncoderEstimates
from cryomix.fitting.preparation import PreparedParticles
from cryomix.fitting.trained_model import ModelSettings, TrainedModel
from cryomix.fitting.training_step import held_out_gain, training_step
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.noise import estimate_spectrum
from cryomix.imaging.particles import Particles, iterate_batches, working_grid
from cryomix.options import TrainingOptions
from cryomix.processes import (
    agree,
    is_first_process,
    positions_here,
    share_here,
    sum_over_processes,
    take_from_first,
)

_SPECTRUM_SAMPLE = 2000
_START_SAMPLE = 4000
_START_SPREAD = 0.3
_SETTLED = 0.01  # an epoch that adds less than this share of the gain so far is settled
_DECAYS = 3
_LEAST_STEPS = 40  # an epoch of fewer steps could not tell settled from slow


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of the history.

    Scores are means over particles, above the neutral model's: nats with ``snr``, FRC with
    ``flat``.
    """

    number: int
    training_score: float
    held_out_score: float
    learning_rate: float


@dataclass(frozen=True, slots=True)
class TrainingState:
    """All that the next epoch depends on, after the epochs in `history`.

    Attributes
    ----------
    tensors
        ``model.…`` now, ``best.…``, the mean weights at the best held-out score, and what
        `Descent` gives. Training does not go on from ``latent``, the `EncoderEstimates` of the last
        epoch, and ``held_out``, which of the particles only score: they are there to be looked at.
    history
        One entry per epoch.
    decays
        How often the learning rate was lowered.
    best
        Best held-out score so far.
    """

    tensors: dict[str, Tensor]
    history: tuple[Epoch, ...]
    decays: int
    best: float

    @property
    def is_finished(self) -> bool:
        """Whether the held-out score has settled for good."""
        return self.decays > _DECAYS


def build_model(
    particles: Particles,
    neutral: GaussianModel,
    base_width: float,
    resolution: float,
    options: TrainingOptions,
    focus: Float[Tensor, "groups gaussians"] | None = None,
) -> TrainedModel:
    """An untrained model: networks by the seed, noise and signal by a sample of the particles.

    `focus` says how far each Gaussian may vary, 0 to 1, with each group of latents.
    """
    grid = working_grid(particles, resolution)
    settings = ModelSettings(
        grid.box_size, grid.pixel_size, resolution, base_width,
        options.latent_size, options.hidden, options.loss, options.kinds, options.decoder,
        1 if focus is None else len(focus),
    )  # fmt: skip
    sample = _permutation(len(particles), options.seed)[:_SPECTRUM_SAMPLE]
    with torch.no_grad():
        batches = iterate_batches(particles, grid, share_here(sample), options.batch_size)
        spectrum = estimate_spectrum(neutral, batches, grid)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        return TrainedModel(settings, neutral, spectrum, focus)


def train(
    model: TrainedModel,
    prepared: PreparedParticles,
    options: TrainingOptions,
    *,
    state: TrainingState | None,
    save: Callable[[TrainingState], None],
    report: Callable[[int, int], None],
) -> tuple[Epoch, ...]:
    """Train `model` in place until the held-out score settles; returns the history.

    Each epoch takes the particles in a new order, and is judged with the running mean of the
    weights. When it adds less than 1 % to the held-out score, the learning rate is lowered to a
    third; the fourth time, training ends and the mean weights of the best epoch are taken. `save`
    receives the state after each epoch; given back as `state`, training goes on as if it had not
    stopped.

    In a run of many processes each takes its share of every batch, and all take the same step
    as one process would, up to rounding.

    Raises
    ------
    ProcessError
        If the processes were not given the same `state`.
    """
    training, held_out = split_particles(prepared.particles.image, options)
    descent = Descent(model, options, _epoch_steps(len(training), options.batch_size))
    if state is None:
        if is_first_process():
            _start(model, prepared, training, options)
        state = TrainingState({}, (), 0, float("-inf"))
    else:
        model.load(part_of(state.tensors, "model."))
        descent.load(state.tensors)
    _share_beginning(model, state)
    while not state.is_finished and len(state.history) < options.epochs:
        rate = options.learning_rate / 3**state.decays
        descent.set_rate(rate)
        order = _shuffled(training, options.batch_size, descent.generator)
        estimates = EncoderEstimates()
        score = _epoch(model, prepared, order, descent, options, estimates, report)
        tensors = {f"model.{name}": value for name, value in model.tensors().items()}
        tensors |= descent.tensors()
        with descent.average.in_place():
            check = _held_out_score(model, prepared, held_out, options.batch_size, estimates)
            averaged = model.tensors()
        tensors["latent"] = estimates.gather(len(prepared))
        tensors["held_out"] = torch.zeros(len(prepared), dtype=torch.bool)
        tensors["held_out"][held_out] = True
        epoch = Epoch(len(state.history) + 1, score, check, rate)
        state = _next_state(state, epoch, averaged, tensors)
        save(state)
    model.load(part_of(state.tensors, "best."))
    return state.history


def further_state(
    model: TrainedModel, image: Int64[Tensor, "particles"], options: TrainingOptions
) -> TrainingState:
    """The state from which `train` takes the networks of `model` further, instead of anew."""
    training, _ = split_particles(image, options)
    descent = Descent(model, options, _epoch_steps(len(training), options.batch_size))
    tensors = {f"model.{name}": value for name, value in model.tensors().items()}
    return TrainingState(tensors | descent.tensors(), (), 0, float("-inf"))


def split_particles(
    image: Int64[Tensor, "particles"], options: TrainingOptions
) -> tuple[Int64[Tensor, "training"], Int64[Tensor, "held_out"]]:
    """Which particles train, and which only score; fixed by the seed.

    All particles of one `image` go the same way.
    """
    each, number = image.unique(return_inverse=True)
    order = _permutation(len(each), options.seed)
    only_scores = torch.zeros(len(each), dtype=torch.bool)
    only_scores[order[: max(1, round(options.held_out * len(each)))]] = True
    return (~only_scores[number]).nonzero()[:, 0], only_scores[number].nonzero()[:, 0]


def _start(
    model: TrainedModel,
    prepared: PreparedParticles,
    training: Int64[Tensor, "training"],
    options: TrainingOptions,
) -> None:
    most = max(500, int(options.memory_gb * 1e9 / (80 * len(model.decoder.neutral))))
    sample = training[_permutation(len(training), options.seed)[: min(_START_SAMPLE, most)]]
    gradient = torch.cat([batch.gradient for batch in prepared.batches(sample.split(256))])
    model.encoder.start_from(gradient, model.decoder.groups, _START_SPREAD)


def _share_beginning(model: TrainedModel, state: TrainingState) -> None:
    """Begin with the first process's networks, whatever this one has."""
    done = agree(len(state.history))
    if done != len(state.history):
        raise ProcessError(
            f"the first process goes on after {done} epochs, another after {len(state.history)}: "
            "all must see the same job folder"
        )
    take_from_first([*model.weights(), model.encoder.mean, model.encoder.scale])


def _epoch_steps(particles: int, batch_size: int) -> int:
    return max(math.ceil(particles / batch_size), _LEAST_STEPS)


def _shuffled(
    training: Int64[Tensor, "training"], batch_size: int, generator: torch.Generator
) -> Int64[Tensor, "order"]:
    """Every particle once, or as often as it takes to make an epoch of `_LEAST_STEPS` steps."""
    passes = math.ceil(_LEAST_STEPS * batch_size / len(training))
    order = [torch.randperm(len(training), generator=generator) for _ in range(passes)]
    return training[torch.cat(order)]


def _epoch(
    model: TrainedModel,
    prepared: PreparedParticles,
    order: Int64[Tensor, "training"],
    descent: Descent,
    options: TrainingOptions,
    estimates: EncoderEstimates,
    report: Callable[[int, int], None],
) -> float:
    total = _no_score(model)
    parts = order.split(options.batch_size)
    here = [positions_here(index, len(prepared)) for index in parts]
    batches = prepared.batches(index[at] for index, at in zip(parts, here, strict=True))
    done = 0
    for index, at, batch in zip(parts, here, batches, strict=True):
        # Drawn for the whole batch by every process, so that all stay at the same random number.
        noise = torch.randn(len(index), options.latent_size, generator=descent.generator)[at]
        noise = noise.to(model.device, non_blocking=True)
        gain, latent = training_step(
            model, batch, noise, descent.optimizer, options, descent.rigidity, whole=len(index)
        )
        total += gain
        estimates.add(index[at], latent)
        descent.average.update()
        done += len(index)
        report(done, len(order))
    sum_over_processes([total])
    return float(total) / len(order)


@torch.no_grad()
def _held_out_score(
    model: TrainedModel,
    prepared: PreparedParticles,
    held_out: Int64[Tensor, "held_out"],
    batch_size: int,
    estimates: EncoderEstimates,
) -> float:
    total = _no_score(model)
    here = held_out[positions_here(held_out, len(prepared))]
    parts = here.split(batch_size)
    for index, batch in zip(parts, prepared.batches(parts), strict=True):
        if len(batch):
            gain, latent = held_out_gain(model, batch)
            total += gain
            estimates.add(index, latent)
    sum_over_processes([total])
    return float(total) / len(held_out)


def _no_score(model: TrainedModel) -> Float64[Tensor, ""]:
    return torch.zeros((), dtype=torch.float64, device=model.device)


def _next_state(
    state: TrainingState, epoch: Epoch, averaged: dict[str, Tensor], tensors: dict[str, Tensor]
) -> TrainingState:
    best = {k: v for k, v in state.tensors.items() if k.startswith("best.")}
    if epoch.held_out_score > state.best:
        best = {f"best.{name}": value for name, value in averaged.items()}
    has_settled = epoch.held_out_score - state.best < _SETTLED * abs(epoch.held_out_score)
    return TrainingState(
        tensors | best,
        (*state.history, epoch),
        state.decays + has_settled,
        max(state.best, epoch.held_out_score),
    )


def _permutation(count: int, seed: int) -> Int64[Tensor, "count"]:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))
