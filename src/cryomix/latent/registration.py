"""Where the rigid parts of one Gaussian model are in the density of others."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from cryomix.geometry.rigid_motion import RigidMotion, turn_by
from cryomix.imaging.gaussians import GaussianModel

BLUR = 6.0  # Å: parts of neighbouring states must overlap to find each other
_LARGEST_GRID = 48  # voxels of an edge
_STEPS = 12
_FIRST_DAMPING = 1e-3
_SETTLED = 1e-3  # of the residual


@dataclass(frozen=True, slots=True)
class CoarseGrid:
    """Cubic grid on which blurred densities are compared, centred on the box.

    Attributes
    ----------
    axis
        Coordinate of each voxel along x, y and z, Å.
    """

    axis: Float[Tensor, "n"]

    @property
    def voxel_size(self) -> float:
        """Å."""
        return float(self.axis[1] - self.axis[0])


def cover(models: GaussianModel) -> CoarseGrid:
    """A grid on which all `models` fit once they are blurred, at least as fine as the blur."""
    reach = float(models.center.abs().max()) + 2 * BLUR + 2 * float(models.width.max())
    n = min(_LARGEST_GRID, 2 * math.ceil(reach / BLUR) + 1)
    return CoarseGrid(torch.linspace(-reach, reach, n))


def blur(model: GaussianModel) -> GaussianModel:
    """The same masses, `BLUR` wider."""
    width = (model.width.square() + BLUR**2).sqrt()
    return GaussianModel(model.center, model.amplitude * (model.width / width) ** 3, width)


def sample_density(blurred: GaussianModel, grid: CoarseGrid) -> Float[Tensor, "n n n"]:
    """Density of one model on the grid, axes z, y, x."""
    x, y, z = _factors(blurred, grid)[0]
    return _sum_of_products(blurred.amplitude, z, y, x)


def centers_of_mass(
    model: GaussianModel, label: Int64[Tensor, "gaussians"], count: int
) -> Float[Tensor, "parts 3"]:
    """Of each of the `count` parts, Å."""
    mass = model.amplitude * model.width**3
    total = torch.zeros(count).index_add_(0, label, mass)
    moment = torch.zeros(count, 3).index_add_(0, label, mass[:, None] * model.center)
    return moment / total[:, None].clamp_min(1e-30)


def register_parts(
    density: Float[Tensor, "n n n"],
    parts: GaussianModel,
    label: Int64[Tensor, "gaussians"],
    start: RigidMotion,
    grid: CoarseGrid,
) -> RigidMotion:
    """How each rigid part has to move so that together they make `density`.

    Parameters
    ----------
    density
        Of another state, blurred, on the grid.
    parts
        Blurred Gaussians at rest.
    label
        Part of each, from 0 on.
    start
        One motion for each part, near enough for the part to overlap with its density.
    grid
        Where both are compared.

    Returns
    -------
    motion
        That with the least squared difference nearby, by damped Gauss–Newton steps.
    """
    pivot = centers_of_mass(parts, label, len(start))
    motion, damping = start, _FIRST_DAMPING
    difference, columns = _linearize(density, parts, label, motion, pivot, grid)
    error = float(difference.square().sum())
    for _ in range(_STEPS):
        normal = columns @ columns.T
        floor = damping * normal.diagonal().clamp_min(1e-12 * normal.diagonal().max())
        step = torch.linalg.solve(normal + floor.diag(), columns @ difference)
        tried = _moved_by(motion, pivot, step.reshape(-1, 6))
        new_difference, new_columns = _linearize(density, parts, label, tried, pivot, grid)
        new_error = float(new_difference.square().sum())
        if new_error < error:
            gain = (error - new_error) / error
            motion, difference, columns, error = tried, new_difference, new_columns, new_error
            damping /= 10
            if gain < _SETTLED:
                break
        else:
            damping *= 10
            if damping > 1:
                break
    return motion


def _moved_by(
    motion: RigidMotion, pivot: Float[Tensor, "parts 3"], step: Float[Tensor, "parts 6"]
) -> RigidMotion:
    """`motion`, then a shift by the first three and a turn about the moved pivot by the others."""
    turn = turn_by(step[:, 3:])
    center = torch.einsum("pij,pj->pi", motion.rotation, pivot) + motion.shift
    turned = torch.einsum("pij,pj->pi", turn, motion.shift - center)
    return RigidMotion(turn @ motion.rotation, turned + center + step[:, :3])


def _linearize(
    density: Float[Tensor, "n n n"],
    parts: GaussianModel,
    label: Int64[Tensor, "gaussians"],
    motion: RigidMotion,
    pivot: Float[Tensor, "parts 3"],
    grid: CoarseGrid,
) -> tuple[Float[Tensor, "voxels"], Float[Tensor, "columns voxels"]]:
    """What is left of `density`, and how each shift and turn would change the parts' density."""
    left, columns = density.clone(), []
    for part, center in enumerate(pivot):
        one, some = motion[part], parts.subset(label == part)
        moved = GaussianModel(one.apply(some.center), some.amplitude, some.width)
        arm = moved.center - one.apply(center[None])
        (x, y, z), (dx, dy, dz) = _factors(moved, grid)
        a = some.amplitude
        left -= _sum_of_products(a, z, y, x)
        columns += [
            _sum_of_products(a, z, y, dx),
            _sum_of_products(a, z, dy, x),
            _sum_of_products(a, dz, y, x),
            # A turn moves a point along axis × arm.
            _sum_of_products(a * arm[:, 1], dz, y, x) - _sum_of_products(a * arm[:, 2], z, dy, x),
            _sum_of_products(a * arm[:, 2], z, y, dx) - _sum_of_products(a * arm[:, 0], dz, y, x),
            _sum_of_products(a * arm[:, 0], z, dy, x) - _sum_of_products(a * arm[:, 1], z, y, dx),
        ]
    return left.flatten(), torch.stack(columns).flatten(1)


def _factors(
    model: GaussianModel, grid: CoarseGrid
) -> tuple[Float[Tensor, "3 gaussians n"], Float[Tensor, "3 gaussians n"]]:
    """A Gaussian's three factors, along x, y, z, and their change with its centre."""
    offset = grid.axis - model.center.T[..., None]
    value = torch.exp(-0.5 * (offset / model.width[:, None]).square())
    return value, value * offset / model.width.square()[:, None]


def _sum_of_products(
    amplitude: Float[Tensor, "gaussians"],
    z: Float[Tensor, "gaussians n"],
    y: Float[Tensor, "gaussians n"],
    x: Float[Tensor, "gaussians n"],
) -> Float[Tensor, "n n n"]:
    n = z.shape[1]
    total = torch.zeros(n, n * n)
    for part in torch.arange(len(amplitude)).split(512):
        plane = (y[part, :, None] * x[part, None, :]).flatten(1)
        total += (z[part] * amplitude[part, None]).T @ plane
    return total.reshape(n, n, n)
