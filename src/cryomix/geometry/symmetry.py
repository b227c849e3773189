"""Point groups: from a name to rotations, and poses expanded by them."""

import math
import re

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from cryomix.errors import OptionError
from cryomix.geometry.poses import Poses

_Axis = tuple[float, float, float]
_Axes = tuple[tuple[int, _Axis], ...]  # fold and axis of each rotation

_GOLDEN = (1 + math.sqrt(5)) / 2

# Two rotations, each fold and axis, of which all others are products. RELION's settings: those of
# Heymann et al., J. Struct. Biol. 151, 196 (2005), but T has a threefold axis on z.
_SETTINGS: dict[str, _Axes] = {
    "T": ((3, (0.0, 0.0, 1.0)), (2, (0.0, math.sqrt(2), 1.0))),
    "O": ((4, (0.0, 0.0, 1.0)), (3, (1.0, 1.0, 1.0))),
    "I1": ((2, (0.0, 0.0, 1.0)), (5, (0.0, 1.0, _GOLDEN))),
    "I2": ((2, (0.0, 0.0, 1.0)), (5, (1.0, 0.0, _GOLDEN))),
    "I3": ((5, (0.0, 0.0, 1.0)), (5, (-2.0, 0.0, 1.0))),
    "I4": ((5, (0.0, 0.0, 1.0)), (5, (2.0, 0.0, 1.0))),
}
_SETTINGS["I"] = _SETTINGS["I2"]


def point_group(name: str) -> Float64[Tensor, "order 3 3"]:
    """All rotations of a point group, the identity first.

    Parameters
    ----------
    name
        Schoenflies symbol in RELION's settings, capital or not: C1 to C99 and D1 to D99 (axis on
        z, twofold axis on x), T, O, I1 to I4; I is I2. The rotations of Cn turn by 0, 360/n, …
        degrees about z.

    Raises
    ------
    OptionError
        If there is no such group of rotations.
    """
    generators = group_generators(name)
    elements = [torch.eye(3, dtype=torch.float64)]
    for element in elements:  # grows until every product is there
        for generator in generators:
            product = generator @ element
            if not any(torch.allclose(product, known, atol=1e-6) for known in elements):
                elements.append(product)
    return torch.stack(elements)


def group_generators(name: str) -> Float64[Tensor, "generators 3 3"]:
    """At most two rotations that make up the whole group; raises as `point_group` does."""
    match = re.fullmatch(r"([CD])([1-9]\d?)", name.upper())
    if match:
        axes: _Axes = ((int(match[2]), (0.0, 0.0, 1.0)), (2, (1.0, 0.0, 0.0)))
        axes = axes if match[1] == "D" else axes[:1]
    elif name.upper() in _SETTINGS:
        axes = _SETTINGS[name.upper()]
    else:
        raise OptionError(
            f"symmetry must be C1 to C99, D1 to D99, T, O, I or I1 to I4, got {name!r}"
        )
    return torch.stack([_rotation_about(axis, 2 * math.pi / fold) for fold, axis in axes])


def expand_poses(poses: Poses, group: Float[Tensor, "order 3 3"]) -> Poses:
    """Each pose once per element of `group`, the copies of a particle one after the other.

    Copy k has the rotation ``R @ S_k.mT``: a symmetric model looks the same in all of them, and the
    part of the molecule that S_k takes to a place of the model is seen there.
    """
    rotation = poses.rotation[:, None] @ group.mT.to(poses.rotation)
    return Poses(rotation.flatten(0, 1), poses.shift.repeat_interleave(len(group), dim=0))


def _rotation_about(axis: _Axis, angle: float) -> Float64[Tensor, "3 3"]:
    """Right-handed rotation of points by `angle` radians."""
    x, y, z = (torch.tensor(axis, dtype=torch.float64) / math.hypot(*axis)).tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    return torch.matrix_exp(angle * cross)
