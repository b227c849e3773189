"""Gaps of density between groups of particles, after the errors of their latents.

Errors fill a gap with particles, and steps of one motion leave gaps that part nothing. So the
density across a cut is freed of the blur of the errors first, and then smoothed over a fixed share
of the whole way. And a ring or a bent cloud has two humps from most sides without any gap: every
way across the cut must lead through one.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy.linalg import lstsq
from sklearn.cluster import KMeans
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from cryomix.latent.deconvolution import choose_smoothing, draw_counts, fit_weights, line_smoothing

DEEPEST = 0.4  # density in a gap, over that of the lower of the humps beside it, at most
SMALLEST_GROUP = 0.01  # share of the particles
_CELLS = 45  # across a cut
_STEP = 2.5  # cells; humps closer than twice that are steps of one way
_WIDTHS = (4.0, 2.8, 2.0, 1.4, 1.0, 0.7, 0.5)  # of the smoothing chosen from the data, in cells
_DRAWS = 40
_SURE = 0.975  # share of the draws that must show the gap
_ROUNDS = 3  # of turning a cut
_FEWEST = 100  # particles that are divided at all
_WAY = 500  # particles of one way across
_WAYS_AT_MOST = 8
_BESIDE = _CELLS // 6  # cells by which the gap may lie aside on one of the ways
_WINDOW = 2  # cells to either side, whose particles show the errors in a cell
_ERRORS_AT_MOST = 400  # that are averaged in a cell


@dataclass(frozen=True, slots=True)
class _Cut:
    """Particles with ``latent @ direction > threshold`` are on its far side."""

    direction: Float[np.ndarray, "latent"]
    threshold: float
    depth: float  # of the shallowest gap that leads across


@dataclass(frozen=True, slots=True)
class _Side:
    """Particles as they are seen along one direction."""

    place: Float[np.ndarray, "particles"]
    variance: Float[np.ndarray, "particles"]
    edge: Float[np.ndarray, "edges"]


def divide_at_gaps(
    latent: Float[np.ndarray, "particles latent"],
    covariance: Float[np.ndarray, "particles latent latent"],
    *,
    fitted_at_most: int,
    seed: int,
) -> Int64[np.ndarray, "particles"]:
    """Group of each particle, 0 where nothing divides them.

    Parameters
    ----------
    latent, covariance
        Means and covariances of the particles' posteriors.
    fitted_at_most
        Particles that cuts are found from; the rest are assigned.
    seed
        The same seed gives the same groups.

    Notes
    -----
    A cut is found along the principal and the independent components of what is to be divided, and
    turned to the best linear discriminant of its sides. It counts if the density there falls below
    0.4 of the lower hump in 97.5 % of the draws, and on each way across as well: particles that are
    alike in all but the direction of the cut. Each side is divided further.
    """
    label = np.zeros(len(latent), dtype=np.int64)
    generator = np.random.default_rng(seed)
    waiting = [np.arange(len(latent))]
    groups = 0
    while waiting:
        inside = waiting.pop()
        seen = inside
        if len(inside) > fitted_at_most:
            seen = np.sort(generator.permutation(inside)[:fitted_at_most])
        smallest = SMALLEST_GROUP * len(latent) / len(inside)
        cut = None
        if len(seen) >= _FEWEST and smallest < 0.5:
            cut = _find_cut(latent[seen], covariance[seen], smallest, seed)
        if cut is None:
            label[inside] = groups
            groups += 1
        else:
            far = latent[inside] @ cut.direction > cut.threshold
            waiting += [inside[far], inside[~far]]
    return label


def _find_cut(
    latent: Float[np.ndarray, "particles latent"],
    covariance: Float[np.ndarray, "particles latent latent"],
    smallest: float,
    seed: int,
) -> _Cut | None:
    """The cut through the deepest gap, if there is any."""
    if np.ptp(latent, axis=0).max() <= 0:
        return None
    found = []
    for direction in _directions(latent, seed):
        best = None
        for turned in _turn(latent, covariance, direction, smallest):
            if best is None or turned.depth < best.depth:
                best = turned
        if best is not None and best.depth <= DEEPEST:
            found.append(_judge(best, latent, covariance, seed))
    cut = min(found, key=lambda each: each.depth, default=None)
    return cut if cut is not None and cut.depth <= DEEPEST else None


def _directions(
    latent: Float[np.ndarray, "particles latent"], seed: int
) -> Float[np.ndarray, "directions latent"]:
    """Principal axes, and those along which the particles are least normal."""
    axes = np.linalg.svd(latent - latent.mean(axis=0), full_matrices=False)[2]
    if latent.shape[1] == 1:
        return axes[:1]
    independent = FastICA(
        latent.shape[1], fun="cube", random_state=seed, whiten="unit-variance", max_iter=100
    )
    with warnings.catch_warnings():
        # Normal latents have no independent axes; what is found then passes no test.
        warnings.simplefilter("ignore", ConvergenceWarning)
        rows = independent.fit(latent).components_
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    usable = np.isfinite(rows).all(axis=1) & (norm[:, 0] > 0)
    return np.concatenate([axes, rows[usable] / norm[usable]])


def _turn(
    latent: Float[np.ndarray, "particles latent"],
    covariance: Float[np.ndarray, "particles latent latent"],
    direction: Float[np.ndarray, "latent"],
    smallest: float,
) -> Iterator[_Cut]:
    """Cuts at the deepest place along a direction, then along the discriminant of their sides."""
    for _ in range(_ROUNDS):
        side = _look_along(latent, covariance, direction)
        density = _density(side, _choose_width(side))[0]
        depth = _depth(density)
        share = density.cumsum() / density.sum()
        depth[(share < smallest) | (share > 1 - smallest)] = 1
        cell = int(depth.argmin())
        if depth[cell] >= 1:
            return
        middle = (side.edge[cell] + side.edge[cell + 1]) / 2
        yield _Cut(direction, float(middle), float(depth[cell]))
        far = side.place > middle
        if latent.shape[1] == 1 or min(far.mean(), 1 - far.mean()) < smallest:
            return
        direction = _discriminant(latent, far)


def _discriminant(
    latent: Float[np.ndarray, "particles latent"], far: Bool[np.ndarray, "particles"]
) -> Float[np.ndarray, "latent"]:
    within = sum(part.mean() * np.cov(latent[part].T) for part in (far, ~far))
    within = within + 1e-9 * np.trace(np.cov(latent.T)) * np.eye(latent.shape[1])
    between = latent[far].mean(axis=0) - latent[~far].mean(axis=0)
    direction: np.ndarray = np.linalg.solve(within, between)
    return direction / np.linalg.norm(direction)


def _judge(
    cut: _Cut,
    latent: Float[np.ndarray, "particles latent"],
    covariance: Float[np.ndarray, "particles latent latent"],
    seed: int,
) -> _Cut:
    """The cut with the depth that is sure, and that of the shallowest way across."""
    side = _look_along(latent, covariance, cut.direction)
    width = _choose_width(side)
    cell = int(np.searchsorted(side.edge, cut.threshold)) - 1
    drawn = _depth(_density(side, width, draws=_DRAWS)[1:])[:, cell]
    depths = [float(np.quantile(drawn, _SURE))]
    way = _ways_across(latent, cut.direction, seed)
    for number in range(way.max() + 1):
        chosen = way == number
        far = (side.place[chosen] > cut.threshold).mean()
        if chosen.sum() < _FEWEST or min(far, 1 - far) < 2 * SMALLEST_GROUP:
            continue  # nobody comes across here
        part = _Side(side.place[chosen], side.variance[chosen], side.edge)
        near = _depth(_density(part, width)[0])[max(cell - _BESIDE, 0) : cell + _BESIDE + 1]
        depths.append(float(near.min()))
    return _Cut(cut.direction, cut.threshold, max(depths))


def _ways_across(
    latent: Float[np.ndarray, "particles latent"],
    direction: Float[np.ndarray, "latent"],
    seed: int,
) -> Int64[np.ndarray, "particles"]:
    """Particles sorted into those that are alike in all but the direction of a cut."""
    many = int(np.clip(len(latent) // _WAY, 1, _WAYS_AT_MOST))
    if latent.shape[1] == 1 or many == 1:
        return np.zeros(len(latent), dtype=np.int64)
    variance, axes = np.linalg.eigh(np.cov(latent.T))
    whitening = axes / np.sqrt(variance.clip(1e-12 * variance.max()))
    normal = lstsq(whitening, direction)[0]
    normal /= np.linalg.norm(normal)
    white = (latent - latent.mean(axis=0)) @ whitening
    rest = white - np.outer(white @ normal, normal)
    label: np.ndarray = KMeans(many, random_state=seed, n_init=2).fit_predict(rest)
    return label.astype(np.int64)


def _look_along(
    latent: Float[np.ndarray, "particles latent"],
    covariance: Float[np.ndarray, "particles latent latent"],
    direction: Float[np.ndarray, "latent"],
) -> _Side:
    """Places along a direction, how much they scatter about the truth, and cells that hold them.

    A posterior's mean is drawn to that of the prior, and so scatters less than its variance says.
    """
    place = latent @ direction
    variance = np.einsum("i,nij,j->n", direction, covariance, direction).clip(0)
    prior = max(float(place.var() + variance.mean()), 1e-30)
    low, high = np.quantile(place, (0.002, 0.998))
    margin = 0.05 * max(high - low, 1e-12)
    edge = np.linspace(low - margin, high + margin, _CELLS + 1)
    return _Side(place, variance * (1 - variance / prior).clip(0), edge)


def _choose_width(side: _Side) -> float:
    candidates = [line_smoothing(_CELLS, width, False) for width in _WIDTHS]
    response, count = _seen(side)
    return _WIDTHS[choose_smoothing(response, count, candidates, torch.Generator().manual_seed(0))]


def _density(side: _Side, width: float, draws: int = 0) -> Float[np.ndarray, "all cells"]:
    """Density of the particles without the blur of their errors; of particles drawn anew below."""
    response, count = _seen(side)
    counts = count[:, None]
    if draws:
        drawn = draw_counts(count, draws, torch.Generator().manual_seed(0))
        counts = torch.cat([counts, drawn], dim=1)
    weight = fit_weights(response, counts, line_smoothing(_CELLS, width, False))
    smoothed: np.ndarray = (weight @ line_smoothing(_CELLS, _STEP, False).mT).numpy()
    return smoothed


def _seen(side: _Side) -> tuple[Float[Tensor, "seen true"], Float[Tensor, "seen"]]:
    """Shares of the particles of each cell (columns) that are seen in each, and how many are."""
    step = side.edge[1] - side.edge[0]
    middle = (side.edge[1:] + side.edge[:-1]) / 2
    cell = np.clip((side.place - side.edge[0]) // step, 0, _CELLS - 1).astype(np.int64)
    columns = []
    for own in range(_CELLS):
        away = np.abs(cell - own)
        near = np.flatnonzero(away <= max(_WINDOW, away.min()))
        spread = side.variance[near[:: -(-len(near) // _ERRORS_AT_MOST)]] + step**2 / 12
        blur = np.exp(-0.5 * (middle[:, None] - middle[own]) ** 2 / spread) / np.sqrt(spread)
        columns.append(blur.sum(axis=1) / blur.sum())
    count = np.bincount(cell, minlength=_CELLS).astype(np.float64)
    return torch.from_numpy(np.stack(columns, axis=1)), torch.from_numpy(count)


def _depth(density: Float[np.ndarray, "*all cells"]) -> Float[np.ndarray, "*all cells"]:
    """Density of each cell, over that of the lower of the highest to its left and right."""
    left = np.maximum.accumulate(density, axis=-1)
    right = np.maximum.accumulate(density[..., ::-1], axis=-1)[..., ::-1]
    depth: np.ndarray = density / np.minimum(left, right).clip(1e-30)
    return depth
