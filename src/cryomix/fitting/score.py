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
        ``snr``: log-likelihood gained over an empty image, in nats, of the whitened image
        given the whitened, CTF-weighted projection times an unknown scale. ``flat``: the
        paper's mean FRC with the phase-flipped image.
    grid
        Sampling of the images.
    first_ring, last_ring
        The band compared, both included.
    gain, weight
        Per coefficient: strength of the projections, and multiplicity over noise.
    scale_variance
        Of the scales of single images about 1, their mean.
    """

    kind: Literal["snr", "flat"]
    grid: FourierGrid
    first_ring: int
    last_ring: int
    gain: Float[Tensor, "rows columns"]
    weight: Float[Tensor, "rows columns"]
    scale_variance: Float[Tensor, ""]


def make_metric(
    kind: Literal["snr", "flat"], spectrum: Spectrum, grid: FourierGrid, resolution: float
) -> Metric:
    """The score over the rings from 1 to `resolution` Å."""
    last_ring = grid.ring_of(resolution)
    ring = grid.ring.clamp_max(grid.n_rings - 1)
    band = (grid.ring >= 1) & (grid.ring <= last_ring)
    weight = torch.where(band, grid.multiplicity / spectrum.noise[ring], 0.0)
    return Metric(kind, grid, 1, last_ring, spectrum.gain[ring], weight, spectrum.scale_variance)


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
    return log_likelihood(cross, power, metric.scale_variance)


def log_likelihood(
    cross: Float[Tensor, "*batch"], power: Float[Tensor, "*batch"], variance: Float[Tensor, ""]
) -> Float[Tensor, "*batch"]:
    """Nats gained over an empty image, the scale of the image integrated out.

    `cross` is Σ image · projection, `power` Σ projection², both whitened, and the scale s has a
    normal distribution about 1 of `variance` v: the logarithm of the mean of
    exp(s · cross − ½ s² · power) over s is ½ (v cross² + 2 cross − power) / (1 + v power) −
    ½ log(1 + v power). With v = 0 it is that of a known scale, and with a very large v ½ cross² /
    power, that of the best scale, less the logarithm.
    """
    # Squared with its sign: a particle of inverted contrast is worse than no particle.
    gained = variance * cross * cross.abs() + 2 * cross - power
    widened = 1 + variance * power
    return 0.5 * gained / widened - 0.5 * widened.log()
