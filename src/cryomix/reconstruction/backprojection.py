"""Maps rebuilt from particles by CTF-weighted direct Fourier inversion."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Complex, Float, Int8, Int64
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid
from cryomix.imaging.correlation import shell_correlation
from cryomix.imaging.particles import ParticleBatch, Particles, iterate_batches
from cryomix.imaging.volume import Volume
from cryomix.processes import is_first_process, share_here, sum_on_first
from cryomix.reconstruction.insertion import divide_by_weight, insert_slices, mean_over_shells
from cryomix.reconstruction.resolution import HalfMaps

BATCH_SIZE = 256
MEMORY = 4e9  # bytes of Fourier volumes held at once
HIGHEST_SNR = 1e3  # keeps voxels that hardly any particle saw from blowing up
LOWEST_SNR = 1e-3
FIRST_SNR = 10.0  # assumed until the half maps have been compared

Report = Callable[[int, int], None]


def reconstruct(
    particles: Particles,
    index: Int64[Tensor, "chosen"],
    *,
    grid: FourierGrid | None = None,
    weight: Float[Tensor, "chosen"] | None = None,
    padding: float = 2.0,
    noise: Float[Tensor, "rings"] | None = None,
    report: Report | None = None,
) -> HalfMaps:
    """Half maps from the particles at `index`.

    Parameters
    ----------
    particles
        Read batch by batch, in the order of the stack.
    index
        Which particles; one that is listed twice counts twice.
    grid
        Sampling of the maps, as long as the box of the images; theirs by default.
    weight
        How much each of the chosen counts; 0 leaves it out. 1 by default.
    padding
        Oversampling of the Fourier volume.
    noise
        Power of the noise on each ring of `grid`; white by default.
    report
        Called with the number of particles done and to do.

    Returns
    -------
    halves
        Unfiltered. Density is in units of the standard deviation of the images per Å, the same
        for every group of particles. A half without particles is zero.
    """
    weights = None if weight is None else [weight]
    (halves,) = reconstruct_groups(
        particles, [index], grid=grid, weights=weights, padding=padding, noise=noise, report=report
    )
    return halves


def reconstruct_groups(
    particles: Particles,
    groups: Sequence[Int64[Tensor, "_"]],
    *,
    grid: FourierGrid | None = None,
    weights: Sequence[Float[Tensor, "_"]] | None = None,
    padding: float = 2.0,
    noise: Float[Tensor, "rings"] | None = None,
    report: Report | None = None,
) -> list[HalfMaps]:
    """Half maps of several groups of particles, which may overlap, in one pass over the images.

    `weights` go with `groups`; the rest is as in `reconstruct`. Each image is read and
    transformed once, unless the Fourier volumes, 6 · (padding · box)³ bytes for each half map,
    would take more than 4 GB together: then there are as many passes as it needs.

    In a run of many processes each inserts its share of the particles; the first gets the maps,
    the others an empty list.
    """
    weighting = _Shares(_share_of_each_particle(len(particles), groups, weights))
    return reconstruct_weighted(
        particles, weighting, grid=grid, padding=padding, noise=noise, report=report
    )


@runtime_checkable
class Weighting(Protocol):
    """How much each particle counts in each of several groups."""

    def __len__(self) -> int:
        """Number of groups."""
        ...

    def some(self, groups: slice) -> "Weighting":
        """The same for some of the groups."""
        ...

    def needed(self) -> Int64[Tensor, "_"]:
        """Particles that count in any group, in the order of the stack."""
        ...

    def of(self, index: Int64[Tensor, "batch"]) -> Float[Tensor, "groups batch *rings"]:
        """Weights of the particles at `index`, the same for all rings or one for each."""
        ...


def reconstruct_weighted(
    particles: Particles,
    weighting: Weighting,
    *,
    common: Weighting | None = None,
    grid: FourierGrid | None = None,
    padding: float = 2.0,
    noise: Float[Tensor, "rings"] | None = None,
    report: Report | None = None,
) -> list[HalfMaps]:
    """As `reconstruct_groups`, with weights that are made batch by batch.

    What `common`, of one group, lets in is inserted once and belongs to every group.
    """
    grid = grid or particles.grid
    at_once = max(1, int(MEMORY // (12 * _padded_size(grid, padding) ** 3)))
    passes = [
        weighting.some(slice(start, start + at_once)) for start in range(0, len(weighting), at_once)
    ]
    jobs = passes if common is None else [common, *passes]
    indices = [share_here(job.needed()) for job in jobs]
    total, done = sum(len(index) for index in indices), 0
    maps: list[HalfMaps] = []
    shared = None
    for job, index in zip(jobs, indices, strict=True):
        halves = [
            (FourierAccumulator(grid, padding), FourierAccumulator(grid, padding))
            for _ in range(len(job))
        ]
        for batch in iterate_batches(particles, grid, index, BATCH_SIZE) if len(index) else ():
            slices = to_central_slices(batch, grid, noise)
            _insert_halves(slices, job.of(batch.index), particles.half_set[batch.index], halves)
            done += len(batch)
            if report is not None:
                report(done, total)
        if job is common:
            (shared,) = halves
        else:
            maps += _solve_on_first(halves, shared)
    return maps


@dataclass(frozen=True, slots=True)
class CentralSlices:
    """What each particle tells about the transform of the molecule, in the plane it saw.

    Attributes
    ----------
    coefficient
        CTF × transform / noise, the particle moved to the image centre.
    power
        CTF² / noise.
    rotation
        Model → view.
    """

    coefficient: Complex[Tensor, "batch rows columns"]
    power: Float[Tensor, "batch rows columns"]
    rotation: Float[Tensor, "batch 3 3"]


def to_central_slices(
    batch: ParticleBatch, grid: FourierGrid, noise: Float[Tensor, "rings"] | None = None
) -> CentralSlices:
    """The shift taken out and the CTF multiplied in; `noise` is its power per ring."""
    x = batch.poses.shift[:, 0, None] * grid.frequency_x.to(batch.transfer)
    y = batch.poses.shift[:, 1, None] * grid.frequency_y.to(batch.transfer)
    phase_x = torch.polar(torch.ones_like(x), 2 * math.pi * x)
    phase_y = torch.polar(torch.ones_like(y), 2 * math.pi * y)
    weighted = batch.transfer
    if noise is not None:
        if not bool((noise > 0).all()):
            raise ValueError(f"noise power must be positive, got {float(noise.min())}")
        weighted = weighted / noise.to(weighted)[grid.ring.clamp(max=grid.n_rings - 1)]
    coefficient = batch.image_ft * weighted * phase_y[:, :, None] * phase_x[:, None, :]
    return CentralSlices(coefficient, batch.transfer * weighted, batch.poses.rotation)


class FourierAccumulator:
    """The running sums of a reconstruction: Σ CTF·F and Σ CTF², on a padded half volume.

    Parameters
    ----------
    grid
        Of the images; the map has the same box and voxel size.
    padding
        Oversampling of the Fourier volume, at least 1.
    """

    def __init__(self, grid: FourierGrid, padding: float = 2.0) -> None:
        if padding < 1:
            raise ValueError(f"padding must be at least 1, got {padding}")
        self.grid = grid
        padded = _padded_size(grid, padding)
        self.numerator = torch.zeros(padded, padded, padded // 2 + 1, dtype=torch.complex64)
        self.weight = torch.zeros(padded, padded, padded // 2 + 1)

    def insert(
        self, slices: CentralSlices, weight: Float[Tensor, "batch *rings"] | None = None
    ) -> None:
        """Add `slices`, each times its `weight`, one or one per ring; 0 leaves it out."""
        if weight is None:
            weight = torch.ones(len(slices.rotation))
        insert_slices(
            _array(slices.coefficient, torch.complex64),
            _array(slices.power, torch.float32),
            _array(slices.rotation, torch.float32),
            _array(weight, torch.float32),
            self.numerator.numpy(),
            self.weight.numpy(),
        )

    def add(self, other: "FourierAccumulator") -> None:
        """Insert also what `other` has been given."""
        self.numerator += other.numerator
        self.weight += other.weight

    def sum_on_first(self) -> None:
        """Give what every process inserted to the first, which alone can then make a map."""
        sum_on_first(self.numerator)
        sum_on_first(self.weight)

    def to_volume(self, signal_to_noise: Float[Tensor, "shells"] | None = None) -> Volume:
        """The map: numerator / (weight + τ), gridding corrected.

        Parameters
        ----------
        signal_to_noise
            Power ratio of each shell. τ is the mean weight of the shell over this ratio, so that
            a coefficient that few particles saw is damped where the shell is noisy. Each shell
            is then scaled back by its mean damping, so that maps of few and of many particles
            have the same density. Very high by default: τ is then only a guard.
        """
        if signal_to_noise is None:
            signal_to_noise = torch.full((self.grid.n_rings,), HIGHEST_SNR)
        inverse = 1 / signal_to_noise.double().clamp(LOWEST_SNR, HIGHEST_SNR).numpy()
        n, total = self.grid.box_size, self.weight.numpy()
        floor = mean_over_shells(total, n) * inverse
        kept = mean_over_shells(total, n, floor)
        gain = 1 / np.where(kept > 0, kept, np.inf)
        coefficient = np.empty(self.numerator.shape, np.complex64)
        divide_by_weight(self.numerator.numpy(), total, floor, gain, n, coefficient)
        density = _to_density(torch.from_numpy(coefficient), n) / self.grid.pixel_size
        return Volume(density, self.grid.pixel_size)


def _share_of_each_particle(
    particles: int,
    groups: Sequence[Int64[Tensor, "_"]],
    weights: Sequence[Float[Tensor, "_"]] | None,
) -> Float[Tensor, "groups particles"]:
    shares = torch.zeros(len(groups), particles)
    if weights is None:
        weights = [torch.ones(len(group)) for group in groups]
    for share, group, weight in zip(shares, groups, weights, strict=True):
        share.index_add_(0, group, weight.float())
    return shares


@dataclass(frozen=True, slots=True)
class _Shares:
    """Weights that are there for every particle."""

    share: Float[Tensor, "groups particles"]

    def __len__(self) -> int:
        return len(self.share)

    def some(self, groups: slice) -> "_Shares":
        return _Shares(self.share[groups])

    def needed(self) -> Int64[Tensor, "_"]:
        return (self.share != 0).any(dim=0).nonzero().flatten()

    def of(self, index: Int64[Tensor, "batch"]) -> Float[Tensor, "groups batch"]:
        return self.share[:, index]


def _insert_halves(
    slices: CentralSlices,
    weights: Float[Tensor, "groups batch *rings"],
    half_set: Int8[Tensor, "batch"],
    accumulators: Sequence[tuple[FourierAccumulator, FourierAccumulator]],
) -> None:
    for weight, halves in zip(weights, accumulators, strict=True):
        for number, accumulator in enumerate(halves, start=1):
            belongs = half_set == number
            accumulator.insert(slices, weight * belongs.view(-1, *[1] * (weight.ndim - 1)))


def _solve_on_first(
    accumulators: Sequence[tuple[FourierAccumulator, FourierAccumulator]],
    shared: tuple[FourierAccumulator, FourierAccumulator] | None,
) -> list[HalfMaps]:
    """Half maps of each group, once all processes have given what they inserted."""
    maps = []
    for halves in accumulators:
        for number, accumulator in enumerate(halves):
            if shared is not None:
                accumulator.add(shared[number])
            accumulator.sum_on_first()
        if is_first_process():
            maps.append(_solve(*halves))
    return maps


def _solve(first: FourierAccumulator, second: FourierAccumulator) -> HalfMaps:
    """Both maps, regularised by the signal-to-noise that their own agreement shows."""
    signal_to_noise = torch.full((first.grid.n_rings,), FIRST_SNR)
    fsc = shell_correlation(first.to_volume(signal_to_noise), second.to_volume(signal_to_noise))
    signal_to_noise = fsc.clamp(min=0) / (1 - fsc).clamp(min=1 / HIGHEST_SNR)
    return HalfMaps(first.to_volume(signal_to_noise), second.to_volume(signal_to_noise))


def _padded_size(grid: FourierGrid, padding: float) -> int:
    return 2 * math.ceil(padding * grid.box_size / 2)


def _to_density(coefficient: Complex[Tensor, "p p half"], n: int) -> Float[Tensor, "n n n"]:
    """Central n³ voxels of the inverse transform, corrected for trilinear interpolation."""
    padded = coefficient.shape[0]
    density = torch.fft.irfftn(coefficient, s=(padded, padded, padded))
    offset = torch.arange(n) - n // 2
    density = density[offset][:, offset][:, :, offset]
    taper = torch.sinc(offset / padded).square()
    return density / (taper[:, None, None] * taper[:, None] * taper)


def _array(values: Tensor, dtype: torch.dtype) -> np.ndarray:
    return values.detach().to("cpu", dtype).contiguous().numpy()
