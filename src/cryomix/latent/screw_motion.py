"""The motion of a rigid domain along a path, as a rotation, its axis and a shift."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.optimize import minimize
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from sklearn.cluster import KMeans
from torch import Tensor

from cryomix.imaging.gaussians import GaussianModel

_BLOCKS = 5
_LENGTH = 10.0  # Å; shifts are sought in this unit, so that steps are as large as those of angles
_MOST = 800  # Gaussians of a part, the heaviest; their overlaps are squares of this
_CROSS = torch.tensor(  # w ↦ the matrix of w × v
    [
        [[0.0, 0, 0], [0, 0, -1], [0, 1, 0]],
        [[0, 0, 1], [0, 0, 0], [-1, 0, 0]],
        [[0, -1, 0], [1, 0, 0], [0, 0, 0]],
    ],
    dtype=torch.float64,
).movedim(0, -1)
_TOUCHING = 3.0  # widths: so near to the rest a Gaussian is at the border


@dataclass(frozen=True, slots=True)
class ScrewMotion:
    """How one part turns and shifts, from the first model of a path to the last.

    Attributes
    ----------
    angle_deg, angle_error_deg
        Of the rotation, 0 to 180, and its standard error.
    axis
        Unit vector; the rotation about it is right-handed.
    axis_error_deg
        Standard error of its direction.
    hinge
        The point of the axis nearest to where the part touches the rest, Å from the box centre.
    shift, shift_error
        Along the axis, Å.
    travel
        Of the part's centre of mass, Å.
    explained
        Overlap of the moved part with its density at the end, over what two equal densities would
        have: 1 if the part moves as a rigid body.
    """

    angle_deg: float
    angle_error_deg: float
    axis: Float[Tensor, "3"]
    axis_error_deg: float
    hinge: Float[Tensor, "3"]
    shift: float
    shift_error: float
    travel: float
    explained: float


@dataclass(frozen=True, slots=True)
class _Density:
    """Gaussians as point masses with widths."""

    place: Float[np.ndarray, "gaussians 3"]
    mass: Float[np.ndarray, "gaussians"]
    width: Float[np.ndarray, "gaussians"]

    def without(self, left_out: Bool[np.ndarray, "gaussians"]) -> "_Density":
        kept = ~left_out
        return _Density(self.place[kept], self.mass[kept], self.width[kept])


def fit_screw_motion(models: GaussianModel, inside: Bool[Tensor, "gaussians"]) -> ScrewMotion:
    """The rotation and shift that bring the density of a part onto itself further on.

    Parameters
    ----------
    models
        One per step of a path; steps so small that the part overlaps itself from one to the next.
    inside
        Which Gaussians are the part. All else is taken for still.

    Notes
    -----
    Densities are compared, not Gaussians, because a model may pass density on from one to another:
    the integral of the product of both mixtures is maximised over the six parameters of a motion,
    the optimum of each step being where the next begins. Errors are those of a jackknife that
    leaves out a fifth of the part at a time, by place.
    """
    mass = (models.amplitude * models.width**3).mean(0) * inside
    part = mass.argsort(descending=True)[: min(_MOST, int(inside.sum()))].sort().values
    steps = [_density(models[number].subset(part)) for number in range(len(models.center))]
    start, end = steps[0], steps[-1]
    middle = np.average(start.place, axis=0, weights=start.mass)
    found = np.zeros(6)
    for step in steps[1:]:
        found = _register(start, step, middle, found)
    moved = _moved(start.place, middle, found)
    others = _leave_blocks_out(start, end, moved, middle, found)
    axis = _axis(found)
    shift = float(found[3:] @ axis) * _LENGTH
    return ScrewMotion(
        angle_deg=float(np.degrees(np.linalg.norm(found[:3]))),
        angle_error_deg=float(np.degrees(_jackknife(np.linalg.norm(others[:, :3], axis=1)))),
        axis=torch.from_numpy(axis),
        axis_error_deg=float(np.degrees(_jackknife([_angle(_axis(one), axis) for one in others]))),
        hinge=torch.from_numpy(_hinge(found, middle, _border(models[0], inside))),
        shift=shift,
        shift_error=_jackknife([float(one[3:] @ _axis(one)) * _LENGTH for one in others]),
        travel=float(np.linalg.norm(np.average(moved - start.place, axis=0, weights=start.mass))),
        explained=_overlap(moved, start, end)
        / max(np.sqrt(_overlap(start.place, start, start) * _overlap(end.place, end, end)), 1e-30),
    )


def _leave_blocks_out(
    start: _Density,
    end: _Density,
    moved: Float[np.ndarray, "gaussians 3"],
    middle: Float[np.ndarray, "3"],
    found: Float[np.ndarray, "6"],
) -> Float[np.ndarray, "blocks 6"]:
    """The motion without each block of the part, at the start and where it is at the end."""
    blocks = min(_BLOCKS, len(start.place))
    before = KMeans(blocks, n_init=1, random_state=0).fit_predict(start.place)
    after = before[cKDTree(moved).query(end.place)[1]]
    return np.array(
        [
            _register(start.without(before == block), end.without(after == block), middle, found)
            for block in range(blocks)
        ]
    )


def _density(part: GaussianModel) -> _Density:
    mass = part.amplitude * part.width**3
    return _Density(*(each.double().numpy() for each in (part.center, mass, part.width)))


def _register(
    start: _Density,
    end: _Density,
    middle: Float[np.ndarray, "3"],
    guess: Float[np.ndarray, "6"],
) -> Float[np.ndarray, "6"]:
    """The six parameters at which `start`, moved, overlaps `end` most; the first three turn."""
    scale = max(_overlap(end.place, end, end), 1e-30)
    offset, center = torch.from_numpy(start.place - middle), torch.from_numpy(end.place - middle)
    mass = torch.from_numpy(start.mass[:, None] * end.mass)
    variance = torch.from_numpy(start.width[:, None] ** 2 + end.width**2)

    def loss(values: Float[np.ndarray, "6"]) -> tuple[float, Float[np.ndarray, "6"]]:
        motion = torch.from_numpy(values).requires_grad_()
        turn = torch.linalg.matrix_exp(_CROSS @ motion[:3])
        place = offset @ turn.mT + motion[3:] * _LENGTH
        square = (place[:, None] - center).square().sum(-1)
        overlap = (mass * torch.exp(-square / (2 * variance)) / variance**1.5).sum() / scale
        (-overlap).backward()
        gradient: np.ndarray = motion.grad.numpy() if motion.grad is not None else values
        return -float(overlap.detach()), gradient

    best: np.ndarray = minimize(loss, guess, jac=True, method="BFGS").x
    return best


def _moved(
    place: Float[np.ndarray, "points 3"],
    middle: Float[np.ndarray, "3"],
    motion: Float[np.ndarray, "6"],
) -> Float[np.ndarray, "points 3"]:
    turned: np.ndarray = Rotation.from_rotvec(motion[:3]).apply(place - middle)
    return turned + middle + motion[3:] * _LENGTH


def _overlap(place: Float[np.ndarray, "points 3"], first: _Density, second: _Density) -> float:
    """∫ of the product of both mixtures, the first being at `place`, but for a factor."""
    offset = place[:, None] - second.place
    variance = first.width[:, None] ** 2 + second.width**2
    near = np.exp(-(offset**2).sum(-1) / (2 * variance)) / variance**1.5
    return float(first.mass @ near @ second.mass)


def _axis(motion: Float[np.ndarray, "6"]) -> Float[np.ndarray, "3"]:
    """Of the rotation; of the shift where nothing turns."""
    for part in (motion[:3], motion[3:]):
        length = np.linalg.norm(part)
        if length > 1e-6:
            unit: np.ndarray = part / length
            return unit
    return np.array([0.0, 0.0, 1.0])


def _angle(first: Float[np.ndarray, "3"], second: Float[np.ndarray, "3"]) -> float:
    return float(np.arctan2(np.linalg.norm(np.cross(first, second)), first @ second))


def _hinge(
    motion: Float[np.ndarray, "6"],
    middle: Float[np.ndarray, "3"],
    border: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "3"]:
    """The point of the screw axis nearest to `border`."""
    axis = _axis(motion)
    across = motion[3:] * _LENGTH
    across = across - (across @ axis) * axis
    # A point p of the axis stays on it: (1 − R)(p − middle) = shift across the axis.
    away = np.eye(3) - Rotation.from_rotvec(motion[:3]).as_matrix()
    foot = middle + np.linalg.lstsq(away, across, rcond=1e-6)[0]
    point: np.ndarray = foot + ((border - foot) @ axis) * axis
    return point


def _border(model: GaussianModel, inside: Bool[Tensor, "gaussians"]) -> Float[np.ndarray, "3"]:
    """Middle of the part's Gaussians that touch the rest; of the nearest, if none do."""
    part, rest = model.subset(inside), model.subset(~inside)
    if not len(rest):
        return part.center.double().mean(0).numpy()
    distance = torch.cdist(part.center.double(), rest.center.double()).amin(1)
    near = distance <= max(_TOUCHING * float(model.width.mean()), float(distance.min()))
    border: np.ndarray = part.center[near].double().mean(0).numpy()
    return border


def _jackknife(values: list[float] | Float[np.ndarray, "blocks"]) -> float:
    each = np.asarray(values, float)
    count = len(each)
    return float(np.sqrt((count - 1) / count * ((each - each.mean()) ** 2).sum()))
