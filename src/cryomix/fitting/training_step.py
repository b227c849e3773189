"""One step of training: the loss of a batch, its gradient over all processes, and Adam."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.fitting.preparation import PreparedBatch
from cryomix.fitting.rigidity import Rigidity
from cryomix.fitting.score import score_projections
from cryomix.fitting.trained_model import TrainedModel
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.projection import project_gaussians
from cryomix.options import TrainingOptions
from cryomix.processes import sum_over_processes

_SCORE_UNIT = {"snr": 0.1, "flat": 100.0}  # brings both losses to the order of one


def training_step(
    model: TrainedModel,
    batch: PreparedBatch,
    noise: Float[Tensor, "batch latent"],
    optimizer: torch.optim.Optimizer,
    options: TrainingOptions,
    rigidity: Rigidity | None = None,
    *,
    whole: int,
) -> tuple[Float[Tensor, ""], Float[Tensor, "batch latent"]]:
    """One step on a batch of `whole` particles, of which `batch` are this process's.

    `rigidity`, if there is one, adds to the gradient and takes note of it.
    Returns the sum of the scores in `batch` above the neutral model's, and the latents that the
    encoder gave before the step. Both stay on the device: nothing here waits for a GPU.
    """
    optimizer.zero_grad()
    gain, latent = noise.new_zeros(()), torch.zeros_like(noise)
    hold = None
    if rigidity is not None:
        rigidity.forget()
        hold = partial(rigidity.hold, whole=whole)
    if len(batch):
        loss, mean_gain, latent = training_loss(model, batch, noise, options, hold)
        (loss * (len(batch) / whole)).backward()
        gain = mean_gain * len(batch)
    sum_over_processes([*_gradients(optimizer), *(rigidity.seen if rigidity else ())])
    if rigidity is not None:
        rigidity.remember()
    optimizer.step()
    return gain, latent


def training_loss(
    model: TrainedModel,
    batch: PreparedBatch,
    noise: Float[Tensor, "batch latent"],
    options: TrainingOptions,
    hold: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, "batch latent"]]:
    """The loss of one batch, its mean score above the neutral model's, and its latents.

    The centres of the models pass through `hold`, if given, on their way to the score.
    """
    latent = model.encoder(batch.gradient)
    shown = model.decoder(latent + options.latent_noise * noise)
    if hold is not None:
        shown = GaussianModel(hold(shown.center), shown.amplitude, shown.width)
    projection = project_gaussians(shown, batch.particles.poses, model.metric.grid)
    score = score_projections(projection, batch.particles, model.metric)
    gain = (score - batch.neutral_score).mean()
    penalty = 0.5 * options.latent_prior * latent.square().sum(-1).mean()
    if options.spread_penalty:
        # The paper's: Gaussians should not differ in strength and size more than they must.
        spread = shown.amplitude.std(-1) + shown.width.std(-1) / model.settings.base_width
        penalty = penalty + options.spread_penalty * spread.mean()
    unit = _SCORE_UNIT[model.metric.kind]
    return -unit * gain + _SCORE_UNIT["snr"] * penalty, gain.detach(), latent.detach()


def held_out_gain(
    model: TrainedModel, batch: PreparedBatch
) -> tuple[Float[Tensor, ""], Float[Tensor, "batch latent"]]:
    """Sum of the scores of `batch` above the neutral model's, and its latents."""
    latent = model.encoder(batch.gradient)
    shown = model.decoder(latent)
    projection = project_gaussians(shown, batch.particles.poses, model.metric.grid)
    score = score_projections(projection, batch.particles, model.metric)
    return (score - batch.neutral_score).sum(), latent


def make_optimizer(model: TrainedModel, options: TrainingOptions) -> torch.optim.Adam:
    """Adam on both networks, in one kernel where there is one."""
    return torch.optim.Adam(
        [*model.encoder.parameters(), *model.decoder.parameters()],
        lr=options.learning_rate,
        weight_decay=options.weight_decay,
        fused=model.device.type in ("cpu", "cuda"),
    )


def _gradients(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Of every weight; zero where this process had no particle."""
    gradients = []
    for weight in (weight for group in optimizer.param_groups for weight in group["params"]):
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
        gradients.append(weight.grad)
    return gradients
