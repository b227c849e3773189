"""The projection of a Gaussian model into images: one public function for every device."""

import torch
from jaxtyping import Complex
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.projection_factorized import project_gaussians_factorized
from cryomix.imaging.projection_gridding import project_gaussians_gridding


def project_gaussians(
    model: GaussianModel, poses: Poses, grid: FourierGrid
) -> Complex[Tensor, "particles rows columns"]:
    """Fourier transform of the line integral of `model` seen from each pose.

    Parameters
    ----------
    model
        One model for all poses, or one per pose.
    poses
        P placements.
    grid
        Sampling of the images.

    Returns
    -------
    projection
        (P, n, n // 2 + 1); phases measured from the image centre; scaled so that `to_real`
        of it is the line integral, density × Å.

    Notes
    -----
    Single precision on the CPU is gridded (relative error per ring below 1e-3 up to 0.9 of
    Nyquist); double precision, the precision in which gradients are checked, and other devices
    use the exact matrix product.
    """
    if model.center.device.type == "cpu" and model.center.dtype == torch.float32:
        return project_gaussians_gridding(model, poses, grid)
    return project_gaussians_factorized(model, poses, grid)
