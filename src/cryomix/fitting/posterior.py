"""Each particle's latent refined by itself, and how well its image determines it."""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from cryomix.fitting.score import Metric, score_projections
from cryomix.fitting.trained_model import TrainedModel
from cryomix.imaging.particles import ParticleBatch
from cryomix.imaging.projection import project_gaussians

_STEP = 0.02  # of the latents' spread: finite differences along each latent axis


@dataclass(frozen=True, slots=True)
class Prior:
    """The latents of all particles as one normal distribution."""

    mean: Float[Tensor, "latent"]
    precision: Float[Tensor, "latent latent"]
    spread: Float[Tensor, "latent"]


@dataclass(frozen=True, slots=True)
class LatentPosterior:
    """Latents, their standard deviations, and the score with which each explains its image."""

    latent: Float[Tensor, "particles latent"]
    std: Float[Tensor, "particles latent"]
    score: Float[Tensor, "particles"]


def fit_prior(latent: Float[Tensor, "particles latent"]) -> Prior:
    """Mean and covariance of `latent`; the covariance is widened so that it only guides."""
    centered = latent - latent.mean(0)
    covariance = centered.T @ centered / max(len(latent) - 1, 1)
    floor = 1e-6 * covariance.diagonal().mean().clamp_min(1e-12)
    widened = 2 * covariance + floor * torch.eye(latent.shape[1])
    return Prior(latent.mean(0), torch.linalg.inv(widened), latent.std(0).clamp_min(1e-6))


@torch.no_grad()
def refine_latents(
    model: TrainedModel,
    batch: ParticleBatch,
    latent: Float[Tensor, "batch latent"],
    prior: Prior,
    steps: int,
) -> LatentPosterior:
    """Gauss–Newton steps towards each particle's most probable latent, then its covariance.

    The likelihood is that of the whitened image with the best scale of the projection; the
    Jacobian comes from finite differences of decoded projections. A step that does not raise
    the posterior is not taken. ``std`` is the root of the diagonal of the inverse curvature.
    """
    metric = model.likelihood
    current = _log_posterior(model, batch, latent, prior)
    for _ in range(steps):
        information, slope = _curvature(model, batch, latent, prior, metric)
        step = torch.linalg.solve(information, slope[..., None])[..., 0]
        for length in (1.0, 0.3):
            trial = latent + length * step
            value = _log_posterior(model, batch, trial, prior)
            better = value > current
            latent = torch.where(better[:, None], trial, latent)
            current = torch.where(better, value, current)
            step = torch.where(better[:, None], 0.0, step)
    information, _ = _curvature(model, batch, latent, prior, metric)
    std = torch.linalg.inv(information).diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt()
    projection = project_gaussians(model.decode(latent), batch.poses, metric.grid)
    return LatentPosterior(latent, std, score_projections(projection, batch, model.metric))


def _log_posterior(
    model: TrainedModel, batch: ParticleBatch, latent: Tensor, prior: Prior
) -> Float[Tensor, "batch"]:
    projection = project_gaussians(model.decode(latent), batch.poses, model.likelihood.grid)
    offset = latent - prior.mean
    distance = ((offset @ prior.precision) * offset).sum(-1)
    return score_projections(projection, batch, model.likelihood) - 0.5 * distance


def _curvature(
    model: TrainedModel, batch: ParticleBatch, latent: Tensor, prior: Prior, metric: Metric
) -> tuple[Float[Tensor, "batch latent latent"], Float[Tensor, "batch latent"]]:
    """Information matrix and slope of the log posterior; the scale is integrated out."""
    expected, jacobian = _expected_images(model, batch, latent, prior, metric)
    image = _whiten(batch.image_ft * (metric.gain > 0), metric)
    power = expected.square().sum(-1).clamp_min(1e-12)
    scale = ((image * expected).sum(-1) / power).clamp_min(0)
    # What a change of scale explains does not tell latents apart.
    along = torch.einsum("bzk,bk->bz", jacobian, expected) / power[:, None]
    jacobian = jacobian - along[..., None] * expected[:, None]
    residual = image - scale[:, None] * expected
    information = scale[:, None, None].square() * (jacobian @ jacobian.mT) + prior.precision
    slope = scale[:, None] * torch.einsum("bzk,bk->bz", jacobian, residual)
    return information, slope - (latent - prior.mean) @ prior.precision


def _expected_images(
    model: TrainedModel, batch: ParticleBatch, latent: Tensor, prior: Prior, metric: Metric
) -> tuple[Float[Tensor, "batch numbers"], Float[Tensor, "batch latent numbers"]]:
    """Whitened, CTF-weighted projections and their derivatives, as real vectors."""
    seen = batch.transfer * metric.gain

    def expect(at: Tensor) -> Tensor:
        projection = project_gaussians(model.decode(at), batch.poses, metric.grid)
        return _whiten(projection * seen, metric)

    expected = expect(latent)
    columns = []
    for axis, spread in enumerate(prior.spread):
        step = torch.zeros_like(latent)
        step[:, axis] = _STEP * spread
        columns.append((expect(latent + step) - expected) / (_STEP * spread))
    return expected, torch.stack(columns, dim=1)


def _whiten(
    image_ft: Complex[Tensor, "batch rows columns"], metric: Metric
) -> Float[Tensor, "batch numbers"]:
    whitened = image_ft * metric.weight.sqrt()
    return torch.view_as_real(whitened).flatten(1)
