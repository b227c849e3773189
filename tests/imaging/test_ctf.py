"""The CTF against RELION's formula, typed again in NumPy."""

import math

import numpy as np
import pytest
import torch

from cryomix.geometry.fourier import FourierGrid
from cryomix.imaging.ctf import Ctf, electron_wavelength, evaluate_ctf


def one_ctf(u, v, angle=0.0, kv=300.0, cs=2.7, contrast=0.1, phase=0.0):
    values = (u, v, angle, kv, cs, contrast, phase)
    return Ctf(*(torch.tensor([value], dtype=torch.float64) for value in values))


def relion_ctf(x, y, u, v, angle, kv, cs, contrast, phase):
    """ctf.h of RELION: K1 … K5, sign included (its getCTF returns −sin(…) of a negative phase)."""
    wavelength = 12.2643247 / math.sqrt(kv * 1e3 * (1.0 + kv * 1e3 * 0.978466e-6))
    k1 = math.pi / 2 * 2 * wavelength
    k2 = math.pi / 2 * cs * 1e7 * wavelength**3
    k3 = math.atan(contrast / math.sqrt(1 - contrast**2))
    k5 = math.radians(phase)
    average, deviation = -(u + v) * 0.5, -(u - v) * 0.5
    u2 = x * x + y * y
    defocus = average + deviation * np.cos(2 * (np.arctan2(y, x) - math.radians(angle)))
    return -np.sin(k1 * defocus * u2 + k2 * u2 * u2 - k5 - k3)


@pytest.mark.parametrize(
    "parameters",
    [
        (15000.0, 14000.0, 30.0, 300.0, 2.7, 0.1, 0.0),
        (9000.0, 12000.0, -70.0, 200.0, 2.0, 0.07, 0.0),  # defocus_u < defocus_v is legal
        (500.0, 500.0, 0.0, 120.0, 6.3, 0.2, 90.0),  # phase plate
        (-3000.0, -2500.0, 120.0, 300.0, 0.01, 0.0, 0.0),  # overfocus
    ],
)
@pytest.mark.parametrize("box_size", [32, 33])
def test_values_equal_the_formula_of_relion(parameters, box_size):
    grid = FourierGrid(box_size, 1.5)
    values = evaluate_ctf(one_ctf(*parameters), grid)[0].numpy()
    y, x = np.meshgrid(grid.frequency_y.numpy(), grid.frequency_x.numpy(), indexing="ij")
    np.testing.assert_allclose(values, relion_ctf(x, y, *parameters), atol=1e-9)


def test_swapping_u_and_v_is_a_quarter_turn():
    grid = FourierGrid(24, 2.0)
    one = evaluate_ctf(one_ctf(20000.0, 15000.0, 25.0), grid)
    other = evaluate_ctf(one_ctf(15000.0, 20000.0, 115.0), grid)
    torch.testing.assert_close(one, other)


def test_defocus_u_lies_along_its_angle():
    """At 90° from x, the strong defocus acts on y: the first zero comes at a lower frequency."""
    grid = FourierGrid(256, 2.0)
    values = evaluate_ctf(one_ctf(30000.0, 10000.0, 90.0, contrast=0.0), grid)[0]
    along_x, along_y = values[0, 1:], values[1:128, 0]
    assert (along_y < 0).nonzero()[0] < (along_x < 0).nonzero()[0]


def test_low_resolution_is_positive_for_underfocus():
    values = evaluate_ctf(one_ctf(15000.0, 15000.0), FourierGrid(64, 4.0))[0]
    assert values[0, 0] == pytest.approx(0.1)
    assert (values[0, :4] > 0).all()
    assert values[0, 3] > values[0, 1]


def test_first_zero_is_where_the_phase_is_pi():
    """Without Cs and amplitude contrast, λ·df·k² = 1: 1.97 pm and 2 µm give 19.8 Å."""
    wavelength = float(electron_wavelength(torch.tensor(300.0, dtype=torch.float64)))
    assert wavelength == pytest.approx(0.019687, rel=1e-4)
    resolution = math.sqrt(wavelength * 20000)
    grid = FourierGrid(1024, 1.0)
    values = evaluate_ctf(one_ctf(20000.0, 20000.0, cs=0.0, contrast=0.0), grid)[0, 0]
    crossing = int((values[1:] < 0).nonzero()[0]) + 1
    assert grid.frequency_x[crossing - 1] <= 1 / resolution <= grid.frequency_x[crossing]


def test_each_particle_has_its_own_transfer(make_ctf, unchanged):
    ctf = make_ctf(4)
    grid = FourierGrid(16, 3.0)
    with unchanged(ctf):
        together = evaluate_ctf(ctf, grid)
    assert len(ctf) == 4
    torch.testing.assert_close(together[2:3], evaluate_ctf(ctf[2:3], grid))
    torch.testing.assert_close(together[[3, 1]], evaluate_ctf(ctf[torch.tensor([3, 1])], grid))
    assert not torch.allclose(together[0], together[1])
