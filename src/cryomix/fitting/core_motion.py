"""The part of a molecule that stays as it is, and how a decoded model turns and shifts it."""

import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.geometry.rigid_motion import RigidMotion, nearest_rotation
from cryomix.imaging.gaussians import GaussianModel

_STEPS = 15
_SMALL = 0.3  # Å: closer than this, Gaussians count alike


def core_motion(neutral: GaussianModel, decoded: GaussianModel) -> RigidMotion:
    """How each of the models moves what most of `neutral` does alike.

    The turn and shift with the least sum of distances, not of their squares, between Gaussians
    of `neutral` that were moved so and those of the model, each counted by its amplitude in
    `neutral`: what moves apart from the rest hardly weighs. Found by weights that are the
    inverse of the distances left by the step before.

    Parameters
    ----------
    neutral
        (gaussians,).
    decoded
        (models, gaussians).
    """
    amplitude = neutral.amplitude.clamp_min(0)
    weight = amplitude.expand(len(decoded.center), -1)
    for _ in range(_STEPS):
        motion = _weighted_motion(neutral.center, decoded.center, weight)
        distance = (decoded.center - motion.apply(neutral.center)).norm(dim=-1)
        weight = amplitude / (distance.square() + _SMALL**2).sqrt()
    return motion


def _weighted_motion(
    start: Float[Tensor, "gaussians 3"],
    end: Float[Tensor, "models gaussians 3"],
    weight: Float[Tensor, "models gaussians"],
) -> RigidMotion:
    """The motion with the least weighted sum of squared distances (Kabsch, 1976)."""
    share = weight / weight.sum(dim=1, keepdim=True)
    middle = share @ start
    moved = torch.einsum("mn,mnd->md", share, end)
    rotation = nearest_rotation(
        torch.einsum("mn,mni,mnj->mij", share, end - moved[:, None], start - middle[:, None])
    )
    return RigidMotion(rotation, moved - (rotation @ middle[..., None])[..., 0])
