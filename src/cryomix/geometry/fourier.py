"""The sampling of images in Fourier space: frequencies, rings, transforms, cropping."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class FourierGrid:
    """Half plane of the transform of an n × n image, rows in FFT order.

    Attributes
    ----------
    box_size
        n, pixels.
    pixel_size
        Å per pixel.
    device
        Where its tensors are; grids that differ in nothing else are equal.
    """

    box_size: int
    pixel_size: float
    device: torch.device = field(default=torch.device("cpu"), compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.box_size < 2:
            raise ValueError(f"box_size must be at least 2, got {self.box_size}")
        if not (math.isfinite(self.pixel_size) and self.pixel_size > 0):
            raise ValueError(f"pixel_size must be positive, got {self.pixel_size}")

    def to(self, device: torch.device) -> "FourierGrid":
        """The same sampling, its tensors on `device`: a loop there must not copy them each time."""
        return self if device == self.device else replace(self, device=device)

    @property
    def box_length(self) -> float:
        """Edge of the image, Å."""
        return self.box_size * self.pixel_size

    @property
    def half_size(self) -> int:
        """Columns of the half plane, n // 2 + 1."""
        return self.box_size // 2 + 1

    @property
    def n_rings(self) -> int:
        """Rings 0 … n // 2."""
        return self.box_size // 2 + 1

    @cached_property
    def frequency_x(self) -> Float[Tensor, "columns"]:
        """Spatial frequency of each column, Å⁻¹."""
        return torch.fft.rfftfreq(
            self.box_size, self.pixel_size, dtype=torch.float64, device=self.device
        )

    @cached_property
    def frequency_y(self) -> Float[Tensor, "rows"]:
        """Spatial frequency of each row, Å⁻¹."""
        return torch.fft.fftfreq(
            self.box_size, self.pixel_size, dtype=torch.float64, device=self.device
        )

    @cached_property
    def radius(self) -> Float[Tensor, "rows columns"]:
        """Length of the frequency vector, Å⁻¹."""
        return torch.hypot(self.frequency_y[:, None], self.frequency_x[None, :])

    @cached_property
    def ring(self) -> Int[Tensor, "rows columns"]:
        """Ring of each coefficient: radius rounded to whole Fourier pixels.

        No tie is possible, because k + ½ is never the root of a sum of two squares.
        """
        return torch.round(self.radius * self.box_length).long()

    @cached_property
    def multiplicity(self) -> Float[Tensor, "rows columns"]:
        """How many coefficients of the full plane each one stands for (1 or 2)."""
        # Columns 0 and n/2 are their own mirror image; all others stand for two coefficients.
        multiplicity = torch.full((self.box_size, self.half_size), 2.0, device=self.device)
        multiplicity[:, 0] = 1
        if self.box_size % 2 == 0:
            multiplicity[:, -1] = 1
        return multiplicity

    def ring_of(self, resolution: float) -> int:
        """Last ring that holds detail no finer than `resolution` Å, at most Nyquist."""
        return min(int(self.box_length / resolution + 1e-6), self.n_rings - 1)


def to_fourier(image: Float[Tensor, "*batch n n"]) -> Complex[Tensor, "*batch n half"]:
    """Half-plane transform with phases measured from the image centre, pixel n // 2."""
    return torch.fft.rfft2(torch.fft.ifftshift(image, dim=(-2, -1)))


def to_real(image_ft: Complex[Tensor, "*batch n half"]) -> Float[Tensor, "*batch n n"]:
    """Inverse of `to_fourier`."""
    n = image_ft.shape[-2]
    return torch.fft.fftshift(torch.fft.irfft2(image_ft, s=(n, n)), dim=(-2, -1))


def crop_fourier(
    image_ft: Complex[Tensor, "*batch n half"], box_size: int
) -> Complex[Tensor, "*batch m cropped"]:
    """The same image on a coarser grid of `box_size` pixels: high frequencies cut off.

    Pixel n // 2 stays the centre, which real-space binning would move. Densities keep their
    value, because the transform scales with the number of pixels.
    """
    n = image_ft.shape[-2]
    if box_size > n:
        raise ValueError(f"cannot crop a box of {n} to {box_size}")
    if box_size == n:
        return image_ft
    rows = torch.arange(box_size, device=image_ft.device)
    rows = torch.where(rows < (box_size + 1) // 2, rows, rows + n - box_size)
    cropped = image_ft[..., rows, : box_size // 2 + 1]
    return cropped * (box_size / n) ** 2


def sum_over_rings(
    values: Float[Tensor, "*batch rows columns"], grid: FourierGrid
) -> Float[Tensor, "*batch rings"]:
    """Sum over each ring of the full plane, from 0 to Nyquist."""
    # Beyond Nyquist everything goes into one ring more, which is dropped.
    weighted = (values * grid.multiplicity.to(values)).flatten(-2)
    ring = grid.ring.to(values.device).clamp_max(grid.n_rings).flatten()
    sums = weighted.new_zeros((*weighted.shape[:-1], grid.n_rings + 1))
    return sums.index_add(-1, ring, weighted)[..., : grid.n_rings]
