"""How many particles are in each stretch of a path, after the errors of their latents.

A histogram of latents shows populations blurred by the errors. Here each state of the path is
measured again and again, with the errors of the particles that are there, and the density is the
one that explains the histogram when seen through these errors. It is a density per length of path,
so it depends on what length means, and the free energy with it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, Shaped
from scipy.spatial import cKDTree
from torch import Tensor

from cryomix.latent.deconvolution import (
    choose_smoothing,
    draw_counts,
    fit_weights,
    line_smoothing,
)
from cryomix.latent.trajectory import along_principal_curve, around_loop, evenly_spaced

STRETCHES = 15
_FINENESS = 3  # points of the path in each stretch
POINTS = _FINENESS * STRETCHES
_WIDTHS = (4.0, 2.8, 2.0, 1.4, 1.0, 0.7, 0.5)  # of the smoothing, in points
_NARROWER = 0.5  # smoothing of half of the draws, over that of the others
_STRAIGHTENED = 2.0  # points over which the path is smoothed
_BEYOND = 0.99  # share of the particles past an end that the path is prolonged to reach
_LONGEST = 10  # points added at an end
_EMPTY_END = 0.005  # share of the particles that may be cut off with an end
_WINDOW = 2  # points to either side, whose particles show the errors at a point
_MEASURED = 2000  # times that each point is measured


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

    Parameters
    ----------
    latent, covariance
        Means and covariances of the particles' posteriors.
    is_closed
        Whether the particles form a loop.
    draws
        How often the particles are drawn anew.
    seed
        Of the draws.

    Notes
    -----
    A latent is drawn towards the mean of the training's prior and scatters a little less than its
    covariance says; leaving both out measured no worse than putting them in.

    The density is smoothed along the path; how much is chosen by the likelihood of particles left
    out. Smoothing flattens, which drawing anew does not see: so half of the draws are smoothed half
    as much.
    """
    generator = torch.Generator().manual_seed(seed)
    values = latent.detach().cpu().double()
    points = _path_points(values, is_closed)
    if not is_closed:
        points = _without_empty_ends(values, covariance, points, generator)
    near = _nearest(values, points)
    response = _response(covariance, points, near, is_closed, generator)
    count = _counted(near, POINTS)
    candidates = [line_smoothing(POINTS, width, is_closed) for width in _WIDTHS]
    width = _WIDTHS[choose_smoothing(response, count, candidates, generator)]
    share = fit_weights(response, count[:, None], line_smoothing(POINTS, width, is_closed))[0]
    drawn = [
        fit_weights(
            response,
            draw_counts(count, number, generator),
            line_smoothing(POINTS, factor * width, is_closed),
        )
        for number, factor in ((draws - draws // 2, 1.0), (draws // 2, _NARROWER))
    ]
    error = _particle_error(response, is_closed)
    return PathPopulation(
        path=points.to(latent),
        share=_pooled(share),
        draws=_pooled(torch.cat(drawn)),
        counted=_pooled(count / count.sum()),
        particle_error=_pooled(share * error) / _pooled(share).clamp_min(1e-30),
        particles=len(latent),
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


def _nearest(
    values: Float[Tensor, "any latent"], points: Float[Tensor, "points latent"]
) -> Int64[Tensor, "any"]:
    return torch.from_numpy(cKDTree(points.numpy()).query(values.numpy())[1]).long()


def _counted(near: Int64[Tensor, "particles"], points: int) -> Float[Tensor, "points"]:
    return torch.bincount(near, minlength=points).double()


def _response(
    covariance: Float[Tensor, "particles latent latent"],
    points: Float[Tensor, "points latent"],
    near: Int64[Tensor, "particles"],
    is_closed: bool,
    generator: torch.Generator,
) -> Float[Tensor, "seen true"]:
    """Where along the path a particle of each of its points is found: shares, by simulation.

    A point is measured with the errors of the particles that are found around it.
    """
    columns = []
    for point in range(len(points)):
        away = (near - point).abs()
        if is_closed:
            away = torch.minimum(away, len(points) - away)
        around = (away <= max(_WINDOW, int(away.min()))).nonzero()[:, 0]
        order = torch.randint(len(around), (_MEASURED,), generator=generator)
        chosen, times = around[order].unique(return_inverse=True)
        variance, axes = torch.linalg.eigh(covariance[chosen].detach().cpu().double())
        noise = torch.randn(_MEASURED, points.shape[1], generator=generator, dtype=torch.float64)
        noise = noise * variance.clamp_min(0).sqrt()[times]
        found = points[point] + torch.einsum("mij,mj->mi", axes[times], noise)
        columns.append(_counted(_nearest(found, points), len(points)) / _MEASURED)
    return torch.stack(columns, dim=1)


def _without_empty_ends(
    values: Float[Tensor, "particles latent"],
    covariance: Float[Tensor, "particles latent latent"],
    points: Float[Tensor, "prolonged latent"],
    generator: torch.Generator,
) -> Float[Tensor, "points latent"]:
    """The part of an open path that holds particles, cut into points anew."""
    near = _nearest(values, points)
    response = _response(covariance, points, near, False, generator)
    smoothing = line_smoothing(len(points), 1.0, is_closed=False)
    share = fit_weights(response, _counted(near, len(points))[:, None], smoothing)[0]
    inside = (share.cumsum(0) > _EMPTY_END) & (share.flip(0).cumsum(0).flip(0) > _EMPTY_END)
    return evenly_spaced(points[inside], POINTS)


def _particle_error(
    response: Float[Tensor, "points points"], is_closed: bool
) -> Float[Tensor, "points"]:
    """Root mean square distance between where particles of each point are and are found."""
    count = len(response)
    away = (torch.arange(count)[:, None] - torch.arange(count)).abs()
    if is_closed:
        away = torch.minimum(away, count - away)
    return (response * away.square()).sum(dim=0).sqrt()
