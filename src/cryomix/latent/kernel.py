"""How much each particle counts for the state at a point of the latent space."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

_FEWEST = 100  # effective particles of the narrowest kernel
_EXACT = "donot_use_mm_for_euclid_dist"  # products of matrices would round small distances


@dataclass(frozen=True, slots=True)
class LatentKernel:
    """Latents in a metric of what images can tell apart.

    Attributes
    ----------
    latent
        Of each particle.
    root
        Square root of the mean inverse covariance of their errors: z @ root is in units of what
        an average image could tell apart.
    """

    latent: Float64[Tensor, "particles latent"]
    root: Float64[Tensor, "latent latent"]

    def square_distance(
        self, point: Float[Tensor, "states latent"], index: Int64[Tensor, "batch"] | None = None
    ) -> Float64[Tensor, "states batch"]:
        """Between each point and the latents of the particles at `index`, or of all."""
        latent = self.latent if index is None else self.latent[index]
        whitened = point.double() @ self.root, latent @ self.root
        return torch.cdist(*whitened, compute_mode=_EXACT).square()

    def fit_sizes(self, point: Float[Tensor, "latent"], sizes: Sequence[float]) -> "KernelSizes":
        """The kernels around `point` that are worth these numbers of particles."""
        distance = self.square_distance(point[None])[0]
        sharpness = sharpness_of(distance, sizes)
        weights = ((1 - distance * slope).clamp_min(0) for slope in sharpness)
        effective = torch.tensor([effective_number(weight) for weight in weights])
        return KernelSizes(sharpness, effective.double())


@dataclass(frozen=True, slots=True)
class KernelSizes:
    """Weights max(0, 1 − u q) of the particles at square distances q from one state.

    Attributes
    ----------
    sharpness
        u of each kernel.
    effective
        Effective number of particles of each.
    """

    sharpness: Float64[Tensor, "sizes"]
    effective: Float64[Tensor, "sizes"]


def fit_kernel(
    latent: Float[Tensor, "particles latent"],
    covariance: Float[Tensor, "particles latent latent"],
) -> LatentKernel:
    """The metric of latents whose errors have the given covariances."""
    latent, covariance = latent.double(), covariance.double()
    # A floor, because one error that is said to be zero would make all others infinite.
    floor = 1e-6 * latent.var(dim=0).mean().clamp_min(1e-12)
    covariance = covariance + floor * torch.eye(latent.shape[1]).to(covariance)
    precision = torch.linalg.inv(covariance).mean(dim=0)
    return LatentKernel(latent, torch.linalg.cholesky(precision))


def kernel_sizes(particles: int) -> list[float]:
    """Effective numbers of particles of the kernels to choose from, each twice the one before.

    The last is all particles; the first at least 100, or a quarter of all where these are few.
    """
    fewest = min(_FEWEST, particles / 4)
    steps = int(np.log2(particles / fewest))
    return [particles / 2**step for step in range(steps, -1, -1)]


def effective_number(weight: Float[Tensor, "particles"]) -> float:
    """(Σw)² / Σw²: as many particles of equal weight would have as much noise."""
    weight = weight.double()
    return float(weight.sum() ** 2 / weight.square().sum().clamp_min(1e-300))


def sharpness_of(
    square_distance: Float[Tensor, "particles"], sizes: Sequence[float]
) -> Float64[Tensor, "sizes"]:
    """The slopes u of the weights max(0, 1 − u q) that give these effective numbers.

    q are square distances. Of all weights with as much noise, these have the least bias, if the
    bias that a particle brings in grows as q. 0, equal weights, where all particles are wanted.
    """
    q = square_distance.double().sort().values.numpy()
    count = np.arange(1.0, len(q) + 1)
    first, second = np.cumsum(q), np.cumsum(q**2)
    # The effective number when the kernel just reaches the particle after the first `count`.
    edge = np.append(q[1:], np.inf)
    slope = 1 / np.maximum(edge, 1e-9 * (q.mean() or 1))  # distances may be 0
    total = count - slope * first
    reached = total**2 / np.maximum(count - 2 * slope * first + slope**2 * second, 1e-300)
    reached = np.maximum.accumulate(reached)
    found = []
    for size in sizes:
        at = min(int(np.searchsorted(reached, min(size, len(q)))), len(q) - 1)
        sums = float(count[at]), float(first[at]), float(second[at])
        found.append(_slope_between(sums, size))
    return torch.tensor(found, dtype=torch.float64)


def _slope_between(sums: tuple[float, float, float], size: float) -> float:
    """The root of (k − u S₁)² = n (k − 2 u S₁ + u² S₂): a quadratic in u.

    `sums` are those of 1, q and q² over the k particles that the kernel reaches.
    """
    count, first, second = sums
    excess = count * max(count - size, 0.0)
    linear = first * max(count - size, 0.0)
    root = np.sqrt(max(linear**2 - (first**2 - size * second) * excess, 0.0))
    return float(excess / (linear + root)) if linear + root > 0 else 0.0
