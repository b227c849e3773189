"""The states that a molecule can take, and the maps that they add up to."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.volume import Volume, crop_volume

_CHUNK = 2048
_REACH = 5.0  # widths; beyond it a Gaussian has less than 4e-6 of its peak


@dataclass(frozen=True, slots=True)
class MovingMolecule:
    """The states that a molecule can take.

    Attributes
    ----------
    states
        One model per state; all Gaussians have one width.
    coordinate
        Position along the motion, 0 to 1; on a circle 1 would be 0 again. 0 where nothing moves.
    has_ligand
        0 or 1 per state; None where there is no ligand.
    moving
        Indices of the Gaussians that move; of the ligand's where nothing moves.
    cyclic
        Whether the motion closes on itself.
    second_coordinate
        Position along a second motion, which does not depend on the first; None without one.
    place
        (x, y, z) of the box centre in the frame of the file that the molecule came from, Å.
    """

    states: GaussianModel
    coordinate: Float[Tensor, "states"]
    has_ligand: Int64[Tensor, "states"] | None
    moving: Int64[Tensor, "moving"]
    cyclic: bool
    second_coordinate: Float[Tensor, "states"] | None = None
    place: tuple[float, float, float] | None = None

    @property
    def width(self) -> float:
        """Of every Gaussian, Å."""
        return float(self.states.width.flatten()[0])

    @property
    def radius(self) -> float:
        """Distance of the outermost Gaussian of all states from the box centre, Å."""
        return float(self.states.center.norm(dim=-1).max())


def mean_volume(molecule: MovingMolecule, grid: FourierGrid) -> Volume:
    """Mean density of the states: what a consensus refinement would show at best."""
    states = molecule.states
    still = (states.center == states.center[0]).all(-1).all(0)
    center = torch.cat([states.center[0, still], states.center[:, ~still].flatten(0, 1)])
    share = states.amplitude / len(molecule.coordinate)
    amplitude = torch.cat([share[:, still].sum(0), share[:, ~still].flatten()])
    # Gaussians of less than a pixel would alias if they were sampled at pixels.
    finer = 1 if molecule.width >= grid.pixel_size else 2
    fine = FourierGrid(finer * grid.box_size, grid.pixel_size / finer)
    density = Volume(_spread(center, amplitude, molecule.width, fine), fine.pixel_size)
    mean = crop_volume(density, grid.box_size).density
    return Volume(mean, grid.pixel_size, _origin(molecule, grid))


def moving_region(molecule: MovingMolecule, grid: FourierGrid) -> Volume:
    """Soft mask, 0 to 1, of the places that the moving Gaussians visit."""
    center = molecule.states.center[:, molecule.moving].flatten(0, 1)
    density = _spread(center, torch.ones(len(center)), 1.5 * molecule.width, grid)
    mask = (density / (0.05 * density.max())).clamp(0, 1)
    return Volume(mask, grid.pixel_size, _origin(molecule, grid))


def _spread(
    center: Float[Tensor, "gaussians 3"],
    amplitude: Float[Tensor, "gaussians"],
    width: float,
    grid: FourierGrid,
) -> Float[Tensor, "n n n"]:
    """Density of Gaussians of one width, each only where it is not zero.

    A state per frame makes hundreds of thousands of them, for which the dense sum of
    `render_volume` would take minutes.
    """
    n = grid.box_size
    reach = math.ceil(_REACH * width / grid.pixel_size)
    window = torch.arange(-reach, reach + 1)
    density = center.new_zeros(n**3)
    for part in torch.arange(len(center)).split(_CHUNK):
        pixel = center[part] / grid.pixel_size
        voxel = pixel.round().long()[..., None] + window  # (part, 3, window)
        offset = (voxel - pixel[..., None]) * (grid.pixel_size / width)
        voxel = voxel + n // 2
        inside = (voxel >= 0) & (voxel < n)
        factor = torch.where(inside, torch.exp(-0.5 * offset.square()), 0.0)
        x, y, z = factor.unbind(1)
        column, row, section = voxel.clamp(0, n - 1).unbind(1)
        plane = (amplitude[part, None] * z)[:, :, None] * y[:, None, :]
        line = section[:, :, None] * n + row[:, None, :]
        value = plane[..., None] * x[:, None, None, :]
        place = line[..., None] * n + column[:, None, None, :]
        density.index_add_(0, place.flatten(), value.flatten())
    return density.reshape(n, n, n)


def _origin(molecule: MovingMolecule, grid: FourierGrid) -> tuple[float, float, float]:
    """Where voxel (0, 0, 0) lies in the frame of the molecule's file, if it came from one."""
    if molecule.place is None:
        return (0.0, 0.0, 0.0)
    corner = grid.box_size // 2 * grid.pixel_size
    x, y, z = molecule.place
    return (x - corner, y - corner, z - corner)
