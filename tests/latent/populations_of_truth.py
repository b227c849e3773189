"""Latents of particles whose true places are known, each with an error of its own."""

import math

import torch


def two_wells(count: int, seed: int) -> torch.Tensor:
    """Places from 0 to 1: three quarters around 0.3, one around 0.72."""
    generator = torch.Generator().manual_seed(seed)
    left = torch.rand(count, generator=generator) < 0.75
    place = torch.where(left, 0.3, 0.72) + 0.07 * torch.randn(count, generator=generator)
    return place.clamp(0, 1).double()


def on_line(place: torch.Tensor) -> torch.Tensor:
    return torch.stack([2 * place - 1, 0 * place], dim=1)


def on_ring(place: torch.Tensor) -> torch.Tensor:
    angle = 2 * math.pi * place
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def posteriors(true: torch.Tensor, error: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Means and covariances under the prior that training takes; sizes and directions vary."""
    generator = torch.Generator().manual_seed(seed)
    count = len(true)
    angle = math.pi * torch.rand(count, generator=generator).double()
    along = torch.stack([angle.cos(), angle.sin()], dim=1)
    size = error * torch.exp(0.5 * torch.randn(count, generator=generator).double())
    noise = 1.3 * along[:, :, None] * along[:, None, :] + 0.2 * torch.eye(2).double()
    noise = size[:, None, None].square() * noise
    draw = torch.randn(count, 2, 1, generator=generator).double()
    seen = true + (torch.linalg.cholesky(noise) @ draw)[..., 0]
    prior, precision = torch.linalg.inv(2 * torch.cov(seen.mT)), torch.linalg.inv(noise)
    covariance = torch.linalg.inv(precision + prior)
    pull = precision @ seen[..., None] + (prior @ seen.mean(0))[:, None]
    return (covariance @ pull)[..., 0].float(), covariance.float()
