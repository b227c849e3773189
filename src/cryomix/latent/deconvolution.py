"""How a mixture of known parts is weighted when each particle is seen with an error of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

_LEAST_VARIANCE = 1e-6  # of an error, in units of the prior's
_SETTLED = 1e-5  # largest change of a weight in one round, over the largest weight
_CHECKED_EVERY = 10
_FOLDS = 3


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """What each image says of its latent z: exp(slope · z − ½ zᵀ precision z), up to a factor.

    Attributes
    ----------
    precision
        Positive semidefinite; zero along what the image does not see.
    slope
        Precision times the latent that the image by itself makes most likely.
    """

    precision: Float[Tensor, "particles latent latent"]
    slope: Float[Tensor, "particles latent"]

    def __len__(self) -> int:
        return len(self.slope)

    def __getitem__(self, chosen: Tensor | slice) -> "Likelihoods":
        return Likelihoods(self.precision[chosen], self.slope[chosen])


def remove_prior(
    latent: Float[Tensor, "particles latent"],
    covariance: Float[Tensor, "particles latent latent"],
) -> Likelihoods:
    """Likelihoods of the particles whose posteriors have these means and covariances.

    The prior of the posteriors is the normal distribution that training takes: mean of all latents
    and twice their covariance. It is estimated anew from the posteriors' means. An image whose
    posterior is as wide as the prior along some direction says nothing there.
    """
    values = latent.detach().cpu().double()
    mean = values.mean(0)
    centered = values - mean
    spread = centered.mT @ centered / max(len(values) - 1, 1)
    floor = 1e-6 * spread.diagonal().mean().clamp_min(1e-12)
    prior = 2 * spread + floor * torch.eye(spread.shape[0], dtype=torch.float64)
    scale, axes = torch.linalg.eigh(prior)
    whiten = (axes / scale.sqrt()) @ axes.mT
    # Where the prior is a sphere of radius 1, precisions differ by 1 along every axis.
    error = whiten @ covariance.detach().cpu().double() @ whiten
    variance, turn = torch.linalg.eigh((error + error.mT) / 2)
    variance = variance.clamp_min(_LEAST_VARIANCE)
    seen = (1 / variance - 1).clamp_min(0)
    along = torch.einsum("pji,pj->pi", turn, centered @ whiten)
    slope = torch.einsum("pij,pj->pi", turn, torch.where(seen > 0, along / variance, 0.0))
    precision = whiten @ ((turn * seen[:, None]) @ turn.mT) @ whiten
    return Likelihoods(precision, slope @ whiten + precision @ mean)


def mean_scatter(
    covariance: Float[Tensor, "particles latent latent"], likelihoods: Likelihoods
) -> Float[Tensor, "latent latent"]:
    """Mean over the particles of how posteriors' means scatter about those of noise-free images."""
    error = covariance.detach().cpu().double()
    return (error @ likelihoods.precision @ error).mean(dim=0)


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a normal distribution of latents explains each image.

    Attributes
    ----------
    log_likelihood
        Up to a constant of each particle.
    mean, covariance
        Of each latent, if it was drawn from that distribution.
    """

    log_likelihood: Float[Tensor, "particles"]
    mean: Float[Tensor, "particles latent"]
    covariance: Float[Tensor, "particles latent latent"]


def explain(
    likelihoods: Likelihoods,
    center: Float[Tensor, "latent"],
    covariance: Float[Tensor, "latent latent"],
) -> Explanation:
    """The images as seen from one normal distribution of latents."""
    precision = torch.linalg.inv(covariance)
    total = likelihoods.precision + precision
    pull = likelihoods.slope + precision @ center
    root, _ = torch.linalg.cholesky_ex(total)
    inverse = torch.cholesky_inverse(root)
    mean = torch.einsum("pij,pj->pi", inverse, pull)
    log_volume = 2 * root.diagonal(dim1=1, dim2=2).log().sum(1) + torch.logdet(covariance)
    gained = torch.linalg.vecdot(pull, mean) - center @ precision @ center
    return Explanation(0.5 * (gained - log_volume), mean, inverse)


def likelihood_matrix(
    likelihoods: Likelihoods,
    center: Float[Tensor, "parts latent"],
    covariance: Float[Tensor, "parts latent latent"],
) -> Float[Tensor, "particles parts"]:
    """Likelihood of each particle for each part of a mixture; the largest of a particle is 1."""
    columns = [
        explain(likelihoods, one, around).log_likelihood
        for one, around in zip(center, covariance, strict=True)
    ]
    logarithm = torch.stack(columns, dim=1)
    return (logarithm - logarithm.max(dim=1, keepdim=True).values).exp()


def fit_weights(
    likelihood: Float[Tensor, "particles parts"],
    count: Float[Tensor, "particles draws"],
    smoothing: Float[Tensor, "parts parts"],
    start: Float[Tensor, "parts"] | None = None,
    rounds: int = 400,
) -> Float[Tensor, "draws parts"]:
    """Weights of the parts of a mixture that explain the particles best.

    Parameters
    ----------
    likelihood
        Of each particle for each part.
    count
        How often each particle counts, in each of several draws that are fitted together.
    smoothing
        Applied to the weights after each round; columns sum to 1.
    start
        Weights to begin with; equal ones by default.
    rounds
        At most so many.

    Notes
    -----
    Expectation maximisation with a smoothing step: Silverman, Jones, Wilson & Nychka, J. R. Stat.
    Soc. B 52, 271–324 (1990).
    """
    parts = likelihood.shape[1]
    first = torch.full((parts,), 1 / parts) if start is None else start
    weight = first.to(likelihood)[:, None].repeat(1, count.shape[1])
    share = count / count.sum(0)
    for step in range(rounds):
        ratio = share / (likelihood @ weight).clamp_min(1e-30)
        found = smoothing @ (weight * (likelihood.mT @ ratio))
        change = float((found - weight).abs().max() / found.max())
        weight = found
        if step % _CHECKED_EVERY == 0 and change < _SETTLED:
            break
    return (weight / weight.sum(0)).mT


def line_smoothing(steps: int, width: float, is_closed: bool) -> Float[Tensor, "steps steps"]:
    """Normal kernel of `width` steps along a line whose ends reflect, or round a loop.

    Its columns sum to 1, so that no weight is lost; constant weights stay constant.
    """
    if width <= 0:
        return torch.eye(steps)
    place = torch.arange(steps, dtype=torch.float64)
    kernel = torch.zeros(steps, steps, dtype=torch.float64)
    period = steps if is_closed else 2 * steps
    for turn in range(-3, 4):
        shift = turn * period
        kernel += torch.exp(-0.5 * ((place[:, None] - place + shift) / width) ** 2)
        if not is_closed:  # images mirrored at half a step before the first and after the last
            kernel += torch.exp(-0.5 * ((place[:, None] + place + 1 + shift) / width) ** 2)
    return (kernel / kernel.sum(0)).float()


def choose_smoothing(
    likelihood: Float[Tensor, "particles parts"],
    candidates: Sequence[Float[Tensor, "parts parts"]],
    seed: int,
) -> int:
    """Index of the first of `candidates` under which left-out particles are as likely as can be.

    As likely: within one standard error of the difference from the best. With the smoothest first,
    the smoothest that the particles do not speak against is taken.
    """
    scores = [held_out_score(likelihood, smoothing, _FOLDS, seed) for smoothing in candidates]
    best = max(scores, key=lambda score: float(score.sum()))
    behind = [best - score for score in scores]
    enough = [float(gap.mean()) <= float(gap.std()) / len(gap) ** 0.5 for gap in behind]
    return enough.index(True)


def held_out_score(
    likelihood: Float[Tensor, "particles parts"],
    smoothing: Float[Tensor, "parts parts"],
    folds: int,
    seed: int,
) -> Float[Tensor, "particles"]:
    """Log-likelihood of each particle under weights that were fitted without it, in nats."""
    order = torch.randperm(len(likelihood), generator=torch.Generator().manual_seed(seed))
    fold = torch.empty_like(order)
    fold[order] = torch.arange(len(order)) % folds
    left_out = torch.nn.functional.one_hot(fold, folds).to(likelihood)
    weight = fit_weights(likelihood, 1 - left_out, smoothing)
    own = (likelihood @ weight.mT)[torch.arange(len(fold)), fold]
    return own.clamp_min(1e-30).log()


def draw_counts(
    particles: int, draws: int, generator: torch.Generator
) -> Float[Tensor, "particles draws"]:
    """How often each particle is drawn when as many are drawn, with replacement, as there are."""
    picked = torch.randint(particles, (draws, particles), generator=generator)
    return torch.stack([torch.bincount(row, minlength=particles) for row in picked], 1).float()
