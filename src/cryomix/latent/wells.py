"""Wells of a free energy along a path, as far as its barriers are sure."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_SURE = 0.025  # share of the draws that may lack a barrier
_LEAST_BARRIER = 1.0  # kT; a lower one holds no molecule back


@dataclass(frozen=True, slots=True)
class Well:
    """Neighbouring stretches of a path between two barriers.

    Attributes
    ----------
    stretches
        Their indices.
    bottom
        That of the lowest.
    """

    stretches: Int64[Tensor, "inside"]
    bottom: int


def find_wells(
    energy: Float[Tensor, "stretches"], draws: Float[Tensor, "draws stretches"], is_closed: bool
) -> list[Well]:
    """Divide a path at every barrier of more than 1 kT in 97.5 % of the draws; lowest well first.

    Each stretch first belongs to the lowest point that it slopes down to. Then wells are joined,
    the least sure barrier first. A barrier's height is measured from the shallower of its wells.

    Parameters
    ----------
    energy
        Of each stretch, kT.
    draws
        Energies of particles drawn anew.
    is_closed
        Whether the last stretch is next to the first.
    """
    count = len(energy)
    borders = [(k, (k + 1) % count) for k in range(count if is_closed else count - 1)]
    bottom = _slope_down(energy.tolist(), borders)
    while True:
        saddles: dict[tuple[int, int], int] = {}
        for pair in borders:
            wells = sorted((bottom[pair[0]], bottom[pair[1]]), key=lambda k: float(energy[k]))
            top = max(pair, key=lambda k: float(energy[k]))
            key = (wells[0], wells[1])
            if wells[0] == wells[1]:
                continue
            if key not in saddles or energy[top] < energy[saddles[key]]:
                saddles[key] = top
        sure = {
            float((draws[:, top] - draws[:, high]).quantile(_SURE)): (low, high)
            for (low, high), top in saddles.items()
        }
        if not sure or min(sure) > _LEAST_BARRIER:
            break
        low, high = sure[min(sure)]
        bottom = [low if own == high else own for own in bottom]
    label = torch.tensor(bottom)
    return [
        Well((label == own).nonzero()[:, 0], own)
        for own in sorted(set(bottom), key=lambda k: float(energy[k]))
    ]


def _slope_down(energy: list[float], borders: list[tuple[int, int]]) -> list[int]:
    """The lowest point below each stretch."""
    beside: dict[int, list[int]] = {k: [k] for k in range(len(energy))}
    for first, second in borders:
        beside[first].append(second)
        beside[second].append(first)
    found = []
    for own in range(len(energy)):
        below = min(beside[own], key=lambda k: energy[k])
        while below != own:
            own, below = below, min(beside[below], key=lambda k: energy[k])
        found.append(own)
    return found
