"""Whether particles, poses and a map agree, found by measuring and not by trusting headers."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid, sum_over_rings
from cryomix.geometry.poses import Poses
from cryomix.imaging.ctf import evaluate_ctf
from cryomix.imaging.particles import Particles, iterate_batches, working_grid
from cryomix.imaging.volume import Volume, project_volume, transform_volume

Rotation = Literal["as given", "transposed", "mirrored"]
Shift = Literal["as given", "opposite", "none"]
Phases = Literal["as given", "other"]

_BATCH = 64
_SURE = 4  # standard errors
_SHIFTS: tuple[tuple[Shift, float], ...] = (("as given", 1.0), ("opposite", -1.0), ("none", 0.0))
_MIRRORS = ((-1.0, 1.0, 1.0), (1.0, -1.0, 1.0), (1.0, 1.0, -1.0), (-1.0, -1.0, -1.0))


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read the metadata, and how well the map then fits the particles.

    Attributes
    ----------
    rotation
        ``transposed``: R stands for its inverse; ``mirrored``: the map has the other hand.
    shift
        ``opposite``: shifts have the other sign.
    phases
        ``other``: phases are flipped although the metadata deny it, or the reverse.
    correlation
        Whitened correlation of each image with the map's projection, CTF included; negative
        where the contrast is inverted.
    """

    rotation: Rotation
    shift: Shift
    phases: Phases
    correlation: Float[Tensor, "particles"]

    @property
    def mean(self) -> float:
        """Mean correlation."""
        return float(self.correlation.mean())

    @property
    def significance(self) -> float:
        """Mean correlation in units of its standard error."""
        return _significance(self.correlation)

    @property
    def inverted(self) -> bool:
        """Whether dark images would fit better."""
        return self.mean < 0

    def gain_over(self, other: "Reading") -> float:
        """How much better this fits, contrast aside, in standard errors of the paired difference.

        With `other` as the reading that was given, `other`'s contrast is not excused.
        """
        sign = -1.0 if self.inverted else 1.0
        return _significance(sign * self.correlation - other.correlation)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a map fits particles as the metadata say, and as they might have said.

    Attributes
    ----------
    readings
        The first is the one that was given.
    """

    readings: tuple[Reading, ...]

    @property
    def given(self) -> Reading:
        """As the metadata say."""
        return self.readings[0]

    @property
    def best(self) -> Reading:
        """The reading that fits best, which is the given one unless another is surely better."""
        strongest = max(self.readings, key=lambda reading: abs(reading.mean))
        return strongest if strongest.gain_over(self.given) > _SURE else self.given

    @property
    def is_related(self) -> bool:
        """Whether the map fits the particles at all, in the best of the readings."""
        return abs(self.best.significance) > _SURE


def measure_agreement(
    particles: Particles, volume: Volume, *, sample: int, resolution: float, seed: int = 0
) -> Agreement:
    """Compare `volume` with `sample` particles under every reading of their poses.

    Parameters
    ----------
    particles
        With poses and CTF as given.
    volume
        The consensus map.
    sample
        How many particles, drawn at random.
    resolution
        Finest detail compared, Å.
    seed
        Of the draw.
    """
    generator = torch.Generator().manual_seed(seed)
    index = torch.randperm(len(particles), generator=generator)[:sample].sort().values
    grid = working_grid(particles, resolution)
    batches = list(iterate_batches(particles, grid, index, _BATCH))
    image_ft = torch.cat([batch.image_ft for batch in batches])
    signed = evaluate_ctf(particles.ctf[index], grid)
    given, other = (signed, signed.abs())[:: -1 if particles.has_flipped_phases else 1]
    transfers: dict[Phases, Tensor] = {"as given": given, "other": other}
    weight = _whitening(image_ft, grid, grid.ring_of(resolution))
    poses = particles.poses[index]
    transform = transform_volume(volume)
    readings = []
    for rotation_name, rotation in _rotations(poses.rotation):
        centered = project_volume(transform, Poses(rotation, torch.zeros_like(poses.shift)), grid)
        for shift_name, sign in _SHIFTS:
            projection = centered * _shift_phase(sign * poses.shift, grid)
            for phases, transfer in transfers.items():
                correlation = _correlation(image_ft, projection * transfer, weight)
                readings.append(Reading(rotation_name, shift_name, phases, correlation))
    return Agreement(tuple(readings))


def _rotations(
    rotation: Float[Tensor, "particles 3 3"],
) -> Iterator[tuple[Rotation, Float[Tensor, "particles 3 3"]]]:
    yield "as given", rotation
    yield "transposed", rotation.mT.contiguous()
    for mirror in _MIRRORS:
        # A mirrored map seen by R is the map seen by R times the mirror.
        yield "mirrored", rotation * torch.tensor(mirror)


def _shift_phase(
    shift: Float[Tensor, "particles 2"], grid: FourierGrid
) -> Complex[Tensor, "particles rows columns"]:
    x = shift[:, 0, None, None] * grid.frequency_x.to(shift)
    y = shift[:, 1, None, None] * grid.frequency_y.to(shift)[:, None]
    phase = -2 * math.pi * (x + y)
    return torch.polar(torch.ones_like(phase), phase)


def _whitening(
    image_ft: Complex[Tensor, "particles rows columns"], grid: FourierGrid, last_ring: int
) -> Float[Tensor, "rows columns"]:
    """One over the mean power of each ring, from ring 2 to `last_ring`; zero elsewhere."""
    count = sum_over_rings(torch.ones_like(image_ft.real[0]), grid)
    power = sum_over_rings(image_ft.abs().square().mean(0), grid) / count
    weight = torch.where(power > 0, 1 / power.clamp_min(1e-30), 0.0)
    weight[:2], weight[last_ring + 1 :] = 0, 0
    ring = grid.ring.clamp_max(grid.n_rings - 1)
    return torch.where(grid.ring < grid.n_rings, weight[ring], 0.0) * grid.multiplicity


def _correlation(
    first: Complex[Tensor, "particles rows columns"],
    second: Complex[Tensor, "particles rows columns"],
    weight: Float[Tensor, "rows columns"],
) -> Float[Tensor, "particles"]:
    def total(values: Tensor) -> Tensor:
        return (values * weight).sum(dim=(-2, -1))

    power = total(first.abs().square()) * total(second.abs().square())
    return total((first * second.conj()).real) / power.sqrt().clamp_min(1e-30)


def _significance(values: Float[Tensor, "particles"]) -> float:
    error = float(values.std()) / math.sqrt(len(values))
    return float(values.mean()) / error if error > 0 else 0.0
