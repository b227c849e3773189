"""Compiled loops over a padded half volume in Fourier space: insert slices, divide by weights.

The half volume has x ≥ 0; z and y are in FFT order. Each thread owns some planes of z, so no
two write to the same voxel, and sums do not depend on how many threads there are.
"""

import math
from functools import cache
from typing import no_type_check

import numba
import numpy as np
from numpy.typing import NDArray


def insert_slices(
    coefficient: NDArray[np.complex64],
    power: NDArray[np.float32],
    rotation: NDArray[np.float32],
    weight: NDArray[np.float32],
    numerator: NDArray[np.complex64],
    total: NDArray[np.float32],
) -> None:
    """Add B central slices to `numerator` and `total`, by trilinear interpolation.

    Parameters
    ----------
    coefficient, power
        (B, n, n // 2 + 1): CTF × transform, and CTF².
    rotation
        (B, 3, 3), model → view.
    weight
        (B,) weight of each slice, or (B, n // 2 + 1) of each of its rings; 0 leaves it out.
    numerator, total
        (p, p, p // 2 + 1): changed in place.
    """
    edge = _slab_edges(numerator.shape[0], numba.get_num_threads())
    ring = rings(coefficient.shape[1])
    if weight.ndim == 1:
        weight = np.repeat(weight[:, None], coefficient.shape[2], axis=1)
    _insert(coefficient, power, rotation, weight, ring, edge, numerator, total)


@cache
def rings(box_size: int) -> NDArray[np.int64]:
    """Ring of each coefficient of a half plane: its radius, rounded to whole Fourier pixels."""
    k_y = np.fft.fftfreq(box_size)[:, None] * box_size
    return np.rint(np.hypot(k_y, np.arange(box_size // 2 + 1))).astype(np.int64)


def _slab_edges(padded: int, slabs: int) -> NDArray[np.int64]:
    """Planes of z split so that each slab holds as many samples of random slices."""
    # Random central slices put samples ∝ (radius − |z|) on plane z.
    share = np.linspace(-1, 1, slabs + 1)
    plane = np.sign(share) * (1 - np.sqrt(1 - np.abs(share)))
    # Planes ± padded / 2 are one and the same, and beyond Nyquist.
    first, last = -(padded // 2) + 1, padded // 2
    return np.clip(np.round(plane * (padded // 2)), first, last).astype(np.int64)


@numba.njit(parallel=True, cache=True)
@no_type_check
def _insert(coefficient, power, rotation, weight, ring, edge, numerator, total):
    for slab in numba.prange(edge.size - 1):
        for b in range(coefficient.shape[0]):
            if weight[b].any():
                _insert_slice(
                    coefficient[b], power[b], rotation[b], weight[b], ring,
                    edge[slab], edge[slab + 1], numerator, total,
                )  # fmt: skip


@numba.njit(cache=True)
@no_type_check
def _insert_slice(coefficient, power, rotation, weight, ring, bottom, top, numerator, total):
    """Add what one slice puts on planes bottom ≤ z < top."""
    n = coefficient.shape[0]
    scale = numerator.shape[0] / n
    for row in range(n):
        k_y = row if row < (n + 1) // 2 else row - n
        reach = 0.25 * n * n - k_y * k_y
        if reach <= 0:
            continue
        last = math.ceil(math.sqrt(reach)) - 1
        # Column 0 holds each coefficient twice, at k_y and at −k_y.
        first = 0 if k_y >= 0 else 1
        for sign in (1, -1):  # −1: the conjugate at the mirror point, where x < 0
            x_step, x_base = sign * scale * rotation[0, 0], sign * scale * k_y * rotation[1, 0]
            y_step, y_base = sign * scale * rotation[0, 1], sign * scale * k_y * rotation[1, 1]
            z_step, z_base = sign * scale * rotation[0, 2], sign * scale * k_y * rotation[1, 2]
            start, stop = _clip(first, last, x_base, x_step, 0.0, np.inf)
            start, stop = _clip(start, stop, z_base, z_step, bottom - 1.0, float(top))
            for column in range(start, stop + 1):
                x = x_base + column * x_step
                if x < 0 or (sign < 0 and x == 0):
                    continue
                factor = weight[ring[row, column]]
                if factor == 0:
                    continue
                # The mean is its own mirror point, which `divide_by_weight` adds once more.
                if k_y == 0 and column == 0:
                    factor *= np.float32(0.5)
                value = coefficient[row, column] * factor
                if sign < 0:
                    value = value.conjugate()
                y, z = y_base + column * y_step, z_base + column * z_step
                share = power[row, column] * factor
                _insert_sample(x, y, z, value, share, bottom, top, numerator, total)


@numba.njit(cache=True)
@no_type_check
def _clip(first, last, base, step, low, high):
    """The columns, perhaps one too many at each end, where low ≤ base + column · step < high."""
    if abs(step) < 1e-9:
        return first, last
    one, other = (low - base) / step, (high - base) / step
    start, stop = min(one, other), max(one, other)
    if start > first:
        first = int(min(math.floor(start), last + 1.0))
    if stop < last:
        last = int(max(math.ceil(stop), first - 1.0))
    return first, last


@numba.njit(cache=True, inline="always")
@no_type_check
def _insert_sample(x, y, z, value, share, bottom, top, numerator, total):
    padded = numerator.shape[0]
    i, j, k = int(x), math.floor(y), math.floor(z)
    part_x, part_y, part_z = np.float32(x - i), np.float32(y - j), np.float32(z - k)
    for up_z in range(2):
        plane = k + up_z
        if plane < bottom or plane >= top:
            continue
        if plane < 0:
            plane += padded
        factor_z = part_z if up_z else 1 - part_z
        for up_y in range(2):
            line = j + up_y
            if line < 0:
                line += padded
            factor = factor_z * (part_y if up_y else 1 - part_y)
            right = np.float32(factor * part_x)
            left = np.float32(factor - right)
            numerator[plane, line, i] += value * left
            numerator[plane, line, i + 1] += value * right
            total[plane, line, i] += share * left
            total[plane, line, i + 1] += share * right


@numba.njit(parallel=True, cache=True)
@no_type_check
def mean_over_shells(total, box_size, floor=None):
    """Mean of `total`, or of total / (total + floor), on each shell up to Nyquist.

    Shells 0 … box_size // 2 are counted in Fourier voxels of the unpadded box.
    """
    padded = total.shape[0]
    shells = box_size // 2 + 1
    sums = np.zeros((padded, shells))
    counts = np.zeros((padded, shells))
    for index in numba.prange(padded):
        plane = np.int64(index)  # prange counts in unsigned numbers, which have no negative
        for line in range(padded):
            for column in range(total.shape[2]):
                shell = _shell(plane, line, column, padded, box_size)
                if shell < 0:
                    continue
                value = total[plane, line, column]
                if column == 0:
                    value += total[-plane, -line, 0]
                if floor is not None and value > 0:
                    value /= value + floor[shell]
                sums[plane, shell] += value
                counts[plane, shell] += 1
    return sums.sum(axis=0) / np.maximum(counts.sum(axis=0), 1)


@numba.njit(parallel=True, cache=True)
@no_type_check
def divide_by_weight(numerator, total, floor, gain, box_size, out):
    """Fill `out` with gain · numerator / (total + floor), floor and gain per shell; 0 beyond."""
    padded = total.shape[0]
    for index in numba.prange(padded):
        plane = np.int64(index)  # prange counts in unsigned numbers, which have no negative
        for line in range(padded):
            for column in range(total.shape[2]):
                out[plane, line, column] = 0
                shell = _shell(plane, line, column, padded, box_size)
                if shell < 0:
                    continue
                weight = total[plane, line, column]
                value = numerator[plane, line, column]
                # A sample with x < 1 belongs with its mirror point to plane x = 0.
                if column == 0:
                    weight += total[-plane, -line, 0]
                    value += numerator[-plane, -line, 0].conjugate()
                if weight > 0:
                    out[plane, line, column] = value * (gain[shell] / (weight + floor[shell]))


@numba.njit(cache=True)
@no_type_check
def _shell(plane, line, column, padded, box_size):
    """Shell of a voxel of the padded half volume; −1 beyond Nyquist."""
    z = plane if plane < padded // 2 else plane - padded
    y = line if line < padded // 2 else line - padded
    squared = z * z + y * y + column * column
    if 4 * squared >= padded * padded:
        return -1
    return int(math.sqrt(squared) * box_size / padded + 0.5)
