"""UMAP, the picture of a latent space that keeps neighbours together (McInnes and others, 2018).

Written here for latents of a few dimensions: exact neighbours from a k-d tree, a start from the
principal components (which keeps the large-scale arrangement) and the stochastic layout of
arXiv:1802.03426, section 4. The same seed gives the same picture.
"""

from typing import no_type_check

import numba
import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64
from scipy.sparse import coo_matrix
from scipy.spatial import cKDTree

# Least-squares fit of 1 / (1 + a d^2b) to the paper's curve: 1 up to d = 0.1, then exp(0.1 - d).
CURVE_A, CURVE_B = 1.5769, 0.8951
NEGATIVES = 5  # points pushed away for each one pulled


def umap_layout(
    latent: Float64[np.ndarray, "particles latent"],
    start: Float64[np.ndarray, "particles 2"],
    *,
    neighbors: int,
    epochs: int,
    seed: int,
) -> Float32[np.ndarray, "particles 2"]:
    """Positions in the plane in which particles close in `latent` stay close.

    Parameters
    ----------
    latent
        At least two particles.
    start
        Where the layout starts, in any unit; its wider axis is scaled to 10.
    neighbors
        How many neighbours each particle is held to.
    epochs
        Passes over the pairs.
    seed
        Of the pairs that are pushed apart.
    """
    head, tail, weight = _neighbor_graph(latent, min(neighbors, len(latent) - 1))
    point = start - start.mean(axis=0)
    point = point * (10 / max(float(np.ptp(point, axis=0).max()), 1e-12))
    # Particles with the same latent need different places to be pulled and pushed from.
    point = point + np.random.default_rng(seed).normal(scale=1e-3, size=point.shape)
    return _optimize(point.astype(np.float32), head, tail, weight, epochs, np.uint64(seed))


def _neighbor_graph(
    latent: Float64[np.ndarray, "particles latent"], neighbors: int
) -> tuple[Int32[np.ndarray, "pairs"], Int32[np.ndarray, "pairs"], Float32[np.ndarray, "pairs"]]:
    """Both ends and the membership of each pair of neighbours; each pair in both directions."""
    count = len(latent)
    distance, index = cKDTree(latent).query(latent, k=neighbors + 1)
    distance, index = distance[:, 1:], index[:, 1:]
    membership = _memberships(distance)
    row = np.repeat(np.arange(count), neighbors)
    directed = coo_matrix((membership.ravel(), (row, index.ravel())), shape=(count, count)).tocsr()
    # Fuzzy union: a pair belongs together if either end says so.
    union = (directed + directed.T - directed.multiply(directed.T)).tocoo()
    union.sum_duplicates()
    return (
        union.row.astype(np.int32),
        union.col.astype(np.int32),
        union.data.astype(np.float32),
    )


def _memberships(
    distance: Float64[np.ndarray, "particles neighbors"],
) -> Float64[np.ndarray, "particles neighbors"]:
    """exp(−(d − nearest) / σ), σ such that each particle's memberships add up to log2 k."""
    gap = distance - np.where(distance > 0, distance, np.inf).min(
        axis=1, keepdims=True, initial=distance.max(initial=0.0)
    )
    gap = np.maximum(gap, 0.0)
    target = np.log2(distance.shape[1] + 1)
    low, high = np.zeros((len(gap), 1)), np.full((len(gap), 1), np.inf)
    sigma = np.full((len(gap), 1), max(float(gap.mean()), 1e-12))
    for _ in range(64):
        too_wide = np.exp(-gap / sigma).sum(axis=1, keepdims=True) > target
        high = np.where(too_wide, sigma, high)
        low = np.where(too_wide, low, sigma)
        sigma = np.where(np.isinf(high), 2 * sigma, (low + high) / 2)
        sigma = np.clip(sigma, 1e-12, 1e12)
    # A particle amid copies of itself must still feel those a little further away.
    sigma = np.maximum(sigma, 1e-3 * max(float(distance.mean()), 1e-12))
    return np.exp(-gap / sigma)


@numba.njit(cache=True, fastmath=True)
@no_type_check
def _optimize(point, head, tail, weight, epochs, seed):
    """Pull pairs in proportion to their weight, push random ones; steps shrink to zero."""
    count = point.shape[0]
    state = (seed + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) | np.uint64(1)
    heaviest = weight.max()
    due = np.zeros(weight.size, np.float32)
    for epoch in range(epochs):
        step = np.float32(1.0 - epoch / epochs)
        for pair in range(weight.size):
            due[pair] += weight[pair] / heaviest
            if due[pair] < 1:
                continue
            due[pair] -= 1
            i, j = head[pair], tail[pair]
            dx, dy = point[i, 0] - point[j, 0], point[i, 1] - point[j, 1]
            squared = dx * dx + dy * dy
            if squared > 0:
                power = squared**CURVE_B
                pull = -2 * CURVE_A * CURVE_B * power / (squared * (1 + CURVE_A * power))
                move_x, move_y = _clip(pull * dx) * step, _clip(pull * dy) * step
                point[i, 0] += move_x
                point[i, 1] += move_y
                point[j, 0] -= move_x
                point[j, 1] -= move_y
            for _ in range(NEGATIVES):
                state ^= state << np.uint64(13)
                state ^= state >> np.uint64(7)
                state ^= state << np.uint64(17)
                other = np.int64((state >> np.uint64(33)) % np.uint64(count))
                if other == i:
                    continue
                dx, dy = point[i, 0] - point[other, 0], point[i, 1] - point[other, 1]
                squared = dx * dx + dy * dy
                push = 2 * CURVE_B / ((0.001 + squared) * (1 + CURVE_A * squared**CURVE_B))
                point[i, 0] += _clip(push * dx) * step
                point[i, 1] += _clip(push * dy) * step
    return point


@numba.njit(cache=True)
@no_type_check
def _clip(value):
    return np.float32(min(4.0, max(-4.0, value)))


def place_among(
    latent: Float64[np.ndarray, "others latent"],
    fitted: Float64[np.ndarray, "particles latent"],
    point: Float32[np.ndarray, "particles 2"],
    neighbors: int,
) -> Float32[np.ndarray, "others 2"]:
    """Inverse-distance mean of the places of the nearest fitted particles."""
    distance, index = _query(fitted, latent, min(neighbors, len(fitted)))
    weight = 1 / (distance + 1e-9 * max(float(distance.mean()), 1e-12))
    weight = weight / weight.sum(axis=1, keepdims=True)
    placed: Float64[np.ndarray, "others 2"] = (weight[..., None] * point[index]).sum(axis=1)
    return placed.astype(np.float32)


def _query(
    fitted: Float64[np.ndarray, "particles latent"],
    latent: Float64[np.ndarray, "others latent"],
    neighbors: int,
) -> tuple[Float64[np.ndarray, "others neighbors"], Int64[np.ndarray, "others neighbors"]]:
    distance, index = cKDTree(fitted).query(latent, k=list(range(1, neighbors + 1)))
    return distance, index
