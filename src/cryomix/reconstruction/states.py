"""Maps of states from all particles, each weighted by how far it is, in every shell anew."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from cryomix.imaging.correlation import shell_power, shell_sizes
from cryomix.imaging.masking import apply_mask, soft_mask
from cryomix.imaging.particles import Particles
from cryomix.imaging.volume import Volume
from cryomix.processes import is_first_process, take_from_first
from cryomix.reconstruction.backprojection import Report, reconstruct_weighted
from cryomix.reconstruction.resolution import HalfMaps, average

_TRIED_ON = 8  # states on which the kernels are chosen
_MASK_RESOLUTION = 15.0
_CHUNK = 16384  # particles whose distances are held at once

Distance = Callable[
    [Int64[Tensor, "groups"], Int64[Tensor, "batch"]], Float[Tensor, "groups batch"]
]


@dataclass(frozen=True, slots=True)
class KernelWeights:
    """Weights max(0, 1 − u q) of particles at square distance q from a state.

    Attributes
    ----------
    distance
        The square distances of some states from some particles.
    state
        Of each group, for `distance`.
    sharpness
        u on each ring; 0: all particles count the same.
    counted
        Rings that are inserted at all.
    """

    distance: Distance
    state: Int64[Tensor, "groups"]
    sharpness: Float[Tensor, "groups rings"]
    counted: Bool[Tensor, "rings"]
    particles: int

    def __len__(self) -> int:
        return len(self.state)

    def some(self, groups: slice) -> "KernelWeights":
        """The same for some of the groups."""
        return replace(self, state=self.state[groups], sharpness=self.sharpness[groups])

    def needed(self) -> Int64[Tensor, "_"]:
        """Particles that the widest kernel of any group reaches."""
        everyone = torch.arange(self.particles)
        if not bool(self.counted.any()):
            return everyone[:0]
        widest = self.sharpness[:, self.counted].min(dim=1).values[:, None]
        if bool((widest == 0).any()):
            return everyone
        reached = [
            (self.distance(self.state, part) * widest < 1).any(dim=0)
            for part in everyone.split(_CHUNK)
        ]
        return torch.cat(reached).nonzero().flatten()

    def of(self, index: Int64[Tensor, "batch"]) -> Float[Tensor, "groups batch rings"]:
        """Weights of the particles at `index` on each ring."""
        distance = self.distance(self.state, index).float()
        weight = 1 - distance[:, :, None] * self.sharpness.float()[:, None, :]
        return weight.clamp_min(0) * self.counted


def reconstruct_states(
    particles: Particles,
    distance: Distance,
    state: Int64[Tensor, "groups"],
    sharpness: Float[Tensor, "groups rings"],
    *,
    padding: float = 2.0,
    report: Report | None = None,
) -> list[HalfMaps]:
    """Half maps of the states `state`, with a kernel of its own on each ring.

    Rings on which all particles count the same in every state are inserted once for all.
    """
    everyone = (sharpness == 0).all(dim=0)
    common = None
    if bool(everyone.any()) and len(state) > 1:
        common = KernelWeights(distance, state[:1], sharpness[:1], everyone, len(particles))
    counted = ~everyone if common is not None else torch.ones_like(everyone)
    weighting = KernelWeights(distance, state, sharpness, counted, len(particles))
    return reconstruct_weighted(particles, weighting, common=common, padding=padding, report=report)


def choose_kernels(
    particles: Particles,
    distance: Distance,
    sharpness: Float[Tensor, "states sizes"],
    *,
    padding: float = 2.0,
    report: Report | None = None,
) -> Int64[Tensor, "rings"]:
    """Which of the kernels, narrow to wide, serves each ring best, for all states alike.

    Every kernel is tried on eight states. In a run of many processes all get the same answer.
    """
    states, sizes = sharpness.shape
    tried = np.unique(np.linspace(0, states - 1, _TRIED_ON).round().astype(int))
    # Narrow kernels first, so that passes over few particles come before those over many.
    state = torch.from_numpy(tried).repeat(sizes)
    slope = sharpness[torch.from_numpy(tried)].T.flatten()
    rings = particles.grid.n_rings
    maps = reconstruct_states(
        particles, distance, state, slope[:, None].expand(-1, rings), padding=padding,
        report=report,
    )  # fmt: skip
    chosen = torch.zeros(rings, dtype=torch.int64)
    if is_first_process():
        by_size = [maps[start : start + len(tried)] for start in range(0, len(maps), len(tried))]
        chosen = choose_sizes(measure_errors(by_size))
    take_from_first([chosen])
    return chosen


def measure_errors(maps: Sequence[Sequence[HalfMaps]]) -> Float64[Tensor, "sizes shells"]:
    """How far the maps of each kernel are from the truth, but for a constant, in nats.

    `maps` are those of each kernel, narrow to wide, of the same states. A half map is compared
    with the other half's map of the narrowest kernel, whose bias is the least: halves have no
    noise in common, so that the expected square of the difference is bias² + variance of the
    one, plus the variance of the other, which is the same for all kernels. Solvent is masked
    off: it holds noise but nothing that varies.
    """
    mask = _surround(maps)
    inside = [[_masked(halves, mask) for halves in row] for row in maps]
    errors = torch.stack([_square_differences(row, inside[0]) for row in inside])
    # Narrowest against narrowest: twice its variance, but for what is the same for all.
    return errors / errors[0].clamp_min(1e-300) * shell_sizes(mask.box_size)


def choose_sizes(error: Float64[Tensor, "sizes shells"]) -> Int64[Tensor, "shells"]:
    """The kernel of each shell that makes the sum of the errors least.

    Of all choices that never become narrower towards finer shells, because there signal falls
    and noise does not: so no shell chooses alone.
    """
    shells = error.shape[1]
    cost = error[:, 0]
    before = []
    for shell in range(1, shells):
        best, origin = cost.cummin(dim=0)
        before.append(origin)
        cost = best + error[:, shell]
    chosen = [int(cost.argmin())]
    for origin in reversed(before):
        chosen.append(int(origin[chosen[-1]]))
    return torch.tensor(chosen[::-1])


def _square_differences(
    row: Sequence[HalfMaps], narrow: Sequence[HalfMaps]
) -> Float64[Tensor, "shells"]:
    """Between each half map and the other half's narrow map, summed over states and halves."""
    pairs = [
        pair
        for one, other in zip(row, narrow, strict=True)
        for pair in ((one.first, other.second), (one.second, other.first))
    ]
    powers = [shell_power(Volume(a.density - b.density, a.voxel_size)) for a, b in pairs]
    return torch.stack(powers).sum(dim=0)


def _masked(halves: HalfMaps, mask: Volume) -> HalfMaps:
    return HalfMaps(apply_mask(halves.first, mask), apply_mask(halves.second, mask))


def _surround(maps: Sequence[Sequence[HalfMaps]]) -> Volume:
    """A mask around wherever any state has density, seen with at most an eighth of all."""
    row = maps[max(0, len(maps) - 4)]
    size = row[0].first.voxel_size
    masks = [soft_mask(average(halves), max(_MASK_RESOLUTION, 3 * size)) for halves in row]
    return Volume(torch.stack([mask.density for mask in masks]).amax(dim=0), size)
