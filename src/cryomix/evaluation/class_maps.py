"""Which class of one half of the particles is which class of the other, by their maps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from cryomix.imaging.volume import Volume


@dataclass(frozen=True, slots=True)
class MatchedClasses:
    """One-to-one.

    Attributes
    ----------
    pairs
        Numbers from 0, in the order of the first half; classes that are left over are not there.
    alike
        Correlation of what each class's map differs by from the mean map of its half.
    """

    pairs: tuple[tuple[int, int], ...]
    alike: Float[np.ndarray, "first second"]


def match_classes(
    first: Sequence[Volume],
    second: Sequence[Volume],
    sizes: tuple[Sequence[int], Sequence[int]],
    mask: Volume,
) -> MatchedClasses:
    """Pair the classes so that differences from the mean map correlate best, summed over pairs.

    What all classes have in common would make every map correlate with every other.

    Parameters
    ----------
    first, second
        Maps of the classes of either half, filtered to what they are sure of.
    sizes
        Particles in each, by which the mean is weighted.
    mask
        Where density counts.
    """
    halves = [
        _differences(maps, size, mask) for maps, size in zip((first, second), sizes, strict=True)
    ]
    alike = (halves[0] @ halves[1].mT).numpy()
    rows, columns = linear_sum_assignment(alike, maximize=True)
    pairs = tuple(zip(rows.tolist(), columns.tolist(), strict=True))
    return MatchedClasses(pairs, alike)


def _differences(
    maps: Sequence[Volume], sizes: Sequence[int], mask: Volume
) -> Float[Tensor, "classes voxels"]:
    density = torch.stack([(each.density * mask.density).flatten() for each in maps]).double()
    weight = torch.tensor(sizes, dtype=torch.float64)
    difference = density - (weight / weight.sum()) @ density
    difference = difference - difference.mean(dim=1, keepdim=True)
    return difference / difference.norm(dim=1, keepdim=True).clamp_min(1e-30)
