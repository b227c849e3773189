"""Views of a map that Gaussians are fitted to, and how well other views agree."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses, spread_poses
from cryomix.imaging.correlation import ring_correlation
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.projection import project_gaussians
from cryomix.imaging.volume import Volume, crop_volume, project_volume, transform_volume

_VALIDATION_VIEWS = 60


@dataclass(frozen=True, slots=True)
class MapViews:
    """Projections of a map, band-limited by their sampling.

    Attributes
    ----------
    image_ft
        Of each view.
    poses
        Spread evenly.
    grid
        The coarsest that shows the resolution asked for.
    last_ring
        That of the resolution.
    """

    image_ft: Complex[Tensor, "views rows columns"]
    poses: Poses
    grid: FourierGrid
    last_ring: int

    @property
    def box_length(self) -> float:
        """Edge of the box, Å."""
        return self.grid.box_length

    @staticmethod
    def of(volume: Volume, resolution: float, count: int, offset: int = 0) -> "MapViews":
        """`count` views of `volume`; those of offset 1 lie between those of offset 0."""
        length = volume.box_size * volume.voxel_size
        box_size = min(volume.box_size, max(2 * int(1.25 * length / resolution + 1), 16))
        # Twice the asked views, every second one: the others are left for validation.
        poses = spread_poses(2 * count)[offset::2]
        grid = FourierGrid(box_size, length / box_size)
        transform = transform_volume(crop_volume(volume, box_size))
        image_ft = project_volume(transform, poses, grid)
        return MapViews(image_ft, poses, grid, grid.ring_of(resolution))

    @staticmethod
    def between(volume: Volume, resolution: float) -> "MapViews":
        """Views for validation, between those that are fitted."""
        return MapViews.of(volume, resolution, _VALIDATION_VIEWS, offset=1)

    def filtered(self, share: Float[Tensor, "rings"]) -> "MapViews":
        """The same views, each ring times its `share`; beyond Nyquist they are zero."""
        weight = share[self.grid.ring.clamp(max=len(share) - 1)]
        return replace(self, image_ft=self.image_ft * weight)

    def band_mean(self, values: Float[Tensor, "rings"]) -> float:
        """Mean of `values` from ring 1 to the resolution."""
        return float(values[1 : self.last_ring + 1].mean())


def validate_model(
    model: GaussianModel, volume: Volume, resolution: float
) -> Float[Tensor, "rings"]:
    """Mean FRC per ring of `model` with views of `volume` between those that are fitted."""
    views = MapViews.between(volume, resolution)
    with torch.no_grad():
        projection = project_gaussians(model, views.poses, views.grid)
        return ring_correlation(projection, views.image_ft, views.grid).mean(0)


def agreement_of(first: Volume, second: Volume, resolution: float) -> Float[Tensor, "rings"]:
    """Mean FRC of the views of two half maps: the share of signal in the power of either."""
    one, other = (MapViews.between(volume, resolution) for volume in (first, second))
    return ring_correlation(one.image_ft, other.image_ft, one.grid).mean(0)
