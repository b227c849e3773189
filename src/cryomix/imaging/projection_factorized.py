"""The projection as one matrix product per image: exact, on any device, in any precision."""

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.placement import place_gaussians


def project_gaussians_factorized(
    model: GaussianModel, poses: Poses, grid: FourierGrid
) -> Complex[Tensor, "particles rows columns"]:
    """Fourier transform of the line integral of `model` seen from each pose.

    Notes
    -----
    An isotropic Gaussian factorises into x and y, so the sum over Gaussians is one
    matrix product, (rows × N) @ (N × columns), instead of rows · columns · N exponentials.
    Its two factors take memory that grows with N × box × particles.
    """
    placed = place_gaussians(model, poses, grid)
    factor_x = _gaussian_factor(placed.x, placed.width, grid.frequency_x.to(placed.x))
    factor_y = _gaussian_factor(placed.y, placed.width, grid.frequency_y.to(placed.y))
    return (factor_y * placed.mass[..., None]).mT @ factor_x


def _gaussian_factor(
    position: Float[Tensor, "particles gaussians"],
    width: Float[Tensor, "particles gaussians"],
    frequency: Float[Tensor, "samples"],
) -> Complex[Tensor, "particles gaussians samples"]:
    phase = -2 * math.pi * position[..., None] * frequency
    decay = -2 * (math.pi * width[..., None] * frequency) ** 2
    return torch.exp(torch.complex(decay, phase))
