"""The oversampled grid on which Gaussians are spread, and the way from it to the box."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid

OVERSAMPLING = 1.5
_PROMISED = 0.9  # of Nyquist: up to there the tolerance holds


@dataclass(frozen=True, slots=True)
class FineGrid:
    """An n × n image sampled more finely, for Gaussians cut off where they no longer matter.

    Every σ² is changed by the same amount for a whole image, so that the narrowest Gaussian is
    just as wide as the grid carries; `transform_to_box` takes the change back in Fourier space,
    exactly. Narrow Gaussians would alias; wide ones would only need larger windows.

    Attributes
    ----------
    size
        Pixels of an edge.
    pixel_size
        Å.
    narrowest
        σ that the narrowest Gaussian of an image is given, Å.
    window
        Where a Gaussian is cut off, σ.
    """

    size: int
    pixel_size: float
    narrowest: float
    window: float

    def widening(self, width: Float[Tensor, "particles gaussians"]) -> Float[Tensor, "particles"]:
        """What is added to every σ² of an image, Å²; negative where all are wider than needed."""
        if not width.shape[1]:
            return width.new_zeros(len(width))
        return self.narrowest**2 - width.detach().amin(1).square()


def fine_grid_for(grid: FourierGrid, tolerance: float) -> FineGrid:
    """The grid whose relative error per ring stays below `tolerance` up to 0.9 of Nyquist.

    Half of the tolerance is left to aliases, exp(−2π²σ²((1 − k)² − k²)) of the signal at
    frequency k of the fine grid, and half to the edge of the window, which is
    2 φ(window)/(2πkσ) in each direction against a signal of exp(−2π²σ²k²).

    Raises
    ------
    ValueError
        If `tolerance` is not between 1e-4, which single precision still carries, and 0.1.
    """
    if not 1e-4 <= tolerance <= 0.1:
        raise ValueError(f"tolerance must be between 1e-4 and 0.1, got {tolerance}")
    size = _next_fast_even(math.ceil(OVERSAMPLING * grid.box_size))
    finest = 0.5 * _PROMISED * grid.box_size / size
    part = math.log(2 / tolerance)
    sigma = math.sqrt(part / (2 * math.pi**2 * (1 - 2 * finest)))
    edge = 2 / (math.sqrt(2 * math.pi) * 2 * math.pi * finest * sigma)
    decay = 2 * math.pi**2 * sigma**2 * finest**2
    window = math.sqrt(2 * (part + decay + math.log(edge)))
    pixel_size = grid.box_length / size
    return FineGrid(size, pixel_size, sigma * pixel_size, window)


def transform_to_box(
    image: Float[Tensor, "particles fine_rows fine_rows"],
    widening: Float[Tensor, "particles"],
    grid: FourierGrid,
) -> Complex[Tensor, "particles rows columns"]:
    """Transform of fine images at the frequencies of `grid`, the change of widths taken back."""
    n = grid.box_size
    columns = torch.fft.rfft(image)[:, :, : grid.half_size]
    fine_ft = torch.fft.fft(columns, dim=1)
    return torch.cat([fine_ft[:, : (n + 1) // 2], fine_ft[:, -(n // 2) :]], dim=1).mul_(
        _narrowing(widening, grid)
    )


def transform_from_box(
    image_ft: Complex[Tensor, "particles rows columns"],
    widening: Float[Tensor, "particles"],
    grid: FourierGrid,
    fine: FineGrid,
) -> Float[Tensor, "particles fine_rows fine_rows"]:
    """Adjoint of `transform_to_box`: carries a gradient back to the fine images."""
    n = grid.box_size
    narrowing = _narrowing(widening, grid)
    narrowing[:, :, 1:] *= 0.5  # the inverse transform adds each column's mirror image
    fine_ft = image_ft.new_zeros(len(image_ft), fine.size, grid.half_size)
    torch.mul(
        image_ft[:, : (n + 1) // 2], narrowing[:, : (n + 1) // 2], out=fine_ft[:, : (n + 1) // 2]
    )
    torch.mul(
        image_ft[:, (n + 1) // 2 :], narrowing[:, (n + 1) // 2 :], out=fine_ft[:, -(n // 2) :]
    )
    columns = torch.fft.ifft(fine_ft, dim=1, norm="forward")
    return torch.fft.irfft(columns, n=fine.size, norm="forward")


def _narrowing(
    widening: Float[Tensor, "particles"], grid: FourierGrid
) -> Float[Tensor, "particles rows columns"]:
    # The transform of a Gaussian of variance `widening` is exp(−2π² widening k²).
    exponent = 2 * math.pi**2 * widening
    x = torch.exp(exponent[:, None] * grid.frequency_x.to(widening).square())
    y = torch.exp(exponent[:, None] * grid.frequency_y.to(widening).square())
    return y[:, :, None] * x[:, None, :]


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
