"""The projection by spreading on an oversampled grid and one FFT, for the CPU.

Each projected Gaussian is already a smooth bump: it is added to a real-space grid inside a
window of ± `WINDOW` of its own σ, the grid is transformed once and cropped to the box. Cost is
N · window² + n² log n per image; memory is one grid per image, whatever N is.
"""

import math
from dataclasses import dataclass
from typing import Any, no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Complex
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.placement import place_gaussians

OVERSAMPLING = 1.5
NARROWEST = 1.0  # σ in pixels of the fine grid; below, aliases exceed 1e-3 at 0.9 Nyquist
WINDOW = 5.0  # σ


def project_gaussians_gridding(
    model: GaussianModel, poses: Poses, grid: FourierGrid
) -> Complex[Tensor, "particles rows columns"]:
    """Fourier transform of the line integral of `model` seen from each pose.

    Same meaning as `project_gaussians_reference`; relative error per ring below 1e-3 up to 0.9
    of Nyquist, in value and gradient. Differentiable once.
    """
    placed = place_gaussians(model, poses, grid)
    fine = _fine_grid(grid, float(model.width.detach().min()) if len(model) else 1.0)
    image = _Spread.apply(placed.x, placed.y, placed.mass, placed.width, fine)
    return _crop(torch.fft.rfft2(image), grid, fine)


@dataclass(frozen=True, slots=True)
class _FineGrid:
    size: int
    pixel_size: float
    widening: float  # τ², Å²: added to every σ², taken out again in Fourier space


def _fine_grid(grid: FourierGrid, narrowest: float) -> _FineGrid:
    size = _next_fast_even(math.ceil(OVERSAMPLING * grid.box_size))
    pixel_size = grid.box_length / size
    return _FineGrid(size, pixel_size, max(0.0, (NARROWEST * pixel_size) ** 2 - narrowest**2))


def _next_fast_even(size: int) -> int:
    """Smallest even number ≥ `size` without prime factors above 5."""
    size += size % 2
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 2


def _crop(fine_ft: Tensor, grid: FourierGrid, fine: _FineGrid) -> Tensor:
    n, half = grid.box_size, grid.half_size
    cropped = torch.cat(
        [fine_ft[:, : (n + 1) // 2, :half], fine_ft[:, fine.size - n // 2 :, :half]], dim=1
    )
    if not fine.widening:
        return cropped
    # The transform of the widening, exp(−2π²τ²k²), divided out again.
    x = torch.exp(2 * math.pi**2 * fine.widening * grid.frequency_x.square())
    y = torch.exp(2 * math.pi**2 * fine.widening * grid.frequency_y.square())
    return cropped * (y[:, None] * x).to(cropped.real)


class _Spread(torch.autograd.Function):
    """Real-space images of projected Gaussians, the image centre at pixel 0."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor, mass: Tensor, width: Tensor, fine: _FineGrid
    ) -> Tensor:
        arrays = [values.detach().contiguous().numpy() for values in (x, y, mass, width)]
        ctx.save_for_backward(x, y, mass, width)
        ctx.fine = fine
        image = np.zeros((x.shape[0], fine.size, fine.size), arrays[0].dtype)
        _spread(*arrays, fine.pixel_size, fine.widening, image)
        return torch.from_numpy(image)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, image_gradient: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        arrays = [values.detach().contiguous().numpy() for values in saved]
        out = [np.empty_like(arrays[0]) for _ in range(4)]
        gradient = image_gradient.contiguous().numpy()
        _gather(*arrays, ctx.fine.pixel_size, ctx.fine.widening, gradient, *out)
        return (*(torch.from_numpy(values) for values in out), None)


@numba.njit(cache=True, fastmath=True)
@no_type_check
def _window(position, sigma, size, factor):
    """Fill `factor` with exp(−(i − position)² / 2σ²) for the window; its first index and length."""
    reach = WINDOW * sigma
    first = math.ceil(position - reach)
    count = min(math.floor(position + reach) - first + 1, factor.size)
    # Neighbouring values have the ratio r, and neighbouring ratios the constant ratio q.
    inverse = 1.0 / (sigma * sigma)
    offset = first - position
    value = math.exp(-0.5 * offset * offset * inverse)
    ratio = math.exp(-(offset + 0.5) * inverse)
    step = math.exp(-inverse)
    for i in range(count):
        factor[i] = value
        value *= ratio
        ratio *= step
    return first, count


@numba.njit(cache=True, fastmath=True)
@no_type_check
def _reach(width, pixel_size, widening):
    """Longest window of any Gaussian, pixels."""
    return int(2 * WINDOW * math.sqrt(width.max() ** 2 + widening) / pixel_size) + 2


@numba.njit(parallel=True, cache=True, fastmath=True)
@no_type_check
def _spread(x, y, mass, width, pixel_size, widening, image):
    size = image.shape[1]
    longest = _reach(width, pixel_size, widening)
    for b in numba.prange(x.shape[0]):
        factor_x = np.empty(longest, image.dtype)
        factor_y = np.empty(longest, image.dtype)
        for j in range(x.shape[1]):
            sigma = math.sqrt(width[b, j] ** 2 + widening) / pixel_size
            first_x, count_x = _window(x[b, j] / pixel_size, sigma, size, factor_x)
            first_y, count_y = _window(y[b, j] / pixel_size, sigma, size, factor_y)
            peak = mass[b, j] / (2 * math.pi * sigma * sigma)
            start = first_x % size
            for row in range(count_y):
                line = image[b, (first_y + row) % size]
                scale = image.dtype.type(peak * factor_y[row])
                if start + count_x <= size:
                    part = line[start : start + count_x]
                    for column in range(count_x):
                        part[column] += scale * factor_x[column]
                else:
                    for column in range(count_x):
                        line[(start + column) % size] += scale * factor_x[column]


@numba.njit(parallel=True, cache=True, fastmath=True)
@no_type_check
def _gather(x, y, mass, width, pixel_size, widening, gradient, x_out, y_out, mass_out, width_out):
    """Sums of the gradient under each Gaussian: Σ g, Σ g·dx, Σ g·dy, Σ g·r²."""
    size = gradient.shape[1]
    longest = _reach(width, pixel_size, widening)
    for b in numba.prange(x.shape[0]):
        factor_x = np.empty(longest, gradient.dtype)
        factor_y = np.empty(longest, gradient.dtype)
        moment_x = np.empty(longest, gradient.dtype)
        square_x = np.empty(longest, gradient.dtype)
        wrapped = np.empty(longest, gradient.dtype)
        for j in range(x.shape[1]):
            sigma = math.sqrt(width[b, j] ** 2 + widening) / pixel_size
            at_x, at_y = x[b, j] / pixel_size, y[b, j] / pixel_size
            first_x, count_x = _window(at_x, sigma, size, factor_x)
            first_y, count_y = _window(at_y, sigma, size, factor_y)
            for column in range(count_x):
                offset = first_x + column - at_x
                moment_x[column] = factor_x[column] * offset
                square_x[column] = factor_x[column] * offset * offset
            start = first_x % size
            total, along_x, along_y, radial = 0.0, 0.0, 0.0, 0.0
            for row in range(count_y):
                line = gradient[b, (first_y + row) % size]
                part = line[start : start + count_x]
                if start + count_x > size:
                    for column in range(count_x):
                        wrapped[column] = line[(start + column) % size]
                    part = wrapped[:count_x]
                sum_0 = gradient.dtype.type(0)
                sum_1 = gradient.dtype.type(0)
                sum_2 = gradient.dtype.type(0)
                for column in range(count_x):
                    sum_0 += factor_x[column] * part[column]
                    sum_1 += moment_x[column] * part[column]
                    sum_2 += square_x[column] * part[column]
                offset = first_y + row - at_y
                total += factor_y[row] * sum_0
                along_x += factor_y[row] * sum_1
                along_y += factor_y[row] * offset * sum_0
                radial += factor_y[row] * (sum_2 + offset * offset * sum_0)
            inverse = 1.0 / (sigma * sigma)
            peak = mass[b, j] * inverse / (2 * math.pi)
            mass_out[b, j] = total * inverse / (2 * math.pi)
            x_out[b, j] = peak * along_x * inverse / pixel_size
            y_out[b, j] = peak * along_y * inverse / pixel_size
            by_sigma = peak * (radial * inverse - 2 * total) / sigma
            width_out[b, j] = by_sigma * width[b, j] / (pixel_size * pixel_size * sigma)
