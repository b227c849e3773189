"""A molecule as a sum of isotropic Gaussians."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import grid_sample

from cryomix.imaging.volume import Volume


@dataclass(frozen=True, slots=True)
class GaussianModel:
    """M(x) = Σⱼ Aⱼ exp(−|x − cⱼ|² / 2σⱼ²); leading dimensions are models.

    Attributes
    ----------
    center
        (x, y, z) from the box centre, Å.
    amplitude
        Peak density, arbitrary units.
    width
        σ, Å.
    """

    center: Float[Tensor, "*batch gaussians 3"]
    amplitude: Float[Tensor, "*batch gaussians"]
    width: Float[Tensor, "*batch gaussians"]

    def __len__(self) -> int:
        """Number of Gaussians."""
        return self.amplitude.shape[-1]

    def __getitem__(self, index: int | slice | Int[Tensor, "..."]) -> "GaussianModel":
        """Some of a batch of models."""
        return GaussianModel(self.center[index], self.amplitude[index], self.width[index])

    def subset(self, gaussians: Int[Tensor, "..."] | Bool[Tensor, "..."]) -> "GaussianModel":
        """Some of the Gaussians of each model."""
        return GaussianModel(
            self.center[..., gaussians, :],
            self.amplitude[..., gaussians],
            self.width[..., gaussians],
        )


def select_inside(model: GaussianModel, mask: Volume) -> Bool[Tensor, "gaussians"]:
    """Which Gaussians have their centre where `mask` is above one half."""
    n = mask.box_size
    voxel = torch.round(model.center / mask.voxel_size).long() + n // 2
    inside = ((voxel >= 0) & (voxel < n)).all(-1)
    x, y, z = voxel.clamp(0, n - 1).unbind(-1)
    return inside & (mask.density[z, y, x] > 0.5)


def mask_values(model: GaussianModel, mask: Volume) -> Float[Tensor, "gaussians"]:
    """Value of `mask` at the centre of each Gaussian, between voxels linearly; 0 off the grid."""
    n = mask.box_size
    place = (model.center / mask.voxel_size + n // 2) / (n - 1) * 2 - 1  # −1 and 1: end voxels
    density = mask.density.to(place)[None, None]
    value = grid_sample(density, place[None, :, None, None], align_corners=True)
    return value.flatten()


def render_volume(model: GaussianModel, box_size: int, voxel_size: float) -> Volume:
    """Density of one model in a cube of `box_size` voxels, centre at voxel n // 2."""
    axis = (torch.arange(box_size).to(model.center) - box_size // 2) * voxel_size
    density = model.center.new_zeros(box_size, box_size * box_size)
    for part in torch.arange(len(model)).split(256):
        offset = axis - model.center[part][..., None]  # (part, 3, n)
        factor = torch.exp(-0.5 * (offset / model.width[part][:, None, None]).square())
        x, y, z = factor.unbind(1)
        plane = (y[:, :, None] * x[:, None, :]).flatten(1)
        density += (z * model.amplitude[part][:, None]).mT @ plane
    return Volume(density.reshape(box_size, box_size, box_size), voxel_size)
