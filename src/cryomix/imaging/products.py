"""Sums over products of images in Fourier space: all that the scores are made of.

On the CPU one compiled pass forward and one backward; elsewhere the same in PyTorch.
"""

from typing import Any, no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Complex, Float
from numpy.typing import NDArray
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid, sum_over_rings


def ring_products(
    first: Complex[Tensor, "*batch rows columns"],
    second: Complex[Tensor, "*batch rows columns"],
    grid: FourierGrid,
) -> tuple[
    Float[Tensor, "*batch rings"], Float[Tensor, "*batch rings"], Float[Tensor, "*batch rings"]
]:
    """Σ Re(first · conj second), Σ |first|² and Σ |second|² over each ring of the full plane."""
    if first.device.type != "cpu" or first.dtype != second.dtype:
        cross = sum_over_rings((first * second.conj()).real, grid)
        return cross, sum_over_rings(squared(first), grid), sum_over_rings(squared(second), grid)
    flat = [values.reshape(-1, *first.shape[-2:]) for values in (first, second)]
    cross, first_power, second_power = (
        sums.reshape(*first.shape[:-2], grid.n_rings) for sums in _RingProducts.apply(*flat, grid)
    )
    return cross, first_power, second_power


def likelihood_products(
    image_ft: Complex[Tensor, "batch rows columns"],
    projection: Complex[Tensor, "batch rows columns"],
    transfer: Float[Tensor, "batch rows columns"],
    gain: Float[Tensor, "rows columns"],
    weight: Float[Tensor, "rows columns"],
) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
    """Σ w Re(image · conj(t projection)) and Σ w |t projection|², t being `transfer` · `gain`.

    Differentiable in `projection` only.
    """
    if projection.device.type != "cpu":
        expected = projection * (transfer * gain)
        cross = (image_ft * expected.conj()).real
        return (cross * weight).sum((-2, -1)), (squared(expected) * weight).sum((-2, -1))
    return _LikelihoodProducts.apply(projection, image_ft, transfer, gain, weight)


def squared(value: Complex[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """|value|², without the root that `abs` would take."""
    return value.real.square() + value.imag.square()


class _RingProducts(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, first: Tensor, second: Tensor, grid: FourierGrid
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(first, second)
        ctx.grid = grid
        sums = torch.zeros(3, len(first), grid.n_rings, dtype=first.real.dtype)
        _sum_rings(_numbers(first), _numbers(second), *_rings(grid), sums.numpy())
        return sums[0], sums[1], sums[2]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, cross: Tensor, first_power: Tensor, second_power: Tensor
    ) -> tuple[Tensor | None, ...]:
        first, second = ctx.saved_tensors
        found: list[Tensor | None] = []
        for wanted, own, other, power in zip(
            ctx.needs_input_grad, (first, second), (second, first), (first_power, second_power),
            strict=False,
        ):  # fmt: skip
            gradient = torch.empty(own.shape, dtype=own.dtype) if wanted else None
            if gradient is not None:
                slopes = (values.contiguous().numpy() for values in (cross, power))
                _spread_rings(
                    _numbers(own), _numbers(other), *_rings(ctx.grid), *slopes, _numbers(gradient)
                )
            found.append(gradient)
        return (*found, None)


class _LikelihoodProducts(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        projection: Tensor,
        image_ft: Tensor,
        transfer: Tensor,
        gain: Tensor,
        weight: Tensor,
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(projection, image_ft, transfer, gain, weight)
        sums = torch.empty(2, len(projection), dtype=transfer.dtype)
        _sum_weighted(
            _numbers(projection), _numbers(image_ft), *_plain(transfer, gain, weight), sums.numpy()
        )
        return sums[0], sums[1]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, cross: Tensor, power: Tensor) -> tuple[Tensor | None, ...]:
        projection, image_ft, transfer, gain, weight = ctx.saved_tensors
        gradient = torch.empty(projection.shape, dtype=projection.dtype)
        _spread_weighted(
            _numbers(projection), _numbers(image_ft), *_plain(transfer, gain, weight),
            *_plain(cross, power), _numbers(gradient),
        )  # fmt: skip
        return gradient, None, None, None, None


def _numbers(values: Tensor) -> NDArray[np.floating]:
    """Real and imaginary parts side by side in the last axis."""
    resolved = values.detach().resolve_conj().contiguous()
    return torch.view_as_real(resolved).flatten(-2).numpy()


def _plain(*values: Tensor) -> list[NDArray[np.floating]]:
    return [tensor.detach().contiguous().numpy() for tensor in values]


def _rings(grid: FourierGrid) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
    return grid.ring.numpy(), grid.multiplicity.numpy()


@numba.njit(parallel=True, cache=True, fastmath=True)
@no_type_check
def _sum_rings(first, second, ring, multiplicity, sums):
    rings = sums.shape[2]
    for b in numba.prange(len(first)):
        for row in range(ring.shape[0]):
            for column in range(ring.shape[1]):
                k = ring[row, column]
                if k < rings:
                    a, a_imag = first[b, row, 2 * column], first[b, row, 2 * column + 1]
                    c, c_imag = second[b, row, 2 * column], second[b, row, 2 * column + 1]
                    weight = multiplicity[row, column]
                    sums[0, b, k] += weight * (a * c + a_imag * c_imag)
                    sums[1, b, k] += weight * (a * a + a_imag * a_imag)
                    sums[2, b, k] += weight * (c * c + c_imag * c_imag)


@numba.njit(parallel=True, cache=True, fastmath=True)
@no_type_check
def _spread_rings(own, other, ring, multiplicity, cross, power, gradient):
    rings = cross.shape[1]
    for b in numba.prange(len(own)):
        for row in range(ring.shape[0]):
            for column in range(ring.shape[1]):
                k = ring[row, column]
                inside = k < rings
                k = min(k, rings - 1)
                weight = multiplicity[row, column] if inside else 0.0
                by_other = gradient.dtype.type(weight * cross[b, k])
                by_own = gradient.dtype.type(2 * weight * power[b, k])
                for part in range(2 * column, 2 * column + 2):
                    gradient[b, row, part] = (
                        by_other * other[b, row, part] + by_own * own[b, row, part]
                    )


@numba.njit(parallel=True, cache=True, fastmath=True)
@no_type_check
def _sum_weighted(projection, image, transfer, gain, weight, sums):
    number = sums.dtype.type
    for b in numba.prange(len(projection)):
        cross, power = 0.0, 0.0
        for row in range(weight.shape[0]):
            row_cross, row_power = number(0), number(0)
            for column in range(weight.shape[1]):
                t = transfer[b, row, column] * gain[row, column]
                w = weight[row, column] * t
                p, p_imag = projection[b, row, 2 * column], projection[b, row, 2 * column + 1]
                i, i_imag = image[b, row, 2 * column], image[b, row, 2 * column + 1]
                row_cross += w * (p * i + p_imag * i_imag)
                row_power += w * t * (p * p + p_imag * p_imag)
            cross += row_cross
            power += row_power
        sums[0, b] = cross
        sums[1, b] = power


@numba.njit(parallel=True, cache=True, fastmath=True)
@no_type_check
def _spread_weighted(projection, image, transfer, gain, weight, cross, power, gradient):
    for b in numba.prange(len(projection)):
        for row in range(weight.shape[0]):
            for column in range(weight.shape[1]):
                t = transfer[b, row, column] * gain[row, column]
                w = weight[row, column] * t
                by_image = w * cross[b]
                by_own = 2 * w * t * power[b]
                for part in range(2 * column, 2 * column + 2):
                    gradient[b, row, part] = (
                        by_image * image[b, row, part] + by_own * projection[b, row, part]
                    )
