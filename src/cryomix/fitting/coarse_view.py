"""The same particles at half the resolution, for searches that need no detail."""

from dataclasses import replace

import torch
from torch import Tensor

from cryomix.fitting.score import Metric
from cryomix.geometry.fourier import crop_fourier
from cryomix.imaging.particles import ParticleBatch

_LEAST_BOX = 96  # below, too little would be left, and projections cost little


def coarse_view(batch: ParticleBatch, metric: Metric) -> tuple[ParticleBatch, Metric]:
    """`batch` and the ``snr`` score `metric`, limited to half of the frequencies.

    Scores are what the score over these frequencies would be on the full grid. Small boxes stay
    as they are.
    """
    grid = metric.grid
    if grid.box_size < _LEAST_BOX:
        return batch, metric
    half = 2 * (grid.box_size // 4)
    coarse = replace(grid, box_size=half, pixel_size=grid.box_length / half)
    scale = (half / grid.box_size) ** 2  # of all transforms on the coarse grid
    last_ring = min(metric.last_ring, half // 2 - 1)
    weight = torch.where(coarse.ring <= last_ring, _central(metric.weight, half), 0.0) / scale**2
    seen = ParticleBatch(
        crop_fourier(batch.image_ft, half), _central(batch.transfer, half), batch.poses, batch.index
    )
    gain = _central(metric.gain, half)
    return seen, replace(metric, grid=coarse, last_ring=last_ring, gain=gain, weight=weight)


def _central(values: Tensor, box_size: int) -> Tensor:
    """The frequencies of a smaller box, rows in FFT order."""
    upper, lower = values[..., : box_size // 2, :], values[..., -(box_size // 2) :, :]
    return torch.cat([upper, lower], dim=-2)[..., : box_size // 2 + 1]
