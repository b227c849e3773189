"""The projection by spreading on an oversampled grid and one FFT, for the CPU.

Each projected Gaussian is already a smooth bump: it is added to a real-space grid inside a
window of a few of its own σ, the grid is transformed once and cropped to the box. Cost is
N · window² + n² log n per image; memory is one grid per image, whatever N is.
"""

import math
from typing import Any, no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Complex
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses
from cryomix.imaging.fine_grid import FineGrid, fine_grid_for, transform_from_box, transform_to_box
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.placement import place_gaussians
from cryomix.imaging.vector_loops import LANES, add_outer, sum_rows

_STEPS = np.arange(4096, dtype=np.float32)  # looked up, where a conversion would stop vectorising


def project_gaussians_gridding(
    model: GaussianModel, poses: Poses, grid: FourierGrid, *, tolerance: float = 1e-3
) -> Complex[Tensor, "particles rows columns"]:
    """Fourier transform of the line integral of `model` seen from each pose.

    Same meaning as `project_gaussians_reference`; relative error per ring below `tolerance` up
    to 0.9 of Nyquist, in value and gradient. Differentiable once.

    Raises
    ------
    ValueError
        If `tolerance` is not between 1e-4 and 0.1.
    """
    fine = fine_grid_for(grid, tolerance)
    placed = place_gaussians(model, poses, grid)
    return _Project.apply(placed.x, placed.y, placed.mass, placed.width, grid, fine)


class _Project(torch.autograd.Function):
    """Placed Gaussians to the transforms of their images."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor, mass: Tensor, width: Tensor, grid: FourierGrid,
        fine: FineGrid,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(x, y, mass, width)
        ctx.grid, ctx.fine = grid, fine
        widening = fine.widening(width)
        variance = (width.square() + widening[:, None]) / fine.pixel_size**2
        peak = mass / (2 * math.pi * variance)
        spots = _arrays(x / fine.pixel_size, y / fine.pixel_size, variance, peak)
        image = torch.empty(len(x), fine.size, fine.size, dtype=x.dtype)
        _spread(*spots, fine.narrowest / fine.pixel_size, fine.window, image.numpy())
        return transform_to_box(image, widening, grid)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient_ft: Tensor) -> tuple[Tensor | None, ...]:
        x, y, mass, width = ctx.saved_tensors
        fine: FineGrid = ctx.fine
        widening = fine.widening(width)
        gradient = transform_from_box(gradient_ft, widening, ctx.grid, fine)
        variance = (width.square() + widening[:, None]) / fine.pixel_size**2
        sums = torch.empty(4, *x.shape, dtype=x.dtype)
        spots = _arrays(x / fine.pixel_size, y / fine.pixel_size, variance)
        _gather(
            *spots, fine.narrowest / fine.pixel_size, fine.window, gradient.numpy(), sums.numpy()
        )
        total, along_x, along_y, radial = sums
        density = 1 / (2 * math.pi * variance)
        slope = mass * density / variance
        by_variance = 0.5 * slope * (radial / variance - 2 * total)
        return (
            slope * along_x / fine.pixel_size,
            slope * along_y / fine.pixel_size,
            density * total,
            by_variance * 2 * width / fine.pixel_size**2,
            None,
            None,
        )


def _arrays(*tensors: Tensor) -> list[Any]:
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


@numba.njit(parallel=True, cache=True, fastmath=True)
@no_type_check
def _spread(x, y, variance, peak, narrowest, window, image):
    """Real-space images of Gaussians given in pixels, the image centre at pixel 0."""
    size = image.shape[1]
    for b in numba.prange(len(x)):
        reach = _half_windows(variance[b], narrowest, window)
        pad = _margin(reach)
        padded = np.zeros((size + 2 * pad, size + 2 * pad), image.dtype)
        _spread_image(x[b], y[b], variance[b], peak[b], reach, size, pad, padded)
        _fold(padded, pad, image[b])


@numba.njit(cache=True, fastmath=True)
@no_type_check
def _spread_image(x, y, variance, peak, reach, size, pad, padded):
    left, columns, from_x = _place_windows(x, reach, size)
    top, rows, from_y = _place_windows(y, reach, size)
    factor_x = np.empty(2 * pad, padded.dtype)
    factor_y = np.empty(2 * pad, padded.dtype)
    stride = padded.shape[1]
    for j in range(len(x)):
        lanes, lanes_y = _whole_lanes(columns[j]), _whole_lanes(rows[j])
        _fill_window(from_x[j], variance[j], lanes, factor_x)
        _fill_window(from_y[j], variance[j], lanes_y, factor_y)
        for row in range(lanes_y):
            factor_y[row] *= peak[j]
        start = (top[j] + pad) * stride + left[j] + pad
        add_outer(padded, start, stride, rows[j], lanes, factor_y, factor_x)


@numba.njit(parallel=True, cache=True, fastmath=True)
@no_type_check
def _gather(x, y, variance, narrowest, window, gradient, sums):
    """Sums of the gradient g under each Gaussian: Σ g, Σ g·dx, Σ g·dy and Σ g·r²."""
    size = gradient.shape[1]
    for b in numba.prange(len(x)):
        reach = _half_windows(variance[b], narrowest, window)
        pad = _margin(reach)
        padded = np.empty((size + 2 * pad, size + 2 * pad), gradient.dtype)
        _unfold(gradient[b], pad, padded)
        _gather_image(x[b], y[b], variance[b], reach, size, pad, padded, sums[:, b])


@numba.njit(cache=True, fastmath=True)
@no_type_check
def _gather_image(x, y, variance, reach, size, pad, padded, sums):
    number = padded.dtype.type
    left, columns, from_x = _place_windows(x, reach, size)
    top, rows, from_y = _place_windows(y, reach, size)
    factor_x = np.empty(2 * pad, padded.dtype)
    moments_y = np.empty((3, 2 * pad), padded.dtype)
    moments = np.empty((3, 2 * pad), padded.dtype)
    stride = padded.shape[1]
    for j in range(len(x)):
        lanes, lanes_y = _whole_lanes(columns[j]), _whole_lanes(rows[j])
        _fill_window(from_x[j], variance[j], lanes, factor_x)
        _fill_window(from_y[j], variance[j], lanes_y, moments_y[0])
        for row in range(lanes_y):
            offset = from_y[j] + _STEPS[row]
            moments_y[1, row] = moments_y[0, row] * offset
            moments_y[2, row] = moments_y[1, row] * offset
        start = (top[j] + pad) * stride + left[j] + pad
        sum_rows(padded, start, stride, rows[j], lanes, moments_y, moments)
        total, along_x, along_y, radial = number(0), number(0), number(0), number(0)
        for column in range(lanes):
            offset = from_x[j] + _STEPS[column]
            here = factor_x[column] * moments[0, column]
            total += here
            along_x += here * offset
            along_y += factor_x[column] * moments[1, column]
            radial += here * offset * offset + factor_x[column] * moments[2, column]
        sums[0, j], sums[1, j], sums[2, j], sums[3, j] = total, along_x, along_y, radial


@numba.njit(cache=True, fastmath=True)
@no_type_check
def _half_windows(variance, narrowest, window):
    """Where each Gaussian is cut off, pixels."""
    # A wide one is massive, and what its edge leaves at high frequency falls where only the
    # narrow ones still have signal: so by 2 ln(σ²/narrowest²) of exponent more, of which this
    # is a cheap upper bound.
    number = variance.dtype.type
    unit, square = number(1 / narrowest), number(window * window)
    reach = np.empty_like(variance)
    for j in range(len(variance)):
        sigma = np.sqrt(variance[j])
        ratio = sigma * unit
        reach[j] = sigma * np.sqrt(square + number(2) * (ratio - number(1) / ratio))
    return reach


@numba.njit(cache=True, fastmath=True)
@no_type_check
def _margin(reach):
    """Pixels that any window can reach beyond the image, with its unused lanes."""
    return int(reach.max()) + 2 + LANES if len(reach) else 0


@numba.njit(cache=True, fastmath=True)
@no_type_check
def _place_windows(position, reach, size):
    """First pixel of each window, pixels within reach, and offset of the first from the centre.

    Centres are brought into the image, which is periodic.
    """
    number = position.dtype.type
    count = len(position)
    first, pixels = np.empty(count, np.int32), np.empty(count, np.int32)
    start = np.empty_like(position)
    length, inverse = number(size), number(1 / size)
    for j in range(count):
        center = position[j] - length * np.floor(position[j] * inverse)
        low, high = np.ceil(center - reach[j]), np.floor(center + reach[j])
        first[j], pixels[j] = np.int32(low), np.int32(high - low) + np.int32(1)
        start[j] = low - center
    return first, pixels, start


@numba.njit(cache=True, fastmath=True)
@no_type_check
def _whole_lanes(pixels):
    return (pixels + LANES - 1) // LANES * LANES


@numba.njit(cache=True, fastmath=True)
@no_type_check
def _fill_window(start, variance, lanes, factor):
    """Fill `factor` with exp(−d²/2σ²) at distances from `start` on."""
    number = factor.dtype.type
    scale = number(-0.5 / 32) / variance
    for lane in range(lanes):
        distance = start + _STEPS[lane]
        # exp(v) = exp(v/32)^32, the root by its series: no calls, so many lanes at a time.
        v = distance * distance * scale
        v = v if v > number(-1.25) else number(-1.25)
        root = number(1) + v * (number(1) + v * (number(1 / 2) + v * (number(1 / 6)
            + v * (number(1 / 24) + v * (number(1 / 120) + v * number(1 / 720))))))  # fmt: skip
        root *= root
        root *= root
        root *= root
        root *= root
        factor[lane] = root * root


@numba.njit(cache=True, fastmath=True)
@no_type_check
def _fold(padded, pad, image):
    """Add the margins to the pixels of which they are periodic images."""
    size = len(image)
    image[:] = 0
    for row in range(len(padded)):
        line = image[(row - pad) % size]
        column = 0
        while column < len(padded):
            start = (column - pad) % size
            run = min(size - start, len(padded) - column)
            for step in range(run):
                line[start + step] += padded[row, column + step]
            column += run


@numba.njit(cache=True, fastmath=True)
@no_type_check
def _unfold(image, pad, padded):
    """Adjoint of `_fold`: margins filled with periodic images."""
    size = len(image)
    for row in range(len(padded)):
        line = image[(row - pad) % size]
        column = 0
        while column < len(padded):
            start = (column - pad) % size
            run = min(size - start, len(padded) - column)
            for step in range(run):
                padded[row, column + step] = line[start + step]
            column += run
