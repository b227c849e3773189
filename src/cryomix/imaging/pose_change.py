"""How a projection changes as the particle turns and shifts."""

import math

import torch
from jaxtyping import Complex
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.projection import project_gaussians


def project_with_pose_change(
    model: GaussianModel, poses: Poses, grid: FourierGrid
) -> tuple[Complex[Tensor, "particles rows columns"], Complex[Tensor, "particles 5 rows columns"]]:
    """The projection of `model`, and its derivatives with respect to the pose.

    The first three are along x, y, z of a vector that turns the view, as `turn` does, per
    radian; the last two along x and y of the shift, per Å.

    Notes
    -----
    A turn by w moves a Gaussian at r by w × r. With X, Y and Z the projections in which each
    Gaussian counts x, y and z times, the derivatives are 2πi k_y Z, −2πi k_x Z and
    2πi (k_x Y − k_y X): three projections more, exact as far as the projection is.
    """
    view = model.center @ poses.rotation.mT  # (P, N, 3), from the centre that is turned about
    amplitude = model.amplitude.expand(view.shape[:-1])
    width = model.width.expand(view.shape[:-1])
    center = model.center.expand(view.shape)

    def weigh(weight: Tensor) -> Tensor:
        return project_gaussians(GaussianModel(center, weight, width), poses, grid)

    projection = weigh(amplitude)
    x, y, z = (weigh(amplitude * coordinate) for coordinate in view.unbind(-1))
    wave_x = -2j * math.pi * grid.frequency_x.to(view)
    wave_y = -2j * math.pi * grid.frequency_y.to(view)[:, None]
    change = [-wave_y * z, wave_x * z, wave_y * x - wave_x * y]
    change += [wave_x * projection, wave_y * projection]
    return projection, torch.stack(change, dim=1)
