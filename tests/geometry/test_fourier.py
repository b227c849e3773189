"""The Fourier grid: rings, multiplicity, centred transforms, cropping."""

import math

import pytest
import torch

from cryomix.geometry.fourier import (
    FourierGrid,
    crop_fourier,
    sum_over_rings,
    to_fourier,
    to_real,
)

BOXES = [16, 17, 24, 25]


def gaussian_image(n, pixel_size, x, y, width):
    """A sampled Gaussian at (x, y) Å from pixel n // 2."""
    axis = (torch.arange(n, dtype=torch.float64) - n // 2) * pixel_size
    return torch.exp(-((axis[:, None] - y) ** 2 + (axis[None, :] - x) ** 2) / (2 * width**2))


@pytest.mark.parametrize("n", BOXES)
def test_transform_and_back(n):
    image = torch.randn(3, n, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(to_real(to_fourier(image)), image)


@pytest.mark.parametrize("n", BOXES)
def test_phases_are_measured_from_the_center_pixel(n):
    image = torch.zeros(n, n, dtype=torch.float64)
    image[n // 2, n // 2] = 1
    torch.testing.assert_close(to_fourier(image), torch.ones(n, n // 2 + 1, dtype=torch.complex128))


@pytest.mark.parametrize("n", BOXES)
def test_a_shift_is_a_phase_in_angstrom(n):
    grid = FourierGrid(n, 2.0)
    moved = to_fourier(gaussian_image(n, 2.0, 3.0, -1.5, 3.0))
    phase = grid.frequency_y[:, None] * -1.5 + grid.frequency_x[None, :] * 3.0
    expected = to_fourier(gaussian_image(n, 2.0, 0.0, 0.0, 3.0)) * torch.exp(-2j * math.pi * phase)
    torch.testing.assert_close(moved, expected, atol=3e-2, rtol=0)


@pytest.mark.parametrize("n", BOXES)
def test_multiplicity_counts_the_full_plane_once(n):
    grid = FourierGrid(n, 2.0)
    assert grid.multiplicity.sum() == n * n
    counts = sum_over_rings(torch.ones(n, grid.half_size, dtype=torch.float64), grid)
    frequency = torch.fft.fftfreq(n, dtype=torch.float64) * n
    radius = torch.hypot(frequency[:, None], frequency[None, :])
    assert counts.sum() == (radius.round() <= n // 2).sum()
    for ring in range(grid.n_rings):
        assert counts[ring] == ((radius >= ring - 0.5) & (radius < ring + 0.5)).sum()


@pytest.mark.parametrize("n", BOXES)
def test_ring_sums_obey_parseval(n):
    grid = FourierGrid(n, 2.0)
    image = gaussian_image(n, 2.0, 1.0, 2.0, 5.0)  # no power beyond Nyquist
    power = sum_over_rings(to_fourier(image).abs().square(), grid).sum() / n**2
    assert float(power) == pytest.approx(float(image.square().sum()), rel=1e-6)


@pytest.mark.parametrize(("n", "m"), [(24, 16), (24, 15), (25, 16), (25, 17), (16, 16)])
def test_cropping_keeps_center_and_density(n, m):
    """A band-limited image sampled more coarsely is the same function at the same place."""
    length = n * 2.0
    fine = gaussian_image(n, 2.0, 4.0, -3.0, 4.5)
    coarse = to_real(crop_fourier(to_fourier(fine), m))
    expected = gaussian_image(m, length / m, 4.0, -3.0, 4.5)
    torch.testing.assert_close(coarse, expected, atol=4e-3, rtol=0)


def test_cropping_to_a_larger_box_is_refused():
    with pytest.raises(ValueError, match="cannot crop a box of 16 to 18"):
        crop_fourier(to_fourier(torch.zeros(16, 16)), 18)


def test_ring_of_a_resolution_is_the_last_that_is_no_finer():
    grid = FourierGrid(64, 2.0)  # 128 Å long
    assert grid.ring_of(16.0) == 8
    assert grid.ring_of(15.9) == 8
    assert grid.ring_of(128 / 7.99) == 7
    assert grid.ring_of(1.0) == 32


@pytest.mark.parametrize(
    ("box_size", "pixel_size", "message"),
    [
        (1, 1.0, "box_size must be at least 2, got 1"),
        (8, 0.0, "pixel_size must be positive, got 0.0"),
        (8, -2.0, "pixel_size must be positive"),
        (8, math.nan, "pixel_size must be positive, got nan"),
    ],
)
def test_impossible_grids_are_refused(box_size, pixel_size, message):
    with pytest.raises(ValueError, match=message):
        FourierGrid(box_size, pixel_size)


def test_a_grid_moves_with_its_tensors():
    grid = FourierGrid(8, 2.0)
    away = grid.to(torch.device("meta"))
    for name in ("frequency_x", "frequency_y", "radius", "ring", "multiplicity"):
        assert getattr(away, name).is_meta
        assert getattr(away, name).shape == getattr(grid, name).shape
    assert away == grid
    assert grid.to(torch.device("cpu")) is grid
