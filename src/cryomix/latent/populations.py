"""How many particles are in each stretch of a path, after the errors of their latents.

A histogram of latents shows populations blurred by the error of each latent. Here the density along
a path is that which explains all particles best, each with its own likelihood. It is a density per
length of path, so it depends on what length means, and the free energy with it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from cryomix.latent.deconvolution import (
    Likelihoods,
    choose_smoothing,
    draw_counts,
    explain,
    fit_weights,
    likelihood_matrix,
    line_smoothing,
    remove_prior,
)
from cryomix.latent.trajectory import along_principal_curve, around_loop, evenly_spaced

USED_AT_MOST = 50_000  # particles
STRETCHES = 15
_FINENESS = 3  # points of the path in each stretch
POINTS = _FINENESS * STRETCHES
_WIDTHS = (4.0, 2.8, 2.0, 1.4, 1.0, 0.7, 0.5)  # of the smoothing, in points
_TRIAL_WIDTH = 1.0
_NARROWER = 0.5  # smoothing of half of the draws, over that of the others
_SPREAD_FROM = 600  # particles
_SPREAD_ROUNDS = 12
_BEYOND = 0.99  # share of the particles past an end that the path is prolonged to reach
_STRAIGHTENED = 2.0  # points over which the path is smoothed
_LONGEST = 10  # points added at an end
_EMPTY_END = 0.005  # share of the particles that may be cut off with an end
_DRAW_ROUNDS = 150


@dataclass(frozen=True, slots=True)
class PathPopulation:
    """Populations of the stretches of a path.

    Attributes
    ----------
    path
        Points equally far apart in latent units; each stretch holds as many.
    share
        Of the particles, in each stretch; sums to 1.
    draws
        The same of particles drawn anew with replacement; rows sum to 1.
    counted
        Share of the particles whose own latent is nearest to each stretch: blurred by the errors.
    particle_error
        Standard deviation of the place of a particle in each stretch, in points of the path.
    particles
        How many were used.
    is_closed
        Whether the last point is next to the first.
    """

    path: Float[Tensor, "points latent"]
    share: Float[Tensor, "stretches"]
    draws: Float[Tensor, "draws stretches"]
    counted: Float[Tensor, "stretches"]
    particle_error: Float[Tensor, "stretches"]
    particles: int
    is_closed: bool

    @property
    def outline(self) -> Float[Tensor, "places latent"]:
        """The points, and the first once more if the path is closed."""
        return torch.cat([self.path, self.path[:1]]) if self.is_closed else self.path


def populate_path(
    latent: Float[Tensor, "particles latent"],
    covariance: Float[Tensor, "particles latent latent"],
    *,
    is_closed: bool,
    draws: int,
    seed: int,
) -> PathPopulation:
    """Populations along the particles, or round their loop, without the blur of the errors.

    The particles are a mixture of normal distributions around the points of the path: narrow
    along it, and as wide across it as the particles need. A particle belongs to the stretch
    that explains its image best, however far from the path it lies.

    Parameters
    ----------
    latent, covariance
        Means and covariances of the particles' posteriors; of at most 50,000 of them.
    is_closed
        Whether the particles form a loop.
    draws
        How often the particles are drawn anew.
    seed
        Of the choice of particles and of the draws.

    Notes
    -----
    The weights are smoothed along the path; how much is chosen by the likelihood of particles left
    out. Smoothing flattens, which drawing anew does not see: so half of the draws are smoothed half
    as much.
    """
    generator = torch.Generator().manual_seed(seed)
    used = torch.randperm(len(latent), generator=generator)[:USED_AT_MOST].sort().values
    likelihoods, values = remove_prior(latent, covariance)[used], latent[used].double()
    points = _path_points(latent, is_closed)
    if not is_closed:
        points = _without_empty_ends(likelihoods, values, points)
    parts = _path_parts(likelihoods, values, points, is_closed)
    likelihood = likelihood_matrix(likelihoods, points, parts).float()

    everyone = torch.ones(len(used), 1)
    candidates = [line_smoothing(POINTS, width, is_closed) for width in _WIDTHS]
    width = _WIDTHS[choose_smoothing(likelihood, candidates, seed)]
    smoothing = line_smoothing(POINTS, width, is_closed)
    share = fit_weights(likelihood, everyone, smoothing)[0]
    drawn = []
    for count, factor in ((draws - draws // 2, 1.0), (draws // 2, _NARROWER)):
        smoothing = line_smoothing(POINTS, factor * width, is_closed)
        start = fit_weights(likelihood, everyone, smoothing)[0]
        again = draw_counts(len(used), count, generator)
        drawn.append(fit_weights(likelihood, again, smoothing, start, _DRAW_ROUNDS))
    nearest = torch.cdist(values, points).argmin(dim=1)
    counted = torch.bincount(nearest, minlength=POINTS).float() / len(used)
    error = _particle_error(likelihood, share, is_closed)
    return PathPopulation(
        path=points.to(latent),
        share=_pooled(share),
        draws=_pooled(torch.cat(drawn)),
        counted=_pooled(counted),
        particle_error=_pooled(share * error) / _pooled(share).clamp_min(1e-30),
        particles=len(used),
        is_closed=is_closed,
    )


def middles(points: Shaped[Tensor, "points ..."]) -> Shaped[Tensor, "stretches ..."]:
    """Of something given at each point of the path, that in the middle of each stretch."""
    return points[:POINTS][_FINENESS // 2 :: _FINENESS]


def stretch_lengths(position: Float[Tensor, "places"]) -> Float[Tensor, "stretches"]:
    """Length of each stretch; around each point, half of the way to either neighbour counts.

    The ends of an open path reach as far outwards as inwards.

    Parameters
    ----------
    position
        Length of the path up to each place of `PathPopulation.outline`.
    """
    gap = position.diff()
    if len(gap) == POINTS:
        return _pooled((gap + gap.roll(1)) / 2)
    return _pooled((torch.cat([gap[:1], gap]) + torch.cat([gap, gap[-1:]])) / 2)


def free_energy(
    share: Float[Tensor, "*draws points"], length: Float[Tensor, "points"], particles: int
) -> Float[Tensor, "*draws points"]:
    """−ln of the density per length, in kT, without a constant.

    A population below that of half a particle counts as that: it cannot be told from none.
    """
    return -(share.clamp_min(0.5 / particles) / length).log()


def _pooled(points: Float[Tensor, "*draws points"]) -> Float[Tensor, "*draws stretches"]:
    return points.unflatten(-1, (STRETCHES, _FINENESS)).sum(dim=-1)


def _path_points(
    latent: Float[Tensor, "particles latent"], is_closed: bool
) -> Float[Tensor, "points latent"]:
    """A smooth path: points that jut out of it would gather the particles around them."""
    smoothing = line_smoothing(POINTS, _STRAIGHTENED, is_closed).double()
    if is_closed:
        return smoothing @ around_loop(latent, POINTS).latent.double()
    points = smoothing @ along_principal_curve(latent, POINTS).latent.double()
    points = evenly_spaced(points, POINTS)
    # Its ends are means of particles, so some lie beyond them.
    nearest = torch.cdist(latent.double(), points).argmin(dim=1)
    before, after = (
        _steps_beyond(latent[nearest == end].double(), points[end], points[inward])
        for end, inward in ((0, 1), (POINTS - 1, POINTS - 2))
    )
    return torch.cat([before.flip(0), points, after])


def _steps_beyond(
    latent: Float[Tensor, "particles latent"],
    end: Float[Tensor, "latent"],
    inward: Float[Tensor, "latent"],
) -> Float[Tensor, "added latent"]:
    """Points that prolong a path past its end as far as particles lie there."""
    step = end - inward
    if len(latent) == 0:
        return end[None, :][:0]
    beyond = ((latent - end) @ step / step.square().sum().clamp_min(1e-30)).clamp_min(0)
    added = min(round(float(torch.quantile(beyond, _BEYOND))), _LONGEST)
    return end + torch.arange(1, added + 1)[:, None] * step


def _path_parts(
    likelihoods: Likelihoods,
    values: Float[Tensor, "particles latent"],
    points: Float[Tensor, "points latent"],
    is_closed: bool,
) -> Float[Tensor, "points latent latent"]:
    """Covariances of the parts: half a step along the path, across it what the particles need."""
    tangent, step = _tangents(points, is_closed)
    along = tangent[:, :, None] * tangent[:, None, :]
    across = torch.eye(points.shape[1], dtype=torch.float64) - along
    narrow = (0.5 * step) ** 2 * along + (0.05 * step) ** 2 * across
    if points.shape[1] == 1:
        return narrow
    every = max(1, len(values) // _SPREAD_FROM)
    some, offset = likelihoods[::every], values[::every]
    offset = offset - points[torch.cdist(offset, points).argmin(dim=1)]
    spread = offset.mT @ offset / len(offset)
    weight = torch.full((len(points),), 1 / len(points), dtype=torch.float64)
    for _ in range(_SPREAD_ROUNDS):
        parts = across @ spread @ across + narrow
        spread, weight = _improve_spread(some, points, parts, across, weight)
    return across @ spread @ across + narrow


def _improve_spread(
    likelihoods: Likelihoods,
    points: Float[Tensor, "points latent"],
    parts: Float[Tensor, "points latent latent"],
    across: Float[Tensor, "points latent latent"],
    weight: Float[Tensor, "points"],
) -> tuple[Float[Tensor, "latent latent"], Float[Tensor, "points"]]:
    """One round of expectation maximisation of the spread across the path.

    The step is that of Bovy, Hogg & Roweis, Ann. Appl. Stat. 5, 1657 (2011), with one spread
    for all parts.
    """
    explained = [explain(likelihoods, *part) for part in zip(points, parts, strict=True)]
    logarithm = torch.stack([one.log_likelihood for one in explained], dim=1)
    belongs = (logarithm + weight.log()).softmax(dim=1)
    total = torch.zeros_like(across[0])
    for own, one, point, turn in zip(belongs.mT, explained, points, across, strict=True):
        offset = one.mean - point
        moment = (own[:, None] * offset).mT @ offset
        total += turn @ (moment + torch.einsum("p,pij->ij", own, one.covariance)) @ turn
    return total / len(likelihoods), belongs.mean(dim=0).clamp_min(1e-12)


def _tangents(
    points: Float[Tensor, "points latent"], is_closed: bool
) -> tuple[Float[Tensor, "points latent"], float]:
    """Unit vectors along the path at each point, and the mean distance between points."""
    padded = [points[-1:], points, points[:1]] if is_closed else [points[:1], points, points[-1:]]
    around = torch.cat(padded)
    way = around[2:] - around[:-2]
    step = float(points.diff(dim=0).norm(dim=1).mean())
    return way / way.norm(dim=1, keepdim=True).clamp_min(1e-12), step


def _without_empty_ends(
    likelihoods: Likelihoods,
    values: Float[Tensor, "particles latent"],
    points: Float[Tensor, "prolonged latent"],
) -> Float[Tensor, "points latent"]:
    """The part of an open path that holds particles, cut into points anew."""
    parts = _path_parts(likelihoods, values, points, False)
    likelihood = likelihood_matrix(likelihoods, points, parts).float()
    smoothing = line_smoothing(len(points), _TRIAL_WIDTH, False)
    share = fit_weights(likelihood, torch.ones(len(values), 1), smoothing)[0]
    inside = (share.cumsum(0) > _EMPTY_END) & (share.flip(0).cumsum(0).flip(0) > _EMPTY_END)
    return evenly_spaced(points[inside], POINTS)


def _particle_error(
    likelihood: Float[Tensor, "particles points"], share: Float[Tensor, "points"], is_closed: bool
) -> Float[Tensor, "points"]:
    """Root mean square error of the place of the particles in each stretch, in points."""
    belongs = likelihood * share
    belongs = belongs / belongs.sum(dim=1, keepdim=True).clamp_min(1e-30)
    count = len(share)
    offset = torch.arange(count)[None] - belongs.argmax(dim=1, keepdim=True)
    if is_closed:
        offset = (offset + count // 2) % count - count // 2
    mean = (belongs * offset).sum(dim=1)
    variance = (belongs * offset.square()).sum(dim=1) - mean.square()
    return ((belongs.mT @ variance) / belongs.sum(dim=0).clamp_min(1e-12)).clamp_min(0).sqrt()
