"""Noise and signal per ring, estimated from the particles themselves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid, sum_over_rings
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.particles import ParticleBatch
from cryomix.imaging.projection import project_gaussians
from cryomix.processes import sum_over_processes

_SCALE_VARIANCE = (0.05**2, 1.0)  # least and most that is believed


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
    scale_variance
        By how much single images are stronger or weaker than `gain` says: variance of their
        scale about 1.
    """

    gain: Float[Tensor, "rings"]
    noise: Float[Tensor, "rings"]
    signal_to_noise: Float[Tensor, "rings"]
    scale_variance: Float[Tensor, ""]


def estimate_spectrum(
    model: GaussianModel, batches: Iterable[ParticleBatch], grid: FourierGrid
) -> Spectrum:
    """Regress the images on the CTF-weighted projections of `model`, ring by ring.

    Image = scale · gain · CTF · projection + noise; least squares over all coefficients of a ring,
    with a scale of 1 on average. In a run of many processes each gives its share of the batches,
    and all get the same spectrum.
    """
    nothing = torch.zeros(0, grid.n_rings, dtype=torch.float64, device=grid.device)
    single = [(nothing, nothing)]  # of each image, to tell how its scale differs
    sums = torch.zeros(3, grid.n_rings, dtype=torch.float64, device=grid.device)
    count = torch.zeros((), dtype=torch.float64, device=grid.device)
    for batch in batches:
        expected = project_gaussians(model, batch.poses, grid) * batch.transfer
        terms = [
            (batch.image_ft * expected.conj()).real,
            expected.abs().square(),
            batch.image_ft.abs().square(),
        ]
        cross, power, total = (sum_over_rings(term, grid).double() for term in terms)
        single.append((cross, power))
        sums += torch.stack([cross.sum(0), power.sum(0), total.sum(0)])
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
    variance = _scale_variance(single, gain, noise)
    return Spectrum(gain.float(), noise.float(), signal_to_noise.float(), variance.float())


def _scale_variance(
    single: Sequence[tuple[Float64[Tensor, "_ rings"], Float64[Tensor, "_ rings"]]],
    gain: Float64[Tensor, "rings"],
    noise: Float64[Tensor, "rings"],
) -> Float64[Tensor, ""]:
    """From how much Σ image · projection scatters about Σ projection² more than noise lets it."""
    cross = torch.cat([cross for cross, _ in single])[:, 1:] @ (gain / noise)[1:]
    power = torch.cat([power for _, power in single])[:, 1:] @ (gain.square() / noise)[1:]
    excess, weight = ((cross - power).square() - power).sum(), power.square().sum()
    sum_over_processes([excess, weight])
    return (excess / weight.clamp_min(1e-30)).clamp(*_SCALE_VARIANCE)
