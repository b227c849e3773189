"""The projection of a Gaussian model into images: one public function for every device."""

import importlib.util
from collections.abc import Callable

import torch
from jaxtyping import Complex
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.projection_factorized import project_gaussians_factorized
from cryomix.imaging.projection_gridding import project_gaussians_gridding


def project_gaussians(
    model: GaussianModel, poses: Poses, grid: FourierGrid, *, tolerance: float = 1e-3
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
    tolerance
        Bound of the relative error per ring up to 0.9 of Nyquist, 1e-4 to 0.1, where the
        kernel is not exact.

    Returns
    -------
    projection
        (P, n, n // 2 + 1); phases measured from the image centre; scaled so that `to_real`
        of it is the line integral, density × Å.

    Notes
    -----
    Single precision on the CPU and on a GPU with Triton is gridded; double precision, the
    precision in which gradients are checked, and other devices use the exact matrix product.
    """
    kernel = _kernel_for(model.center.device, model.center.dtype)
    if kernel is project_gaussians_factorized:
        return kernel(model, poses, grid)
    return kernel(model, poses, grid, tolerance=tolerance)


def _kernel_for(device: torch.device, dtype: torch.dtype) -> Callable[..., Tensor]:
    if dtype == torch.float32 and device.type == "cpu":
        return project_gaussians_gridding
    if dtype == torch.float32 and device.type == "cuda" and _has_triton(device):
        # Triton is not everywhere, and slow to import: only where it is used.
        from cryomix.imaging.projection_triton import project_gaussians_triton

        return project_gaussians_triton
    return project_gaussians_factorized


def _has_triton(device: torch.device) -> bool:
    """Whether `device` is one that the GPU kernel is made for: Nvidia's, Ampere or later."""
    if importlib.util.find_spec("triton") is None or torch.version.hip is not None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)
