"""Noise and signal per ring, estimated from the particles themselves."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid, sum_over_rings
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.particles import ParticleBatch
from cryomix.imaging.projection import project_gaussians
from cryomix.processes import sum_over_processes


@dataclass(frozen=True, slots=True)
class Spectrum:
    """How strongly a model shows in the images, and the noise it is seen through.

    Attributes
    ----------
    gain
        Strength of the model's projections in the images; 0 where it cannot be told from 0.
    noise
        Mean squared noise of one Fourier coefficient, of images of variance 1.
    signal_to_noise
        Mean over the particles of the squared signal of one coefficient, CTF included, over
        its squared noise.
    """

    gain: Float[Tensor, "rings"]
    noise: Float[Tensor, "rings"]
    signal_to_noise: Float[Tensor, "rings"]


def estimate_spectrum(
    model: GaussianModel, batches: Iterable[ParticleBatch], grid: FourierGrid
) -> Spectrum:
    """Regress the images on the CTF-weighted projections of `model`, ring by ring.

    Image = gain · CTF · projection + noise; least squares over all coefficients of a ring. In a
    run of many processes each gives its share of the batches, and all get the same spectrum.
    """
    sums = torch.zeros(3, grid.n_rings, dtype=torch.float64, device=grid.device)
    count = torch.zeros((), dtype=torch.float64, device=grid.device)
    for batch in batches:
        expected = project_gaussians(model, batch.poses, grid) * batch.transfer
        terms = [
            (batch.image_ft * expected.conj()).real,
            expected.abs().square(),
            batch.image_ft.abs().square(),
        ]
        sums += torch.stack([sum_over_rings(term, grid).double().sum(0) for term in terms])
        count += len(batch)
    sum_over_processes([sums, count])
    cross, power, total = sums
    ones = torch.ones(grid.box_size, grid.half_size, dtype=torch.float64, device=grid.device)
    coefficients = count * sum_over_rings(ones, grid)
    gain = cross / power.clamp_min(1e-30)
    noise = (total - gain.square() * power) / coefficients
    # The error of the gain is sqrt(noise / power): below three of them there is no signal.
    unseen = cross < 3 * (noise.clamp_min(0) * power).sqrt()
    gain = torch.where(unseen, 0.0, gain)
    noise = noise.clamp_min(1e-6 * total.sum() / coefficients.sum())
    signal_to_noise = gain.square() * power / coefficients / noise
    return Spectrum(gain.float(), noise.float(), signal_to_noise.float())
