"""Each particle's latent refined by itself, and how well its image determines it."""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from cryomix.fitting.score import Metric, score_projections
from cryomix.fitting.trained_model import TrainedModel
from cryomix.imaging.particles import ParticleBatch
from cryomix.imaging.projection import project_gaussians

_NEIGHBORS = 3  # candidates that a hilltop overlooks
_WITHIN_REACH = 20.0  # nats that a search can gain from a candidate
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
    *,
    candidates: Float[Tensor, "candidates latent"] | None = None,
) -> LatentPosterior:
    """Gauss–Newton steps towards each particle's most probable latent, then its covariance.

    The likelihood is that of the whitened image with the best scale of the projection; the
    Jacobian comes from finite differences of decoded projections. A step that does not raise
    the posterior is not taken. ``std`` is the root of the diagonal of the inverse curvature.

    Some views leave two distant latents possible, and the encoder may have chosen the wrong
    one: the best of the `candidates` on another hill of the posterior starts a second search,
    and the more probable of the two ends is taken.
    """
    found = _climb(model, batch, latent, prior, steps)
    if candidates is not None and steps > 0:
        value, start = _best_elsewhere(model, batch, candidates, prior, found)
        other = (value > found.log_posterior - _WITHIN_REACH).nonzero()[:, 0]
        if len(other):
            second = _climb(model, batch[other], start[other], prior, steps)
            better = second.log_posterior > found.log_posterior[other]
            found.latent[other[better]] = second.latent[better]
    information, _ = _curvature(model, batch, found.latent, prior)
    std = torch.linalg.inv(information).diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt()
    projection = project_gaussians(model.decode(found.latent), batch.poses, model.metric.grid)
    return LatentPosterior(found.latent, std, score_projections(projection, batch, model.metric))


@dataclass(frozen=True, slots=True)
class _Summit:
    latent: Float[Tensor, "batch latent"]
    log_posterior: Float[Tensor, "batch"]
    information_diagonal: Float[Tensor, "batch latent"]


def _climb(
    model: TrainedModel, batch: ParticleBatch, latent: Tensor, prior: Prior, steps: int
) -> _Summit:
    current = _log_posterior(model, batch, latent, prior)
    diagonal = prior.precision.diagonal().expand_as(latent)
    for _ in range(steps):
        information, slope = _curvature(model, batch, latent, prior)
        diagonal = information.diagonal(dim1=-2, dim2=-1)
        step = torch.linalg.solve(information, slope[..., None])[..., 0]
        for length in (1.0, 0.3):
            trial = latent + length * step
            value = _log_posterior(model, batch, trial, prior)
            better = value > current
            latent = torch.where(better[:, None], trial, latent)
            current = torch.where(better, value, current)
            step = torch.where(better[:, None], 0.0, step)
    return _Summit(latent.clone(), current, diagonal)


def _best_elsewhere(
    model: TrainedModel, batch: ParticleBatch, candidates: Tensor, prior: Prior, found: _Summit
) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch latent"]]:
    """The best candidate on another hill than what was found, and its log posterior.

    A hilltop is a candidate that is more probable than its nearest candidates; the hilltop
    nearest to what was found belongs to the same hill. Without another one: −∞.
    """
    shown = model.decode(candidates)
    columns = []
    for number, latent in enumerate(candidates):
        projection = project_gaussians(shown[number], batch.poses, model.likelihood.grid)
        score = score_projections(projection, batch, model.likelihood)
        columns.append(score - 0.5 * _distance(latent[None], prior))
    value = torch.stack(columns, dim=1)
    distance = torch.cdist(candidates, candidates).fill_diagonal_(torch.inf)
    nearest = distance.topk(min(_NEIGHBORS, len(candidates) - 1), largest=False).indices
    is_top = (value[..., None] > value[:, nearest]).all(-1)
    away = torch.where(is_top, torch.cdist(found.latent, candidates), torch.inf)
    is_top[torch.arange(len(batch)), away.argmin(1)] = False
    best = torch.where(is_top, value, -torch.inf).max(dim=1)
    return best.values, candidates[best.indices]


def _log_posterior(
    model: TrainedModel, batch: ParticleBatch, latent: Tensor, prior: Prior
) -> Float[Tensor, "batch"]:
    projection = project_gaussians(model.decode(latent), batch.poses, model.likelihood.grid)
    return score_projections(projection, batch, model.likelihood) - 0.5 * _distance(latent, prior)


def _distance(latent: Float[Tensor, "any latent"], prior: Prior) -> Float[Tensor, "any"]:
    """Squared distance from the prior's mean in its standard deviations."""
    offset = latent - prior.mean
    return ((offset @ prior.precision) * offset).sum(-1)


def _curvature(
    model: TrainedModel, batch: ParticleBatch, latent: Tensor, prior: Prior
) -> tuple[Float[Tensor, "batch latent latent"], Float[Tensor, "batch latent"]]:
    """Information matrix and slope of the log posterior; the scale is integrated out."""
    metric = model.likelihood
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
