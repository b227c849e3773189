"""How alike two images or two maps are, ring by ring and shell by shell."""

import torch
from jaxtyping import Complex, Float
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
    full, half = torch.fft.fftfreq(n) * n, torch.fft.rfftfreq(n) * n
    radius = (full[:, None, None] ** 2 + full[None, :, None] ** 2 + half**2).sqrt()
    shell = radius.round().long().flatten()
    weight = torch.full((n // 2 + 1,), 2.0, dtype=torch.float64)
    weight[0] = 1
    if n % 2 == 0:
        weight[-1] = 1

    def total(values: Tensor) -> Tensor:
        sums = values.new_zeros(int(shell.max()) + 1)
        return sums.index_add(0, shell, (values * weight).flatten())[: n // 2 + 1]

    power = total(squared(a)) * total(squared(b))
    empty = power == 0
    cross = total((a * b.conj()).real)
    return torch.where(empty, 0.0, cross / torch.where(empty, 1.0, power).sqrt()).float()
