"""Conditions on particles: which of them a comparison, an outline or a distance lets pass."""

import operator
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

_COMPARISONS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}


def passing(
    value: Float[np.ndarray, "particles"], sign: str, bound: float
) -> Bool[np.ndarray, "particles"]:
    """Whether each value is ``<``, ``<=``, ``>``, ``>=``, ``=`` or ``!=`` to `bound`.

    What is not a number passes nothing.
    """
    return _COMPARISONS[sign](value, bound) & np.isfinite(value)


def inside_outline(
    point: Float[np.ndarray, "particles 2"], outline: Float[np.ndarray, "corners 2"]
) -> Bool[np.ndarray, "particles"]:
    """Whether each point lies in a polygon, whose last corner is joined to its first.

    Where the outline crosses itself, what it goes round an even number of times is outside.
    """
    if len(outline) < 3:
        raise ValueError(f"an outline has at least three corners, got {len(outline)}")
    x, y = point[:, 0], point[:, 1]
    inside = np.zeros(len(point), bool)
    for start, stop in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        # A ray towards larger x crosses edges that begin on one side of it and end on the other.
        crosses = (start[1] > y) != (stop[1] > y)
        rise = stop[1] - start[1]
        if rise:
            inside ^= crosses & (x < start[0] + (y - start[1]) / rise * (stop[0] - start[0]))
    return inside


def closest(
    latent: Float[np.ndarray, "particles latent"], point: Float[np.ndarray, "latent"], count: int
) -> Bool[np.ndarray, "particles"]:
    """The `count` particles nearest to `point`, all of them where there are fewer."""
    chosen = np.zeros(len(latent), bool)
    chosen[np.argsort(_distance(latent, point), kind="stable")[:count]] = True
    return chosen


def within(
    latent: Float[np.ndarray, "particles latent"], point: Float[np.ndarray, "latent"], far: float
) -> Bool[np.ndarray, "particles"]:
    """Those no farther than `far` latent units from `point`."""
    return _distance(latent, point) <= far


def _distance(
    latent: Float[np.ndarray, "particles latent"], point: Float[np.ndarray, "latent"]
) -> Float[np.ndarray, "particles"]:
    return np.linalg.norm(latent.astype(np.float64) - point, axis=1)
