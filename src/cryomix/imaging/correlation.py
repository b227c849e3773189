"""How alike two images or two maps are, ring by ring and shell by shell."""

import torch
from jaxtyping import Complex, Float, Float64
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid
from cryomix.imaging.products import ring_products, squared
from cryomix.imaging.volume import Volume


def ring_correlation(
    first: Complex[Tensor, "*batch rows columns"],
    second: Complex[Tensor, "*batch rows columns"],
    grid: FourierGrid,
) -> Float[Tensor, "*batch rings"]:
    """Fourier ring correlation (FRC), one value per ring from 0 to Nyquist.

    A ring in which either image is zero has correlation 0, so that a band-limited
    projection gives finite gradients.
    """
    cross, first_power, second_power = ring_products(first, second, grid)
    power = first_power * second_power
    empty = power == 0
    return torch.where(empty, 0.0, cross / torch.where(empty, 1.0, power).sqrt())


def shell_correlation(first: Volume, second: Volume) -> Float[Tensor, "shells"]:
    """Fourier shell correlation (FSC) of two maps on the same grid, shells 0 to Nyquist.

    Shell k holds radii between k − ½ and k + ½ Fourier voxels.
    """
    n = first.box_size
    if second.box_size != n:
        raise ValueError(f"boxes of {n} and {second.box_size} cannot be compared")
    a, b = (torch.fft.rfftn(volume.density.double()) for volume in (first, second))
    power = _sum_over_shells(squared(a), n) * _sum_over_shells(squared(b), n)
    empty = power == 0
    cross = _sum_over_shells((a * b.conj()).real, n)
    return torch.where(empty, 0.0, cross / torch.where(empty, 1.0, power).sqrt()).float()


def shell_power(volume: Volume) -> Float64[Tensor, "shells"]:
    """Sum of |transform|² over each shell of the full transform, shells 0 to Nyquist."""
    return _sum_over_shells(squared(torch.fft.rfftn(volume.density.double())), volume.box_size)


def shell_sizes(box_size: int) -> Float64[Tensor, "shells"]:
    """Number of coefficients of the full transform in each shell."""
    half = torch.ones(box_size, box_size, box_size // 2 + 1, dtype=torch.float64)
    return _sum_over_shells(half, box_size)


def _sum_over_shells(values: Float64[Tensor, "n n half"], n: int) -> Float64[Tensor, "shells"]:
    """Sums over the full transform, of which `values` are given on the half with x ≥ 0."""
    full, half = torch.fft.fftfreq(n) * n, torch.fft.rfftfreq(n) * n
    radius = (full[:, None, None] ** 2 + full[None, :, None] ** 2 + half**2).sqrt()
    shell = radius.round().long().flatten()
    weight = torch.full((n // 2 + 1,), 2.0, dtype=torch.float64)
    weight[0] = 1
    if n % 2 == 0:
        weight[-1] = 1
    sums = values.new_zeros(int(shell.max()) + 1)
    return sums.index_add(0, shell, (values * weight).flatten())[: n // 2 + 1]
