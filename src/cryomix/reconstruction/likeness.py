"""Whether a map shows what the particles themselves show, rebuilt from some of them."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from cryomix.imaging.correlation import shell_correlation, shell_power, shell_sizes
from cryomix.imaging.particles import Particles, in_two_halves, working_grid
from cryomix.imaging.volume import Volume, crop_volume
from cryomix.reconstruction.backprojection import reconstruct
from cryomix.reconstruction.resolution import HalfMaps, average

_PADDING = 1.5
_FIRST_SHELL = 3  # coarser ones are alike in all compact molecules
_SEEN = 0.3  # FSC of half maps, up to which a shell is compared
_LEAST_SHELLS = 3
_EMPTY = 1e-8  # of the strongest shell's power: filtered away
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Likeness:
    """How much of what the particles show is in a map.

    Attributes
    ----------
    share
        FSC of the map and one rebuilt from the particles over the FSC that the half maps of the
        latter let expect with the true map; mean over shells, weighted by their size. 1 if the
        map is of these particles; NaN if too few shells can be compared.
    error
        Of `share`, by dividing the particles into parts.
    shells
        How many were compared.
    resolution
        Of the finest of them, Å.
    particles
        How many went into the map.
    """

    share: float
    error: float
    shells: int
    resolution: float
    particles: int


def rebuild(particles: Particles, index: Int64[Tensor, "chosen"], resolution: float) -> HalfMaps:
    """Half maps of the particles at `index`, sampled for `resolution` Å."""
    grid = working_grid(particles, resolution)
    return reconstruct(in_two_halves(particles, index), index, grid=grid, padding=_PADDING)


def compare_with_own(halves: HalfMaps, volume: Volume, particles: int) -> Likeness:
    """How much of what `halves` of so many particles show is in `volume`, of the same box."""
    own = average(halves)
    known = crop_volume(volume, own.box_size)
    half_fsc = shell_correlation(halves.first, halves.second).clamp(0, 1)
    last = _last_shell(half_fsc, known)
    shells = torch.arange(_FIRST_SHELL, max(last + 1, _FIRST_SHELL))
    length = own.box_size * own.voxel_size
    if len(shells) < _LEAST_SHELLS:
        return Likeness(math.nan, math.nan, len(shells), length / max(last, 1), particles)
    size = shell_sizes(own.box_size)[shells]
    # Rosenthal & Henderson (2003): what a map and the truth without noise have in common.
    both, one = (2 * half_fsc / (1 + half_fsc)).sqrt(), half_fsc.sqrt()

    def share(measured: Volume, expected: Float[Tensor, "shells"]) -> float:
        found = shell_correlation(measured, known)[shells]
        return float((size * found).sum() / (size * expected[shells]).sum())

    error = abs(share(halves.first, one) - share(halves.second, one)) / 2
    return Likeness(share(own, both), error, len(shells), length / last, particles)


def _last_shell(half_fsc: Float[Tensor, "shells"], known: Volume) -> int:
    """The last shell up to which both the particles and the map show something."""
    power = shell_power(known) / shell_sizes(known.box_size)
    seen = (half_fsc >= _SEEN) & (power > _EMPTY * power.max())
    missing = (~seen[1:]).nonzero()
    return int(missing[0]) if len(missing) else len(half_fsc) - 1
