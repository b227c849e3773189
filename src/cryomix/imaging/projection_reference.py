"""The projection written as the formula reads. Slow; it defines what is correct."""

import math

import torch
from jaxtyping import Complex
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses
from cryomix.imaging.gaussians import GaussianModel


def project_gaussians_reference(
    model: GaussianModel, poses: Poses, grid: FourierGrid
) -> Complex[Tensor, "particles rows columns"]:
    """F(k) = Σⱼ mⱼ exp(−2π²σⱼ²|k|²) exp(−2πi k·(R cⱼ + t)), mⱼ = Aⱼ (2π)^{3/2} σⱼ³ / pixel²."""
    k_y, k_x = torch.meshgrid(grid.frequency_y, grid.frequency_x, indexing="ij")
    frequency = torch.stack([k_x, k_y], dim=-1).to(model.center)
    images = []
    for particle, (rotation, shift) in enumerate(zip(poses.rotation, poses.shift, strict=True)):
        seen = model[particle] if model.center.ndim == 3 else model
        view = seen.center @ rotation.T
        phase = -2 * math.pi * torch.einsum("yxk,nk->yxn", frequency, view[:, :2] + shift)
        decay = -2 * math.pi**2 * frequency.square().sum(-1)[..., None] * seen.width**2
        mass = seen.amplitude * (2 * math.pi) ** 1.5 * seen.width**3 / grid.pixel_size**2
        images.append((mass * torch.exp(torch.complex(decay, phase))).sum(-1))
    return torch.stack(images)
