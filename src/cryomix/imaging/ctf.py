"""The contrast transfer function of the microscope."""

import math
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid


@dataclass(frozen=True, slots=True)
class Ctf:
    """Contrast transfer of each particle.

    Attributes
    ----------
    defocus_u, defocus_v
        Defocus along the two axes of the astigmatism, Å, underfocus positive.
    defocus_angle_deg
        Direction of `defocus_u`, degrees counter-clockwise from x (RELION's sense).
    voltage_kv, spherical_aberration_mm, amplitude_contrast, phase_shift_deg
        Of the microscope; amplitude contrast is a fraction.
    """

    defocus_u: Float[Tensor, "particles"]
    defocus_v: Float[Tensor, "particles"]
    defocus_angle_deg: Float[Tensor, "particles"]
    voltage_kv: Float[Tensor, "particles"]
    spherical_aberration_mm: Float[Tensor, "particles"]
    amplitude_contrast: Float[Tensor, "particles"]
    phase_shift_deg: Float[Tensor, "particles"]

    def __len__(self) -> int:
        return len(self.defocus_u)

    def __getitem__(self, index: slice | Tensor) -> "Ctf":
        return Ctf(*(getattr(self, field.name)[index] for field in fields(self)))


def evaluate_ctf(ctf: Ctf, grid: FourierGrid) -> Float[Tensor, "particles rows columns"]:
    """CTF = sin(χ + asin(amplitude contrast)), χ = πλ·df·k² − ½π·Cs·λ³k⁴ + phase shift.

    Positive at low resolution for underfocus and white protein, as RELION's ``ctf.cpp``.
    """
    return torch.sin(evaluate_phase(ctf, grid))


def evaluate_phase(ctf: Ctf, grid: FourierGrid) -> Float[Tensor, "particles rows columns"]:
    """χ + asin(amplitude contrast), radians, whose sine is the CTF; linear in the defocus."""
    dtype, device = ctf.defocus_u.dtype, ctf.defocus_u.device
    k_x, k_y = grid.frequency_x.to(device, dtype), grid.frequency_y.to(device, dtype)
    k_squared = grid.radius.to(device, dtype).square()

    def column(values: Tensor) -> Tensor:
        return values[:, None, None]

    wavelength = column(electron_wavelength(ctf.voltage_kv))
    angle = column(torch.deg2rad(ctf.defocus_angle_deg))
    azimuth = torch.atan2(k_y[:, None], k_x[None, :])
    mean = column((ctf.defocus_u + ctf.defocus_v) / 2)
    half_difference = column((ctf.defocus_u - ctf.defocus_v) / 2)
    defocus = mean + half_difference * torch.cos(2 * (azimuth - angle))
    aberration = column(ctf.spherical_aberration_mm * 1e7)  # mm to Å
    phase = (
        math.pi
        * wavelength
        * k_squared
        * (defocus - 0.5 * aberration * wavelength.square() * k_squared)
    )
    offset = torch.deg2rad(ctf.phase_shift_deg) + torch.asin(ctf.amplitude_contrast)
    return phase + column(offset)


def electron_wavelength(voltage_kv: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Relativistic wavelength of the electrons, Å (RELION's constants)."""
    volt = voltage_kv * 1e3
    return 12.2643247 / torch.sqrt(volt * (1 + 0.978466e-6 * volt))
