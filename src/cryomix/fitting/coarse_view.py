"""The same particles at a lower resolution, for searches that need no detail."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from cryomix.fitting.score import Metric
from cryomix.geometry.fourier import crop_fourier
from cryomix.imaging.particles import ParticleBatch

_LEAST_BOX = 96  # below, too little would be left, and projections cost little
_LEAST_LIMITED = 16  # pixels
_BEYOND = 1.25  # Nyquist frequency of a limited view, times that of its last ring


def coarse_view(batch: ParticleBatch, metric: Metric) -> tuple[ParticleBatch, Metric]:
    """`batch` and the ``snr`` score `metric`, limited to half of the frequencies.

    Scores are what the score over these frequencies would be on the full grid. Small boxes stay
    as they are.
    """
    box_size = metric.grid.box_size
    if box_size < _LEAST_BOX:
        return batch, metric
    return cropped_view(batch, metric, 2 * (box_size // 4))


def limited_view(
    batch: ParticleBatch, metric: Metric, last_ring: int
) -> tuple[ParticleBatch, Metric]:
    """`batch` and the ``snr`` score `metric` up to `last_ring`, on as coarse a grid as will do."""
    box_size = min(max(2 * math.ceil(_BEYOND * last_ring), _LEAST_LIMITED), metric.grid.box_size)
    batch, metric = cropped_view(batch, metric, box_size)
    weight = torch.where(metric.grid.ring <= last_ring, metric.weight, 0.0)
    return batch, replace(metric, last_ring=min(last_ring, metric.last_ring), weight=weight)


def cropped_view(
    batch: ParticleBatch, metric: Metric, box_size: int
) -> tuple[ParticleBatch, Metric]:
    """`batch` and the ``snr`` score `metric` on a grid of an even `box_size`."""
    grid = metric.grid
    if box_size == grid.box_size:
        return batch, metric
    coarse = replace(grid, box_size=box_size, pixel_size=grid.box_length / box_size)
    scale = (box_size / grid.box_size) ** 2  # of all transforms on the coarse grid
    last_ring = min(metric.last_ring, box_size // 2 - 1)
    central = _central(metric.weight, box_size)
    weight = torch.where(coarse.ring <= last_ring, central, 0.0) / scale**2
    seen = ParticleBatch(
        crop_fourier(batch.image_ft, box_size),
        _central(batch.transfer, box_size),
        batch.poses,
        batch.index,
    )
    gain = _central(metric.gain, box_size)
    return seen, replace(metric, grid=coarse, last_ring=last_ring, gain=gain, weight=weight)


def _central(values: Tensor, box_size: int) -> Tensor:
    """The frequencies of a smaller box, rows in FFT order."""
    upper, lower = values[..., : box_size // 2, :], values[..., -(box_size // 2) :, :]
    return torch.cat([upper, lower], dim=-2)[..., : box_size // 2 + 1]
