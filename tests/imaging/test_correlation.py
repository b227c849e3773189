"""Fourier ring and shell correlation."""

import numpy as np
import pytest
import torch

from cryomix.geometry.fourier import FourierGrid, to_fourier
from cryomix.imaging.correlation import ring_correlation, shell_correlation
from cryomix.imaging.volume import Volume

GRID = FourierGrid(20, 2.0)


def noise(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("n", [20, 21])
def test_an_image_agrees_with_itself_whatever_its_scale(n):
    image = to_fourier(noise(3, n, n))
    grid = FourierGrid(n, 2.0)
    ones = torch.ones(3, grid.n_rings, dtype=torch.float64)
    torch.testing.assert_close(ring_correlation(image, 7 * image, grid), ones)
    torch.testing.assert_close(ring_correlation(image, -image, grid), -ones)


@pytest.mark.parametrize("n", [12, 13])
def test_rings_equal_sums_over_the_full_plane(n):
    first, second = noise(n, n), noise(n, n, seed=1)
    a, b = (np.fft.fft2(image.numpy()) for image in (first, second))
    frequency = np.fft.fftfreq(n) * n
    radius = np.hypot(frequency[:, None], frequency[None, :])
    result = ring_correlation(to_fourier(first), to_fourier(second), FourierGrid(n, 1.0))
    assert len(result) == n // 2 + 1
    for ring, value in enumerate(result):
        on = (radius >= ring - 0.5) & (radius < ring + 0.5)
        power = np.sum(np.abs(a[on]) ** 2) * np.sum(np.abs(b[on]) ** 2)
        expected = np.sum(a[on] * b[on].conj()).real / np.sqrt(power)
        assert float(value) == pytest.approx(expected)


def test_an_empty_ring_is_zero_with_finite_gradients():
    image = to_fourier(noise(20, 20))
    cut = (image * (GRID.ring < 5)).requires_grad_()
    frc = ring_correlation(cut, image, GRID)
    assert (frc[5:] == 0).all()
    (gradient,) = torch.autograd.grad(frc.sum(), cut)
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def test_weak_rings_count_as_much_as_strong_ones():
    image, other = to_fourier(noise(20, 20)), to_fourier(noise(20, 20, seed=1))
    decay = torch.exp(-2.0 * GRID.ring)
    torch.testing.assert_close(
        ring_correlation(image * decay, other * decay, GRID), ring_correlation(image, other, GRID)
    )


def test_gradients_are_right():
    images = to_fourier(noise(2, 8, 8))
    grid = FourierGrid(8, 1.0)
    first, second = (image.clone().requires_grad_() for image in images)
    assert torch.autograd.gradcheck(
        lambda a, b: ring_correlation(a, b, grid)[1:], (first, second), atol=1e-6
    )


@pytest.mark.parametrize("n", [12, 13])
def test_shells_equal_sums_over_the_full_volume(n):
    first, second = noise(n, n, n), noise(n, n, n, seed=1) + noise(n, n, n)
    a, b = (np.fft.fftn(density.numpy()) for density in (first, second))
    f = np.fft.fftfreq(n) * n
    radius = np.sqrt(f[:, None, None] ** 2 + f[:, None] ** 2 + f**2)
    result = shell_correlation(Volume(first, 1.0), Volume(second, 1.0))
    assert len(result) == n // 2 + 1
    for shell, value in enumerate(result):
        on = (radius >= shell - 0.5) & (radius < shell + 0.5)
        power = np.sum(np.abs(a[on]) ** 2) * np.sum(np.abs(b[on]) ** 2)
        expected = np.sum(a[on] * b[on].conj()).real / np.sqrt(power)
        assert float(value) == pytest.approx(expected, abs=1e-5)


def test_shells_of_a_map_with_itself_and_with_nothing():
    density = noise(10, 10, 10).float()
    ones = torch.ones(6)
    torch.testing.assert_close(
        shell_correlation(Volume(density, 2.0), Volume(3 * density, 2.0)), ones
    )
    nothing = shell_correlation(Volume(density, 2.0), Volume(0 * density, 2.0))
    assert torch.equal(nothing, torch.zeros(6))


def test_maps_of_different_boxes_cannot_be_compared():
    with pytest.raises(ValueError, match="boxes of 8 and 10 cannot be compared"):
        shell_correlation(Volume(torch.zeros(8, 8, 8), 1.0), Volume(torch.zeros(10, 10, 10), 1.0))


def test_images_and_maps_are_left_alone(unchanged):
    image, volume = to_fourier(noise(20, 20)), Volume(noise(8, 8, 8), 1.0)
    with unchanged(image, volume):
        ring_correlation(image, image, GRID)
        shell_correlation(volume, volume)
