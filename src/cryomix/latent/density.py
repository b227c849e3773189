"""Density of the particles over the plane of the first two principal components, without blur."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.latent.deconvolution import fit_weights, line_smoothing
from cryomix.latent.reduction import Embedding

_CELLS = 40  # along either axis
_MARGIN = 0.08  # around the particles, over their extent
_WIDTHS = (2.0, 1.4, 1.0, 0.7, 0.5)  # of the smoothing, in cells
_ROUNDS = 200


@dataclass(frozen=True, slots=True)
class PlaneDensity:
    """A density over a plane; it integrates to 1.

    Attributes
    ----------
    x, y
        Places of the columns and rows along the first and second principal axis.
    density
        Per square of the latents' unit.
    """

    x: Float[Tensor, "columns"]
    y: Float[Tensor, "rows"]
    density: Float[Tensor, "rows columns"]


def estimate_density(
    covariance: Float[Tensor, "particles latent latent"], pca: Embedding
) -> PlaneDensity:
    """The density which, blurred by the mean error of the latents, is that of the particles.

    Particles are counted in 40 × 40 cells; how much the density is smoothed is chosen with one half
    of the particles by the likelihood of the other.
    """
    if pca.basis is None or len(pca.basis) < 2:
        raise ValueError("a plane needs two principal axes")
    point = pca.point[:, :2].double().numpy()
    x, y = (_cells(column) for column in point.T)
    edges = [_edges(y), _edges(x)]
    halves = [
        np.histogram2d(part[:, 1], part[:, 0], edges)[0] for part in (point[::2], point[1::2])
    ]
    count = torch.from_numpy(np.stack(halves)).flatten(1).mT.float()

    plane = pca.basis[:2].double()
    error = plane @ covariance.detach().cpu().double().mean(dim=0) @ plane.mT
    blur = _blur(x, y, error)
    candidates = [
        torch.kron(*2 * (line_smoothing(_CELLS, width, False),)).float() for width in _WIDTHS
    ]
    scores = []
    for smoothing in candidates:
        weight = fit_weights(blur, count, smoothing, rounds=_ROUNDS)
        scores.append(float((count * (blur @ weight.flip(0).mT).clamp_min(1e-30).log()).sum()))
    best = candidates[int(np.argmax(scores))]
    weight = fit_weights(blur, count.sum(dim=1, keepdim=True), best, rounds=_ROUNDS)[0]
    cell = float((x[1] - x[0]) * (y[1] - y[0]))
    return PlaneDensity(x.float(), y.float(), weight.unflatten(0, (_CELLS, _CELLS)) / cell)


def _cells(values: Float[np.ndarray, "particles"]) -> Float[Tensor, "cells"]:
    """Middles of cells that hold all but the outermost particles."""
    low, high = np.quantile(values, (0.002, 0.998))
    margin = _MARGIN * max(high - low, 1e-12)
    return torch.linspace(low - margin, high + margin, _CELLS, dtype=torch.float64)


def _edges(middle: Float[Tensor, "cells"]) -> Float[np.ndarray, "edges"]:
    half = float(middle[1] - middle[0]) / 2
    edges: np.ndarray = np.append(middle.numpy() - half, float(middle[-1]) + half)
    return edges


def _blur(
    x: Float[Tensor, "columns"], y: Float[Tensor, "rows"], error: Float[Tensor, "2 2"]
) -> Float[Tensor, "seen true"]:
    """Share of the particles of each cell (columns) that are seen in each (rows)."""
    place = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).flatten(0, 1)
    cell = torch.diag(torch.stack([x[1] - x[0], y[1] - y[0]]).square() / 12)
    root = torch.linalg.cholesky(torch.linalg.inv(error + cell))
    kernel = torch.exp(-0.5 * torch.cdist(place @ root, place @ root).square())
    return (kernel / kernel.sum(dim=0)).float()
