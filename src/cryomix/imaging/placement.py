"""Where each Gaussian lands in each view, and how much of it."""

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses
from cryomix.imaging.gaussians import GaussianModel


@dataclass(frozen=True, slots=True)
class ProjectedGaussians:
    """Two-dimensional Gaussians, one row per particle.

    Attributes
    ----------
    x, y
        From the image centre, Å.
    mass
        Integral over the image, in units of density × Å × pixels.
    width
        σ, Å.
    """

    x: Float[Tensor, "particles gaussians"]
    y: Float[Tensor, "particles gaussians"]
    mass: Float[Tensor, "particles gaussians"]
    width: Float[Tensor, "particles gaussians"]


def place_gaussians(model: GaussianModel, poses: Poses, grid: FourierGrid) -> ProjectedGaussians:
    """`model`, one for all poses or one per pose, turned, shifted and integrated along z."""
    if model.center.ndim == 3 and len(model.center) != len(poses):
        raise ValueError(f"{len(model.center)} models but {len(poses)} poses")
    view = model.center @ poses.rotation[:, :2].mT  # (P, N, 2)
    x = view[..., 0] + poses.shift[:, None, 0]
    y = view[..., 1] + poses.shift[:, None, 1]
    mass = model.amplitude * (2 * math.pi) ** 1.5 * model.width**3 / grid.pixel_size**2
    return ProjectedGaussians(x, y, mass.expand(x.shape), model.width.expand(x.shape))
