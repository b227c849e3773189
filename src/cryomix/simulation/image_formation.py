"""Simulated images, made when they are read."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid, to_fourier, to_real
from cryomix.geometry.poses import Poses
from cryomix.imaging.ctf import Ctf, evaluate_ctf
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.projection import project_gaussians

_BATCH = 100
_ENOUGH = 4096  # images whose mean and variance stand for those of all


@dataclass(frozen=True, slots=True)
class MemoryStack:
    """Images held in memory."""

    image: Float[Tensor, "particles n n"]

    def __len__(self) -> int:
        return len(self.image)

    def read(self, index: Int[Tensor, "batch"]) -> Float[Tensor, "batch n n"]:
        """The images at `index`, in that order."""
        return self.image[index]


@dataclass(frozen=True, slots=True)
class SimulatedStack:
    """Images that are projected, and given their noise, each time they are read.

    Attributes
    ----------
    states
        One model per state.
    state
        Which of them each image shows.
    poses, ctf
        As they are in the images.
    grid
        Sampling of the images.
    noise_seed
        Seed of the noise of each image, so that it is the same in whatever batch.
    noise_power
        Of each ring, relative; None for white noise.
    noise
        Standard deviation of the noise, in units of the projections.
    mean, scale
        What is taken off and divided by, so that all images together have mean 0, variance 1.
    """

    states: GaussianModel
    state: Int64[Tensor, "particles"]
    poses: Poses
    ctf: Ctf
    grid: FourierGrid
    noise_seed: Int64[Tensor, "particles"]
    noise_power: Float[Tensor, "rings"] | None = None
    noise: float = 0.0
    mean: float = 0.0
    scale: float = 1.0

    def __len__(self) -> int:
        return len(self.state)

    def read(self, index: Int[Tensor, "batch"]) -> Float[Tensor, "batch n n"]:
        """The images at `index`, in that order, float32."""
        n = self.grid.box_size
        image = torch.empty(len(index), n, n)
        for place in torch.arange(len(index)).split(_BATCH):
            image[place] = self._signal(index[place]) + self._noise(index[place])
        return (image - self.mean) / self.scale

    def with_noise(self, snr: float) -> "SimulatedStack":
        """The same images with noise of `snr` times less variance than the signal, standardised."""
        some = torch.linspace(0, len(self) - 1, min(len(self), _ENOUGH)).round().long()
        signal = [self._signal(part) for part in some.split(_BATCH)]
        mean = sum(float(image.double().sum()) for image in signal)
        square = sum(float(image.double().square().sum()) for image in signal)
        count = len(some) * self.grid.box_size**2
        variance = square / count - (mean / count) ** 2
        scale = math.sqrt(variance * (1 + 1 / snr))
        return replace(self, noise=math.sqrt(variance / snr), mean=mean / count, scale=scale)

    def _signal(self, index: Int[Tensor, "batch"]) -> Float[Tensor, "batch n n"]:
        model = self.states[self.state[index]]
        projection = project_gaussians(model, self.poses[index], self.grid)
        return to_real(projection * evaluate_ctf(self.ctf[index], self.grid))

    def _noise(self, index: Int[Tensor, "batch"]) -> Float[Tensor, "batch n n"]:
        n = self.grid.box_size
        noise = torch.empty(len(index), n, n)
        generator = torch.Generator()
        for image, seed in zip(noise, self.noise_seed[index].tolist(), strict=True):
            torch.randn(n, n, generator=generator.manual_seed(seed), out=image)
        if self.noise_power is not None:
            noise = to_real(to_fourier(noise) * _coloring(self.noise_power, self.grid))
        return self.noise * noise


def spread_over_rings(
    power: Float[Tensor, "measured"], grid: FourierGrid
) -> Float[Tensor, "rings"]:
    """A spectrum measured on images of another box, by the same fractions of Nyquist."""
    position = torch.linspace(0, len(power) - 1, grid.n_rings, dtype=torch.float64)
    low = position.floor().long().clamp_max(len(power) - 2)
    return torch.lerp(power[low].double(), power[low + 1].double(), position - low).float()


def _coloring(power: Float[Tensor, "rings"], grid: FourierGrid) -> Float[Tensor, "rows columns"]:
    """What white noise is multiplied by to have `power` and keep its variance."""
    # The corners lie beyond Nyquist, where nothing was measured.
    spread = power[grid.ring.clamp_max(grid.n_rings - 1)]
    mean = (spread * grid.multiplicity).sum() / grid.multiplicity.sum()
    return (spread / mean).sqrt()
