"""Whether the errors of the latents are as large as their standard deviations say."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64
from scipy.spatial import cKDTree

from cryomix.errors import InputFileError

NEIGHBORS = (20, 1000)  # at least and at most; a twentieth of the particles between
JUDGED_AT_MOST = 4000  # particles
_RIDGE = 1e-6
_NORMAL_MEDIAN = 0.6745  # of the absolute value, in standard deviations
_CHUNK = 200  # particles whose neighbours are held at once


@dataclass(frozen=True, slots=True)
class PredictedCoordinate:
    """What the latents of a particle say about its true coordinate.

    Attributes
    ----------
    index
        The particles that were judged.
    error
        Predicted minus true coordinate; round the shorter way if cyclic.
    std
        The latent's standard deviation, carried over to the coordinate.
    """

    index: Int64[np.ndarray, "judged"]
    error: Float[np.ndarray, "judged"]
    std: Float[np.ndarray, "judged"]


def predict_coordinate(
    latent: Float[np.ndarray, "particles latent"],
    covariance: Float[np.ndarray, "particles latent latent"],
    coordinate: Float[np.ndarray, "particles"],
    *,
    cyclic: bool = False,
    seed: int = 0,
) -> PredictedCoordinate:
    """Carry latents and their deviations over to a true coordinate from 0 to 1.

    A latent means a state only up to a smooth change of coordinates. So the coordinate t of each
    particle is predicted by a straight line t(z) through its nearest neighbours in the latent
    space, a twentieth of all but at most 1,000, itself left out, those at the rim counting
    least. The slope of that line carries the covariance over: σ_t² = (∂t/∂z)ᵀ C (∂t/∂z). A cyclic
    t is unrolled about the neighbours' mean direction.

    Parameters
    ----------
    latent, covariance
        Of each particle.
    coordinate
        True; of at least 30 particles.
    cyclic
        Whether 0 and 1 are the same.
    seed
        Of the choice of at most 4,000 particles that are judged.
    """
    if len(latent) < 30:
        raise ValueError(f"at least 30 particles are needed, got {len(latent)}")
    count = int(np.clip(len(latent) // 20, *NEIGHBORS))
    unit = max(float(latent.std()), 1e-12)
    scaled = latent.astype(np.float64) / unit
    index = np.sort(np.random.default_rng(seed).permutation(len(latent))[:JUDGED_AT_MOST])
    tree = cKDTree(scaled)
    error, spread = np.empty(len(index)), np.empty(len(index))
    for part in np.array_split(np.arange(len(index)), -(-len(index) // _CHUNK)):
        here = index[part]
        distance, near = tree.query(scaled[here], k=count + 1)
        distance, near = _without_self(distance, near, here)
        known, middle = _unroll(coordinate[near], cyclic)
        height, slope = _fit_lines(scaled[near] - scaled[here][:, None], known, distance)
        error[part] = height + middle - coordinate[here]
        own = covariance[here].astype(np.float64) / unit**2
        variance = np.einsum("pi,pij,pj->p", slope, own, slope)
        spread[part] = np.sqrt(np.maximum(variance, 0))
    if cyclic:
        error -= np.round(error)
    return PredictedCoordinate(index, error, spread)


def as_covariance(
    std: Float[np.ndarray, "particles latent"],
) -> Float[np.ndarray, "particles latent latent"]:
    """Of latents whose errors along different axes have nothing to do with one another."""
    return std[:, :, None] ** 2 * np.eye(std.shape[1])


def score_calibration(predicted: PredictedCoordinate) -> dict[str, float]:
    """Share of the truths within one and two standard deviations, and the typical ratio.

    If the deviations are right, ``coverage_1`` is 0.683, ``coverage_2`` is 0.954, and
    ``error_in_std``, the median of error over deviation as that of a normal distribution, is 1.
    """
    ratio = np.abs(predicted.error) / np.maximum(predicted.std, 1e-12)
    return {
        "coverage_1": float((ratio <= 1).mean()),
        "coverage_2": float((ratio <= 2).mean()),
        "error_in_std": float(np.median(ratio)) / _NORMAL_MEDIAN,
    }


def score_flags(
    predicted: PredictedCoordinate, informative: Bool[np.ndarray, "particles"]
) -> dict[str, float]:
    """Whether the particles said to see nothing of the motion are wrong more than the rest.

    ``uninformative_share`` is their share; ``uninformative_error_ratio`` is their mean absolute
    error over that of the others, left out where either are none.
    """
    seen = informative[predicted.index]
    scores = {"uninformative_share": float(1 - informative.mean())}
    error = np.abs(predicted.error)
    if seen.any() and not seen.all() and error[seen].mean() > 0:
        scores["uninformative_error_ratio"] = float(error[~seen].mean() / error[seen].mean())
    return scores


def require_spread(
    name: str, values: np.ndarray, latent: Float[np.ndarray, "particles latent"]
) -> None:
    """Refuse standard deviations or covariances that cannot be those of `latent`.

    Raises
    ------
    InputFileError
        If shapes differ, or a value is not finite or a deviation or variance negative.
    """
    shape = latent.shape if values.ndim == 2 else (*latent.shape, latent.shape[1])
    if values.shape != shape:
        raise InputFileError(
            f"{name}: must be of shape {shape} like the latents, got {values.shape}"
        )
    if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise InputFileError(f"{name}: must be finite numbers")
    own = values if values.ndim == 2 else np.diagonal(values, axis1=1, axis2=2)
    if (own < 0).any():
        raise InputFileError(f"{name}: must not be negative, got {own.min():g}")


def _without_self(
    distance: Float[np.ndarray, "judged more"],
    near: "np.ndarray[tuple[int, int], np.dtype[np.int64]]",
    index: Int64[np.ndarray, "judged"],
) -> tuple[Float[np.ndarray, "judged count"], Int64[np.ndarray, "judged count"]]:
    """The particle itself taken out; the farthest, where it is not among its own neighbours."""
    own = near == index[:, None]
    own[~own.any(axis=1), -1] = True
    rows = len(index)
    return distance[~own].reshape(rows, -1), near[~own].reshape(rows, -1).astype(np.int64)


def _unroll(
    coordinate: Float[np.ndarray, "judged count"], cyclic: bool
) -> tuple[Float[np.ndarray, "judged count"], Float[np.ndarray, "judged"]]:
    """Coordinates relative to the neighbours' middle, and that middle."""
    if cyclic:
        middle = np.angle(np.exp(2j * np.pi * coordinate).mean(axis=1)) / (2 * np.pi)
        relative = coordinate - middle[:, None]
        return relative - np.round(relative), middle
    middle = coordinate.mean(axis=1)
    return coordinate - middle[:, None], middle


def _fit_lines(
    offset: Float[np.ndarray, "judged count latent"],
    known: Float[np.ndarray, "judged count"],
    distance: Float[np.ndarray, "judged count"],
) -> tuple[Float[np.ndarray, "judged"], Float[np.ndarray, "judged latent"]]:
    """Height at the particle and slope of a straight line through its neighbours."""
    reach = np.maximum(distance.max(axis=1), 1e-12)
    weight = (1 - np.minimum(distance / (1.01 * reach[:, None]), 1) ** 3) ** 3
    inside = offset / reach[:, None, None]
    design = np.concatenate([np.ones((*known.shape, 1)), inside], axis=2)
    weighted = design * weight[:, :, None]
    normal = np.swapaxes(weighted, 1, 2) @ design
    # An axis along which the latents do not vary gets no slope.
    scale = weight.sum(axis=1)[:, None, None]
    normal = normal + _RIDGE * scale * np.eye(design.shape[2])
    target = np.swapaxes(weighted, 1, 2) @ known[:, :, None]
    solution = np.linalg.solve(normal, target)[..., 0]
    return solution[:, 0], solution[:, 1:] / reach[:, None]
