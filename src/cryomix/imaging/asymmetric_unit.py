"""How symmetric a map is, and which Gaussians of a symmetric model make up one unit."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import spread_poses
from cryomix.geometry.symmetry import expand_poses
from cryomix.imaging.correlation import ring_correlation
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.volume import Volume, project_volume, transform_volume

_VIEWS = 24
_STARTS = 24
_ROUNDS = 40


def symmetry_correlation(
    volume: Volume, generators: Float[Tensor, "generators 3 3"], resolution: float
) -> float:
    """Mean FRC between views of a map and the views that its symmetry makes equal to them.

    Over all rings to `resolution` Å, of the one of `generators` for which it is least; 1 for a
    map that has the symmetry about the centre of its box.
    """
    grid = FourierGrid(volume.box_size, volume.voxel_size)
    last = max(grid.ring_of(resolution), 1)
    transform = transform_volume(volume)
    views = spread_poses(_VIEWS)
    seen = project_volume(transform, views, grid)
    means = [
        ring_correlation(seen, project_volume(transform, expand_poses(views, one), grid), grid)
        for one in generators[:, None]
    ]
    return min(float(frc[:, 1 : last + 1].mean()) for frc in means)


def asymmetric_unit(
    model: GaussianModel, group: Float[Tensor, "order 3 3"]
) -> Bool[Tensor, "gaussians"]:
    """Which Gaussians make up one unit of a model that has the symmetry of `group`.

    Those that lie nearer to the unit's centre than to its images under the group; the centre is
    the centre of mass of the unit, which makes it compact. The regions of all units are images of
    each other and fill space: a wedge for Cn. Of several starts the most compact unit is taken.
    """
    mass = (model.amplitude * model.width**3).double()
    image = torch.einsum("gij,nj->gni", group.double(), model.center.double())
    # Starts far from the axes: on an axis all images of a centre fall together.
    heavy = mass * model.center.double().square().sum(-1)
    starts = model.center[heavy.argsort(descending=True)[:: max(len(heavy) // _STARTS, 1)]]
    found = [_settle(image, mass, start.double()) for start in starts]
    nearest, _ = min(found, key=lambda unit: unit[1])
    return nearest == 0


def unit_overlap(
    model: GaussianModel,
    inside: Bool[Tensor, "gaussians"],
    group: Float[Tensor, "order 3 3"],
) -> float:
    """Largest share of the mass `inside` that an element of `group` takes to where `inside` is.

    A place is inside if the Gaussian nearest to it is. 0 for a unit, 1 for all of a model.
    """
    center = model.center[inside].double()
    mass = (model.amplitude * model.width**3)[inside].double()
    shares = [0.0]
    for element in group[1:].double():
        nearest = torch.cdist(center @ element.mT, model.center.double()).argmin(1)
        shares.append(float(mass[inside[nearest]].sum() / mass.sum()))
    return max(shares)


def _settle(
    image: Float[Tensor, "order gaussians 3"],
    mass: Float[Tensor, "gaussians"],
    center: Float[Tensor, "3"],
) -> tuple[Int64[Tensor, "gaussians"], float]:
    """The element that takes each Gaussian into the unit around `center`, and its spread, Å²."""
    for _ in range(_ROUNDS):
        square, element = (image - center).square().sum(-1).min(0)
        inside = image.gather(0, element[None, :, None].expand(1, -1, 3))[0]
        center = (mass[:, None] * inside).sum(0) / mass.sum()
    return element, float((mass * square).sum() / mass.sum())
