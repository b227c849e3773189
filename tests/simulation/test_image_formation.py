"""Images are the same however they are read, and their noise is what was asked for."""

import math
from dataclasses import replace

import pytest
import torch

from cryomix.geometry.fourier import FourierGrid, sum_over_rings, to_fourier
from cryomix.options import SimulationOptions
from cryomix.simulation import simulate_system
from cryomix.simulation.image_formation import spread_over_rings

OPTIONS = SimulationOptions(particles=300, box_size=32, pixel_size=6.0, snr=0.5, seed=4)


@pytest.fixture(scope="module")
def stack():
    return simulate_system("linear", OPTIONS).particles.images


def test_an_image_does_not_depend_on_its_batch(stack):
    together = stack.read(torch.arange(300))
    alone = torch.cat([stack.read(torch.tensor([row])) for row in (7, 250, 7)])
    torch.testing.assert_close(together[[7, 250, 7]], alone, atol=1e-5, rtol=0)
    assert (together[7] - together[8]).abs().max() > 1


def test_signal_and_noise_have_the_stated_ratio(stack):
    index = torch.arange(300)
    image = stack.read(index)
    signal = replace(stack, noise=0.0).read(index)
    noise = image - signal
    assert (signal.var() / noise.var()).item() == pytest.approx(0.5, rel=0.02)
    assert image.var().item() == pytest.approx(1, rel=0.02)
    assert image.mean().item() == pytest.approx(0, abs=0.01)


def test_colored_noise_has_its_spectrum_and_the_same_variance():
    grid = FourierGrid(32, 6.0)
    power = torch.linspace(4.0, 1.0, 17) ** 2
    colored = simulate_system("linear", OPTIONS, power).particles.images
    index = torch.arange(300)
    noise = colored.read(index) - replace(colored, noise=0.0).read(index)
    white = simulate_system("linear", OPTIONS).particles.images
    plain = white.read(index) - replace(white, noise=0.0).read(index)
    assert noise.var().item() == pytest.approx(plain.var().item(), rel=0.02)
    measured = sum_over_rings(to_fourier(noise).abs().square(), grid).mean(0)
    measured = measured / sum_over_rings(torch.ones(32, 17), grid)
    ratio = (measured / power)[1:]
    assert ratio.std() / ratio.mean() < 0.03


def test_a_spectrum_is_spread_by_fractions_of_nyquist():
    grid = FourierGrid(16, 4.0)
    spread = spread_over_rings(torch.arange(1.0, 18.0), grid)  # measured on a box of 32
    assert spread.tolist() == pytest.approx([1, 3, 5, 7, 9, 11, 13, 15, 17])
    same = spread_over_rings(torch.arange(1.0, 10.0), grid)
    assert same.tolist() == pytest.approx(list(range(1, 10)))


def test_the_ctf_and_the_shifts_have_the_spread_asked_for():
    options = replace(OPTIONS, shift_px=1.5, defocus=(9000.0, 12000.0), astigmatism=200.0)
    simulation = simulate_system("linear", options)
    ctf, shift = simulation.particles.ctf, simulation.poses.shift
    mean, difference = (ctf.defocus_u + ctf.defocus_v) / 2, ctf.defocus_u - ctf.defocus_v
    for values, low, high in ((mean, 9e3, 12e3), (difference, 0, 200), (shift, -9, 9)):
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high
    assert math.isclose(mean.mean().item(), 10500, rel_tol=0.03)


@pytest.mark.parametrize("defocus", [(2.0, 1.0), (math.nan, 1.0), (0.0, math.inf)])
def test_a_defocus_range_must_ascend(defocus):
    with pytest.raises(ValueError, match="two ascending values, got"):
        SimulationOptions(defocus=defocus)
