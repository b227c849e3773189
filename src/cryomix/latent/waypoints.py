"""Paths that are laid by hand: straight from point to point, smooth through points, or a circle.

Each is given as many points, close together along it, for `evenly_spaced` to choose from.
"""

import math
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from torch import Tensor

from cryomix.errors import OptionError

_POINTS = 60  # from one waypoint to the next
_CIRCLE_POINTS = 360


def straight_through(
    waypoint: Float[Tensor, "waypoints latent"],
) -> Float[Tensor, "points latent"]:
    """Straight lines from each of the waypoints to the next."""
    require_path(waypoint)
    part = torch.arange(_POINTS).to(waypoint)[:, None] / _POINTS
    legs = [start + part * (end - start) for start, end in pairwise(waypoint)]
    return torch.cat([*legs, waypoint[-1:]])


def smooth_through(
    waypoint: Float[Tensor, "waypoints latent"], *, is_closed: bool = False
) -> Float[Tensor, "points latent"]:
    """A smooth curve through all waypoints in their order.

    A cubic spline over the square root of the distance from point to point (centripetal), so that
    it neither loops nor overshoots where points are unevenly far apart. `is_closed`: the last
    waypoint is the first, and the curve is smooth there too.
    """
    require_path(waypoint)
    values = waypoint.detach().cpu().double().numpy()
    place = np.sqrt(np.linalg.norm(np.diff(values, axis=0), axis=1)).cumsum()
    place = np.concatenate([[0.0], place])
    between = np.interp(
        np.arange(_POINTS * (len(values) - 1) + 1) / _POINTS, np.arange(len(values)), place
    )
    spline = CubicSpline(place, values, bc_type="periodic" if is_closed else "natural")
    return torch.from_numpy(spline(between)).to(waypoint)


def around_circle(
    center: Float[Tensor, "latent"],
    plane: Float[Tensor, "2 latent"],
    radius: float,
    second_radius: float | None = None,
) -> Float[Tensor, "points latent"]:
    """A circle about `center` in the plane of two orthonormal directions, or an ellipse along them.

    It starts along the first direction and goes towards the second; its last point is its first.
    """
    angle = torch.arange(_CIRCLE_POINTS + 1, dtype=torch.float64) * 2 * math.pi / _CIRCLE_POINTS
    angle[-1] = 0
    turn = torch.stack([angle.cos(), angle.sin()], dim=1)
    reach = turn.new_tensor([radius, radius if second_radius is None else second_radius])
    return (center.double() + (reach * turn) @ plane.double()).to(center)


def typical_radius(
    latent: Float[Tensor, "particles latent"],
    center: Float[Tensor, "latent"],
    plane: Float[Tensor, "2 latent"],
) -> float:
    """Median distance of the particles from `center`, seen in the plane."""
    return float(((latent.double() - center.double()) @ plane.double().mT).norm(dim=1).median())


def require_path(waypoint: Float[Tensor, "waypoints latent"]) -> None:
    """Refuse waypoints that no path leads through: fewer than two, or the same twice in a row."""
    if len(waypoint) < 2:
        raise OptionError(f"a path needs at least 2 points, got {len(waypoint)}")
    alike = (waypoint.diff(dim=0).norm(dim=1) == 0).nonzero().flatten()
    if len(alike):
        first = int(alike[0]) + 1
        raise OptionError(f"points of a path must differ, but {first} and {first + 1} are the same")
