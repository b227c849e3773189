"""How well a projection explains a particle."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid
from cryomix.imaging.correlation import ring_correlation
from cryomix.imaging.noise import Spectrum
from cryomix.imaging.particles import ParticleBatch
from cryomix.imaging.products import likelihood_products


@dataclass(frozen=True, slots=True)
class Metric:
    """What is compared, and with which weight.

    Attributes
    ----------
    kind
        ``snr``: log-likelihood gained over an empty image, in nats, with the best scale for
        each particle: ½ cross²/power of the whitened image and the whitened, CTF-weighted
        projection. ``flat``: the paper's mean FRC with the phase-flipped image.
    grid
        Sampling of the images.
    first_ring, last_ring
        The band compared, both included.
    gain, weight
        Per coefficient: strength of the projections, and multiplicity over noise.
    """

    kind: Literal["snr", "flat"]
    grid: FourierGrid
    first_ring: int
    last_ring: int
    gain: Float[Tensor, "rows columns"]
    weight: Float[Tensor, "rows columns"]


def make_metric(
    kind: Literal["snr", "flat"], spectrum: Spectrum, grid: FourierGrid, resolution: float
) -> Metric:
    """The score over the rings from 1 to `resolution` Å."""
    last_ring = grid.ring_of(resolution)
    ring = grid.ring.clamp_max(grid.n_rings - 1)
    band = (grid.ring >= 1) & (grid.ring <= last_ring)
    weight = torch.where(band, grid.multiplicity / spectrum.noise[ring], 0.0)
    return Metric(kind, grid, 1, last_ring, spectrum.gain[ring], weight)


def score_projections(
    projection: Complex[Tensor, "batch rows columns"], batch: ParticleBatch, metric: Metric
) -> Float[Tensor, "batch"]:
    """One score per particle, higher is better."""
    if metric.kind == "flat":
        flipped = batch.image_ft * batch.transfer.sign()
        frc = ring_correlation(projection, flipped, metric.grid)
        return frc[:, metric.first_ring : metric.last_ring + 1].mean(-1)
    # Half the sum over the full plane is the sum over independent coefficients.
    cross, power = likelihood_products(
        batch.image_ft, projection, batch.transfer, metric.gain, metric.weight
    )
    # A negative best scale would be a particle of inverted contrast: worse than no particle.
    return 0.5 * cross * cross.abs() / power.clamp_min(1e-12)
