"""Where each particle sits: its rotation and its in-plane shift."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Poses:
    """One rigid-body placement per particle.

    Attributes
    ----------
    rotation
        Takes a point of the model (x, y, z) to the view frame: ``r_view = R @ r_model``.
        The beam runs along view z.
    shift
        In-plane offset (x, y) of the model's origin from the image centre, Å. It moves the
        projection towards larger column, larger row; RELION's origin is its negative.
    """

    rotation: Float[Tensor, "particles 3 3"]
    shift: Float[Tensor, "particles 2"]

    def __post_init__(self) -> None:
        if len(self.rotation) != len(self.shift):
            raise ValueError(f"{len(self.rotation)} rotations but {len(self.shift)} shifts")

    def __len__(self) -> int:
        return len(self.rotation)

    def __getitem__(self, index: slice | Tensor) -> "Poses":
        return Poses(self.rotation[index], self.shift[index])

    def to(self, device: torch.device) -> "Poses":
        """The same placements on `device`."""
        return Poses(
            self.rotation.to(device, non_blocking=True), self.shift.to(device, non_blocking=True)
        )


def euler_to_rotation(euler_deg: Float[Tensor, "particles 3"]) -> Float[Tensor, "particles 3 3"]:
    """Rotation of RELION's (rot, tilt, psi): intrinsic ZYZ, degrees, model → view.

    A = Rz(-psi) Ry(-tilt) Rz(-rot) written as active rotations, so that the rows of A are the
    view axes in the model's frame.
    """
    rot, tilt, psi = torch.deg2rad(euler_deg).unbind(-1)
    return _about_z(psi) @ _about_y(tilt) @ _about_z(rot)


def rotation_to_euler(rotation: Float[Tensor, "particles 3 3"]) -> Float[Tensor, "particles 3"]:
    """(rot, tilt, psi) in degrees, the inverse of `euler_to_rotation`.

    At tilt 0 or 180 only a sum of rot and psi is defined; rot is then 0.
    """
    tilt = torch.atan2(rotation[:, 2, :2].norm(dim=-1), rotation[:, 2, 2])
    pole = tilt.sin().abs() < 1e-6
    rot = torch.where(pole, 0.0, torch.atan2(rotation[:, 2, 1], rotation[:, 2, 0]))
    # Given rot, the line of nodes (−sin rot, cos rot, 0) is the axis of tilt: only psi turns it.
    node_x, node_y = -rot.sin(), rot.cos()
    psi = torch.atan2(
        rotation[:, 0, 0] * node_x + rotation[:, 0, 1] * node_y,
        rotation[:, 1, 0] * node_x + rotation[:, 1, 1] * node_y,
    )
    return torch.rad2deg(torch.stack([rot, tilt, psi], dim=-1))


def turn(
    rotation: Float[Tensor, "particles 3 3"], vector: Float[Tensor, "particles 3"]
) -> Float[Tensor, "particles 3 3"]:
    """exp([v]×) R: the view turned further about `vector` by its length, radians.

    The vector is given in the view frame, so that its z turns the image in its plane. Rounding
    that has gathered in R over many turns is taken out.
    """
    angle = vector.norm(dim=-1)[:, None, None]
    cross = _cross_matrix(vector)
    # sin(a) / a and (1 − cos(a)) / a², both finite at 0 (Rodrigues' formula).
    first = torch.sinc(angle / math.pi)
    second = 0.5 * torch.sinc(angle / (2 * math.pi)).square()
    step = torch.eye(3).to(vector) + first * cross + second * (cross @ cross)
    turned = step @ rotation
    # One step of Newton's towards the nearest rotation, enough for errors of rounding.
    return 1.5 * turned - 0.5 * turned @ turned.mT @ turned


def turn_between(
    start: Float[Tensor, "particles 3 3"], end: Float[Tensor, "particles 3 3"]
) -> Float[Tensor, "particles 3"]:
    """The shortest vector by which `turn` takes `start` to `end`, radians.

    Its length is at most π, where its sign is arbitrary.
    """
    turned = (end @ start.mT).double()
    twice_sine = torch.stack(
        [
            turned[:, 2, 1] - turned[:, 1, 2],
            turned[:, 0, 2] - turned[:, 2, 0],
            turned[:, 1, 0] - turned[:, 0, 1],
        ],
        dim=-1,
    )
    trace = turned.diagonal(dim1=1, dim2=2).sum(-1)
    angle = torch.atan2(twice_sine.norm(dim=-1), trace - 1)
    # Near π the sine says nothing of the axis: there R + Rᵀ + (1 − tr R) I is a multiple of
    # the axis times itself.
    outer = turned + turned.mT + (1 - trace)[:, None, None] * torch.eye(3).to(turned)
    column = outer.gather(
        2, outer.diagonal(dim1=1, dim2=2).argmax(1)[:, None, None].expand(-1, 3, 1)
    )
    axis = column[..., 0] / column[..., 0].norm(dim=-1, keepdim=True).clamp_min(1e-300)
    axis = axis * torch.where((axis * twice_sine).sum(-1, keepdim=True) < 0, -1.0, 1.0)
    small = angle[:, None] < 1
    by_sine = 0.5 * twice_sine / torch.sinc(angle / math.pi).clamp_min(0.1)[:, None]
    return torch.where(small, by_sine, axis * angle[:, None]).to(start)


def random_poses(count: int, generator: torch.Generator) -> Poses:
    """`count` rotations drawn uniformly from SO(3), without shift."""
    quaternion = torch.randn(count, 4, generator=generator)
    return Poses(_from_quaternion(quaternion), torch.zeros(count, 2))


def spread_poses(count: int) -> Poses:
    """`count` views spread evenly over the sphere, each turned in plane by the golden angle."""
    golden = math.pi * (3 - math.sqrt(5))
    step = torch.arange(count, dtype=torch.float64)
    tilt = torch.acos(1 - 2 * (step + 0.5) / count)
    euler = torch.stack([step * golden, tilt, step * golden * 0.5], dim=-1)
    rotation = euler_to_rotation(torch.rad2deg(euler)).float()
    return Poses(rotation, torch.zeros(count, 2))


def _cross_matrix(vector: Float[Tensor, "particles 3"]) -> Float[Tensor, "particles 3 3"]:
    """[v]×, which takes u to v × u."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(-1, 3, 3)


def _about_z(angle: Tensor) -> Tensor:
    c, s, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    # x' = c x + s y, y' = -s x + c y: the frame turns, the point stays.
    return torch.stack([c, s, zero, -s, c, zero, zero, zero, one], dim=-1).reshape(-1, 3, 3)


def _about_y(angle: Tensor) -> Tensor:
    c, s, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    return torch.stack([c, zero, -s, zero, one, zero, s, zero, c], dim=-1).reshape(-1, 3, 3)


def _from_quaternion(quaternion: Float[Tensor, "particles 4"]) -> Float[Tensor, "particles 3 3"]:
    w, x, y, z = (quaternion / quaternion.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).reshape(-1, 3, 3)
