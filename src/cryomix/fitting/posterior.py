"""Each particle's latent refined by itself, and how well its image determines it."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from cryomix.fitting.coarse_view import coarse_view
from cryomix.fitting.curvature import likelihood_curvature
from cryomix.fitting.representatives import Representatives, information, spread_over
from cryomix.fitting.score import Metric, log_likelihood, score_projections
from cryomix.fitting.trained_model import TrainedModel
from cryomix.imaging.particles import ParticleBatch
from cryomix.imaging.projection import project_gaussians

_NEIGHBORS = 3  # candidates that a hilltop overlooks
_WITHIN_REACH = 20.0  # nats that a search can gain from a candidate
_SHORTENED = 0.3  # what is left of a step that went too far
_INFORMATIVE = 1.0  # nats
_WIDENED = 2.0  # times, covariance of the prior
_STEP = 0.02  # of the latents' spread: finite differences along each latent axis


@dataclass(frozen=True, slots=True)
class Prior:
    """The latents of all particles as one normal distribution."""

    mean: Float[Tensor, "latent"]
    precision: Float[Tensor, "latent latent"]
    spread: Float[Tensor, "latent"]

    def to(self, device: torch.device) -> "Prior":
        """The same prior on `device`."""
        return Prior(self.mean.to(device), self.precision.to(device), self.spread.to(device))


@dataclass(frozen=True, slots=True)
class LatentPosterior:
    """What the image of each particle says of its latent.

    Attributes
    ----------
    latent
        The most probable one; where the image leaves distant ones possible, their mean.
    covariance
        Of the error.
    score
        With which the most probable latent explains the image.
    information
        What the image tells about its place among all particles, nats; infinite where nobody
        asked, as without steps.
    """

    latent: Float[Tensor, "particles latent"]
    covariance: Float[Tensor, "particles latent latent"]
    score: Float[Tensor, "particles"]
    information: Float[Tensor, "particles"]

    @property
    def std(self) -> Float[Tensor, "particles latent"]:
        """Standard deviation of each coordinate."""
        return self.covariance.diagonal(dim1=1, dim2=2).clamp_min(0).sqrt()

    @property
    def informative(self) -> Bool[Tensor, "particles"]:
        """Whether the image sees what varies: it tells at least one nat.

        One that tells less leaves more than a share of 1/e, 37 %, of all places possible.
        """
        return self.information >= _INFORMATIVE


def fit_prior(latent: Float[Tensor, "particles latent"]) -> Prior:
    """Mean and covariance of `latent`; the covariance is widened so that it only guides."""
    centered = latent - latent.mean(0)
    covariance = centered.T @ centered / max(len(latent) - 1, 1)
    floor = 1e-6 * covariance.diagonal().mean().clamp_min(1e-12)
    widened = _WIDENED * covariance + floor * torch.eye(latent.shape[1]).to(latent)
    return Prior(latent.mean(0), torch.linalg.inv(widened), latent.std(0).clamp_min(1e-6))


@torch.no_grad()
def refine_latents(
    model: TrainedModel,
    batch: ParticleBatch,
    latent: Float[Tensor, "batch latent"],
    prior: Prior,
    steps: int,
    *,
    candidates: tuple[Representatives, Float[Tensor, "batch representatives"]] | None = None,
) -> LatentPosterior:
    """Gauss–Newton steps towards each particle's most probable latent, then its covariance.

    The likelihood is that of the whitened image, its scale integrated out; the Jacobian comes
    from finite differences of decoded projections. A step that does not raise the posterior is
    not taken. The covariance is the inverse curvature, under the distribution of all particles.

    Some views leave two distant latents possible, and the encoder may have chosen the wrong
    one. `candidates` are representatives, and what `judge_representatives` says of them: the best
    one on another hill of the posterior starts a second search, and the more probable of the two
    ends is taken. Where the posterior reaches further over the representatives than its
    curvature says, its mean and covariance over them are taken.
    """
    task = _Task(model, batch, prior)
    found = _climb(task, latent, steps)
    if candidates is None or steps == 0:
        information_matrix, score = _curvature(task, found)[0], _score(task, found)
        covariance = _error_covariance(information_matrix, prior)
        return LatentPosterior(found.latent, covariance, score, torch.full_like(score, torch.inf))

    representatives, likelihood = candidates
    view = coarse_view(batch, model.likelihood)
    behind, start = _best_elsewhere(task, view, likelihood, representatives.latent, found)
    other = (behind < _WITHIN_REACH).nonzero()[:, 0]
    if len(other):
        second = _climb(task[other], start[other], steps)
        found = _better_of(found, second, other)
    curvature = _curvature(task, found)[0]
    covariance = torch.linalg.inv(curvature)

    spread = spread_over(representatives, likelihood, covariance)
    wide = (spread.trust > 0).nonzero()[:, 0]
    if view[0] is not batch and len(wide):  # seen sharply, less may be possible
        sharp = _judge_each(model, batch[wide], model.likelihood, representatives.latent)
        likelihood = likelihood.index_copy(0, wide, sharp)
        spread = spread_over(representatives, likelihood, covariance)
    return LatentPosterior(
        torch.lerp(found.latent, spread.mean, spread.trust[:, None]),
        torch.lerp(
            _error_covariance(curvature, prior), spread.covariance, spread.trust[:, None, None]
        ),
        _score(task, found),
        information(representatives, likelihood),
    )


@torch.no_grad()
def judge_representatives(
    model: TrainedModel, batch: ParticleBatch, representatives: Representatives
) -> Float[Tensor, "batch representatives"]:
    """Log-likelihood of each representative for each image, at a coarse resolution."""
    return _judge_each(model, *coarse_view(batch, model.likelihood), representatives.latent)


class _Task:
    """What stays the same while latents are searched for: images and prior."""

    def __init__(self, model: TrainedModel, batch: ParticleBatch, prior: Prior) -> None:
        self.model = model
        self.batch = batch
        self.prior = prior
        metric = model.likelihood
        self.seen = batch.transfer * (metric.gain * metric.weight.sqrt())
        self.image = torch.view_as_real(batch.image_ft * metric.weight.sqrt()).flatten(1)

    def __getitem__(self, chosen: Int64[Tensor, "chosen"]) -> "_Task":
        return _Task(self.model, self.batch[chosen], self.prior)

    def expect(self, latent: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch numbers"]:
        """Whitened, CTF-weighted projections, as real vectors."""
        shown = self.model.decode(latent)
        projection = project_gaussians(shown, self.batch.poses, self.model.likelihood.grid)
        return torch.view_as_real(projection * self.seen).flatten(1)


@dataclass(frozen=True, slots=True)
class _Place:
    """Latents that were tried, what images they let expect, and how probable they are.

    Attributes
    ----------
    likelihood
        Log-likelihood gained over an empty image, in nats.
    """

    latent: Float[Tensor, "batch latent"]
    expected: Float[Tensor, "batch numbers"]
    likelihood: Float[Tensor, "batch"]
    log_posterior: Float[Tensor, "batch"]


def _climb(task: _Task, latent: Tensor, steps: int) -> _Place:
    place = _look(task, latent)
    for _ in range(steps):
        information, slope = _curvature(task, place)
        step = torch.linalg.solve(information, slope[..., None])[..., 0]
        start, everyone = place, torch.arange(len(latent), device=latent.device)
        place = _better_of(start, _look(task, start.latent + step), everyone)
        # Where the posterior did not rise, once more, less far.
        fell = (place.log_posterior <= start.log_posterior).nonzero()[:, 0]
        if len(fell):
            nearer = _look(task[fell], start.latent[fell] + _SHORTENED * step[fell])
            place = _better_of(place, nearer, fell)
    return place


def _look(task: _Task, latent: Tensor) -> _Place:
    expected = task.expect(latent)
    cross = torch.linalg.vecdot(task.image, expected)
    power = torch.linalg.vecdot(expected, expected)
    likelihood = log_likelihood(cross, power, task.model.likelihood.scale_variance)
    return _Place(latent, expected, likelihood, likelihood - 0.5 * _distance(latent, task.prior))


def _better_of(place: _Place, other: _Place, index: Int64[Tensor, "others"]) -> _Place:
    """`place` with, for each particle at `index`, the `other` where that is more probable."""
    better = other.log_posterior > place.log_posterior[index]

    def choose(old: Tensor, new: Tensor) -> Tensor:
        mask = better.reshape(-1, *[1] * (old.ndim - 1))
        return old.index_copy(0, index, torch.where(mask, new, old[index]))

    return _Place(
        choose(place.latent, other.latent),
        choose(place.expected, other.expected),
        choose(place.likelihood, other.likelihood),
        choose(place.log_posterior, other.log_posterior),
    )


def _judge_each(
    model: TrainedModel,
    batch: ParticleBatch,
    metric: Metric,
    latent: Float[Tensor, "tried latent"],
) -> Float[Tensor, "batch tried"]:
    """Log-likelihood of the same few latents for every image of `batch`."""
    shown = model.decode(latent)
    columns = []
    for row in range(len(latent)):
        projection = project_gaussians(shown[row], batch.poses, metric.grid)
        columns.append(score_projections(projection, batch, metric))
    return torch.stack(columns, dim=1)


def _best_elsewhere(
    task: _Task,
    view: tuple[ParticleBatch, Metric],
    likelihood: Float[Tensor, "batch candidates"],
    candidates: Float[Tensor, "candidates latent"],
    found: _Place,
) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch latent"]]:
    """The best candidate on another hill than what was found, and how far behind it is, in nats.

    A hilltop is a candidate that is more probable than its nearest candidates; the hilltop
    nearest to what was found belongs to the same hill. Without another one: ∞. Hills show at
    a coarse resolution, the `view`; the search that begins there sees everything again.
    """
    value = likelihood - 0.5 * _distance(candidates, task.prior)
    distance = torch.cdist(candidates, candidates).fill_diagonal_(torch.inf)
    nearest = distance.topk(min(_NEIGHBORS, len(candidates) - 1), largest=False).indices
    is_top = (value[..., None] > value[:, nearest]).all(-1)
    away = torch.where(is_top, torch.cdist(found.latent, candidates), torch.inf)
    is_top = is_top.scatter(1, away.argmin(1, keepdim=True), False)
    best = torch.where(is_top, value, -torch.inf).max(dim=1)
    batch, metric = view
    projection = project_gaussians(task.model.decode(found.latent), batch.poses, metric.grid)
    here = score_projections(projection, batch, metric) - 0.5 * _distance(found.latent, task.prior)
    return here - best.values, candidates[best.indices]


def _distance(latent: Float[Tensor, "any latent"], prior: Prior) -> Float[Tensor, "any"]:
    """Squared distance from the prior's mean in its standard deviations."""
    offset = latent - prior.mean
    return ((offset @ prior.precision) * offset).sum(-1)


def _error_covariance(
    curvature: Float[Tensor, "batch latent latent"], prior: Prior
) -> Float[Tensor, "batch latent latent"]:
    """Of a particle from the distribution of all, which is half as wide as the prior that guides.

    Where an image says nothing, the error is then the spread of the particles and no more.
    """
    return torch.linalg.inv(curvature + (_WIDENED - 1) * prior.precision)


def _curvature(
    task: _Task, place: _Place
) -> tuple[Float[Tensor, "batch latent latent"], Float[Tensor, "batch latent"]]:
    """Information matrix and slope of the log posterior; the scale is integrated out."""
    information, slope = likelihood_curvature(
        task.image, place.expected, _jacobian(task, place), task.model.likelihood.scale_variance
    )
    precision = task.prior.precision
    return information + precision, slope - (place.latent - task.prior.mean) @ precision


def _jacobian(task: _Task, place: _Place) -> Float[Tensor, "batch latent numbers"]:
    """Change of the expected images along each latent axis, by finite differences."""
    columns = []
    for axis, spread in enumerate(task.prior.spread):
        step = torch.zeros_like(place.latent)
        step[:, axis] = _STEP * spread
        columns.append((task.expect(place.latent + step) - place.expected) / (_STEP * spread))
    return torch.stack(columns, dim=1)


def _score(task: _Task, place: _Place) -> Float[Tensor, "batch"]:
    metric = task.model.metric
    if metric.kind == "snr":
        return place.likelihood
    projection = project_gaussians(task.model.decode(place.latent), task.batch.poses, metric.grid)
    return score_projections(projection, task.batch, metric)
