"""The frame of the maps of a job, in which other programs see them and place atoms."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.imaging.volume import Volume


@dataclass(frozen=True, slots=True)
class MapFrame:
    """Where the box centre lies, and the grid that maps are written on.

    Attributes
    ----------
    box_size
        Edge, voxels.
    voxel_size
        Å.
    origin
        (x, y, z) of voxel (0, 0, 0), Å.
    """

    box_size: int
    voxel_size: float
    origin: tuple[float, float, float]

    @property
    def center(self) -> Float[Tensor, "3"]:
        """(x, y, z) of the box centre, voxel n // 2, Å; float64."""
        origin = torch.tensor(self.origin, dtype=torch.float64)
        return origin + self.box_size // 2 * self.voxel_size

    def place(self, point: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 3"]:
        """Points given from the box centre, in the frame of the maps, Å; float64."""
        return point.double() + self.center.to(point.device)


def frame_of(volume: Volume) -> MapFrame:
    """The frame of a map, as ChimeraX and others take it: by its origin and voxel size."""
    return MapFrame(volume.box_size, volume.voxel_size, volume.origin)
