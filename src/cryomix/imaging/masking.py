"""Soft masks around a molecule."""

import math

import numpy as np
import torch
from scipy import ndimage

from cryomix.imaging.volume import Volume, low_pass

_ENCLOSED = 0.8  # of the density, by its contour


def soft_mask(volume: Volume, resolution: float) -> Volume:
    """A mask around the molecule in `volume`, 1 inside, falling to 0 over `resolution` Å.

    The map is filtered to twice `resolution` (at least 20 Å). What exceeds both 5 % of the
    maximum and four standard deviations of the solvent counts as molecule, but for parts
    smaller than a fiftieth of the largest. The rim lies half of `resolution` outside of it.
    """
    smooth = low_pass(volume, max(2 * resolution, 20.0)).density.double().numpy()
    threshold = max(0.05 * float(smooth.max()), 4 * _solvent_deviation(smooth))
    inside = _without_specks(smooth > threshold)
    distance = ndimage.distance_transform_edt(~inside) * volume.voxel_size
    rim = np.clip((distance - 0.5 * resolution) / resolution, 0, 1)
    density = torch.from_numpy(0.5 + 0.5 * np.cos(math.pi * rim)).float()
    return Volume(density, volume.voxel_size, volume.origin)


def apply_mask(volume: Volume, mask: Volume) -> Volume:
    """`volume` with the mean density of its surroundings where `mask` is 0."""
    outside = 1 - mask.density
    level = float((volume.density * outside).sum() / outside.sum().clamp_min(1e-6))
    density = (volume.density - level) * mask.density
    return Volume(density, volume.voxel_size, volume.origin)


def contour_level(volume: Volume) -> float:
    """The level above which four fifths of the density lie that is positive and no solvent.

    Solvent is what stays below 5 % of the maximum.
    """
    value = volume.density.double().flatten()
    value = value[value > 0.05 * value.max()].sort(descending=True).values
    if not len(value):
        raise ValueError("a map without positive density has no contour")
    enclosed = value.cumsum(0) >= _ENCLOSED * value.sum()
    return float(value[int(enclosed.double().argmax())])


def _solvent_deviation(density: np.ndarray) -> float:
    """Spread of the voxels at the rim of the inscribed sphere, without outliers."""
    n = len(density)
    axis = np.arange(n) - n // 2
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    shell = density[(radius > 0.42 * n) & (radius < 0.5 * n)]
    return float(1.4826 * np.median(np.abs(shell - np.median(shell))))


def _without_specks(inside: np.ndarray) -> np.ndarray:
    label, count = ndimage.label(inside)
    if count == 0:
        return inside
    size = np.bincount(label.ravel())[1:]
    return np.isin(label, 1 + np.flatnonzero(size >= size.max() / 50))
