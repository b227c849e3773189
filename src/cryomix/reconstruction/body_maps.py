"""One map from particles whose rigid bodies have moved, each body seen where it is at rest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from scipy import ndimage
from torch import Tensor

from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.volume import Volume
from cryomix.reconstruction.resolution import HalfMaps, half_map_correlation, resolution_at

AGREED = 0.5  # FSC: blurred density agrees with itself far beyond, at low values
LEAST_GAIN = 0.02  # of the mean FSC, for a map that was improved
_REACH = 8.0  # Å: over which one body's map goes over into another's
_CHUNK = 64  # Gaussians


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether carrying back moved parts has helped where they move.

    Attributes
    ----------
    before, after
        FSC of the half maps inside the moving region: of the consensus, and of the improved map.
    voxel_size
        Å.
    box_size
        Voxels.
    """

    before: Float[Tensor, "shells"]
    after: Float[Tensor, "shells"]
    voxel_size: float
    box_size: int

    @property
    def resolutions(self) -> tuple[float, float]:
        """Where the FSC falls to 0.5, before and after, Å."""
        before, after = (
            resolution_at(fsc, self.voxel_size, AGREED, box_size=self.box_size)
            for fsc in (self.before, self.after)
        )
        return before, after

    @property
    def helped(self) -> bool:
        """Whether the resolution is no worse and the mean FSC to Nyquist clearly higher."""
        before, after = self.resolutions
        gain = self.after[1:].clamp(min=0).mean() - self.before[1:].clamp(min=0).mean()
        return after <= before and float(gain) > LEAST_GAIN


def judge(before: HalfMaps, after: HalfMaps, region: Volume) -> Verdict:
    """Compare half maps of the consensus and of the improved map inside the moving `region`."""
    first, last = (half_map_correlation(halves, region) for halves in (before, after))
    return Verdict(first, last, region.voxel_size, region.box_size)


def moving_region(
    rest: GaussianModel, moving: Bool[Tensor, "gaussians"], box_size: int, voxel_size: float
) -> Volume:
    """A mask around the Gaussians that move, where they are at rest.

    Close to them, so that as little as possible of what is still is inside: 1 where their density
    exceeds a tenth of its maximum, falling to 0 over two voxels, at least 6 Å.
    """
    density = render_volume(rest.subset(moving), box_size, voxel_size).density.numpy()
    inside = density > 0.1 * density.max()
    distance = ndimage.distance_transform_edt(~inside) * voxel_size
    rim = torch.from_numpy(distance / max(6.0, 2 * voxel_size)).clamp(0, 1)
    return Volume((0.5 + 0.5 * torch.cos(math.pi * rim)).float(), voxel_size)


def body_shares(
    rest: GaussianModel, label: Int64[Tensor, "gaussians"], box_size: int, voxel_size: float
) -> list[Volume]:
    """How much of each voxel belongs to each body; 1 together.

    Nearly 1 for the body with the nearest Gaussians, also far out in the solvent; borders are soft.
    """
    axis = (torch.arange(box_size, dtype=torch.float64) - box_size // 2) * voxel_size
    shape = (int(label.max()) + 1, box_size, box_size, box_size)
    density = torch.full(shape, 1e-300, dtype=torch.float64)
    for body, total in enumerate(density):
        some = rest.subset(label == body)
        for part in torch.arange(len(some)).split(_CHUNK):
            offset = (axis - some.center[part][..., None]) / _REACH
            x, y, z = torch.exp(-0.5 * offset.square()).unbind(1)
            mass = (some.amplitude * some.width**3)[part].double()
            plane = (y[:, :, None] * x[:, None, :]).flatten(1)
            total += ((z * mass[:, None]).T @ plane).reshape(total.shape)
    share = density / density.sum(dim=0)
    return [Volume(one.float(), voxel_size) for one in share]


def blend(maps: Sequence[HalfMaps], shares: Sequence[Volume]) -> HalfMaps:
    """Each body from its own map."""

    def mix(volumes: Sequence[Volume]) -> Volume:
        parts = [one.density * share.density for one, share in zip(volumes, shares, strict=True)]
        return Volume(torch.stack(parts).sum(dim=0), volumes[0].voxel_size, volumes[0].origin)

    return HalfMaps(mix([one.first for one in maps]), mix([one.second for one in maps]))
