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
from cryomix.reconstruction.backprojection import MEMORY, Report, reconstruct_weighted
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

    The last kernel must be that of all particles. Every kernel is tried on eight states, as many
    at once as memory allows. In a run of many processes all get the same answer.
    """
    rings, box = particles.grid.n_rings, particles.box_size
    tried = np.linspace(0, len(sharpness) - 1, _TRIED_ON).round().astype(np.int64)
    first = torch.zeros(1, dtype=torch.int64)
    everyone = reconstruct_states(
        particles, distance, first, torch.zeros(1, rings), padding=padding, report=report
    )
    at_once = max(1, int(MEMORY // (8 * box**3 * sharpness.shape[1])))
    difference = torch.zeros(sharpness.shape[1], rings, dtype=torch.float64)
    for part in torch.from_numpy(np.unique(tried)).split(at_once):
        # Narrow kernels first, so that passes over few particles come before those over many.
        slope = sharpness[part, :-1].T.flatten()[:, None].expand(-1, rings)
        state = part.repeat(sharpness.shape[1] - 1)
        maps = reconstruct_states(particles, distance, state, slope, padding=padding, report=report)
        if is_first_process():
            rows = [maps[start : start + len(part)] for start in range(0, len(maps), len(part))]
            difference += square_differences([*rows, everyone * len(part)])
    chosen = torch.zeros(rings, dtype=torch.int64)
    if is_first_process():
        chosen = choose_sizes(to_nats(difference, box))
    take_from_first([chosen])
    return chosen


def square_differences(maps: Sequence[Sequence[HalfMaps]]) -> Float64[Tensor, "sizes shells"]:
    """How far the maps of each kernel are from the truth, but for a constant of each shell.

    `maps` are those of each kernel, narrow to wide, of the same states. A half map is compared
    with the other half's map of the narrowest kernel, whose bias is the least: halves have no
    noise in common, so that the expected square of the difference is bias² + variance of the
    one, plus the variance of the other, which is the same for all kernels. Solvent is masked
    off: it holds noise but nothing that varies.
    """
    mask = _surround(maps)
    inside = [[_masked(halves, mask) for halves in row] for row in maps]
    return torch.stack([_between(row, inside[0]) for row in inside])


def to_nats(
    difference: Float64[Tensor, "sizes shells"], box_size: int
) -> Float64[Tensor, "sizes shells"]:
    """Square differences over the noise of the narrowest map, so that shells can be added."""
    # Narrowest against narrowest is noise alone, the same in each coefficient.
    return difference / difference[0].clamp_min(1e-300) * shell_sizes(box_size)


def choose_sizes(error: Float64[Tensor, "sizes shells"]) -> Int64[Tensor, "shells"]:
    """The kernel of each shell that makes the sum of the errors least.

    Of all choices that never become narrower towards finer shells, because there signal falls
    and noise does not: so no shell chooses alone. Shell 0 does as shell 1, because the mean
    density is lost with the mean of each image.
    """
    cost = error[:, 1]
    before = []
    for shell in range(2, error.shape[1]):
        best, origin = cost.cummin(dim=0)
        before.append(origin)
        cost = best + error[:, shell]
    chosen = [int(cost.argmin())]
    for origin in reversed(before):
        chosen.append(int(origin[chosen[-1]]))
    return torch.tensor([chosen[-1], *reversed(chosen)])


def _between(row: Sequence[HalfMaps], narrow: Sequence[HalfMaps]) -> Float64[Tensor, "shells"]:
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
    """A mask around wherever any state has density, seen with an eighth of all and with all."""
    shown = [*maps[max(0, len(maps) - 4)], maps[-1][0]]
    size = shown[0].first.voxel_size
    masks = [soft_mask(average(halves), max(_MASK_RESOLUTION, 3 * size)) for halves in shown]
    return Volume(torch.stack([mask.density for mask in masks]).amax(dim=0), size)
