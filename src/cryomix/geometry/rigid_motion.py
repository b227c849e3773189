"""Turns and shifts of a rigid part of a molecule, and how particles see them."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.geometry.poses import Poses


@dataclass(frozen=True, slots=True)
class RigidMotion:
    """From one place of a rigid part to others: x → ``rotation @ x + shift``.

    Attributes
    ----------
    rotation
        In the model's frame.
    shift
        (x, y, z) Å.
    """

    rotation: Float[Tensor, "*motions 3 3"]
    shift: Float[Tensor, "*motions 3"]

    def __len__(self) -> int:
        """Number of motions along the first dimension."""
        return len(self.shift)

    def __getitem__(self, index: int | slice | Tensor) -> "RigidMotion":
        """Some of the motions."""
        return RigidMotion(self.rotation[index], self.shift[index])

    def of(self, body: int) -> "RigidMotion":
        """Those of one body, where the second dimension is bodies."""
        return RigidMotion(self.rotation[:, body], self.shift[:, body])

    def apply(self, point: Float[Tensor, "points 3"]) -> Float[Tensor, "*motions points 3"]:
        """Where each motion takes each point, Å."""
        return point @ self.rotation.mT + self.shift[..., None, :]


def follow_motion(poses: Poses, motion: RigidMotion) -> Poses:
    """The poses at which a part at rest is seen as the particles see it moved.

    R (M x + s) + t = (R M) x + (R s + t): particle by particle, of the shift only what lies in
    the plane.
    """
    shift = (poses.rotation @ motion.shift[..., None])[..., :2, 0]
    return Poses(poses.rotation @ motion.rotation, poses.shift + shift)


def turn_by(vector: Float[Tensor, "*turns 3"]) -> Float[Tensor, "*turns 3 3"]:
    """Rotation about `vector` by its length in radians."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1)
    return torch.linalg.matrix_exp(cross.reshape(*vector.shape, 3))


def nearest_rotation(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The rotation with the least sum of squared differences from `matrix`."""
    left, _, right = torch.linalg.svd(matrix)
    sign = torch.ones_like(left[..., 0])
    sign[..., 2] = torch.linalg.det(left @ right)
    return (left * sign[..., None, :]) @ right
