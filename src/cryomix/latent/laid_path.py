"""A path laid by hand, from the points that were given to evenly spaced steps."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.errors import OptionError
from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.geodesic import along_particles
from cryomix.latent.motion import displacement_along
from cryomix.latent.reduction import fit_pca
from cryomix.latent.trajectory import place_steps
from cryomix.latent.waypoints import (
    around_circle,
    smooth_through,
    straight_through,
    typical_radius,
)
from cryomix.options import PathKind, TrajectoryOptions

LEAST_MOTION = 0.1  # Å along the whole path; below, nothing moves that points could be spaced by


@dataclass(frozen=True, slots=True)
class LaidPath:
    """A path as it is written.

    Attributes
    ----------
    latent
        Its steps.
    length
        Of the curve that they lie on, in latent units.
    displacement
        Root mean square displacement along that curve, Å.
    is_closed
        Whether the step after the last is the first.
    """

    latent: Float[Tensor, "steps latent"]
    length: float
    displacement: float
    is_closed: bool


@dataclass(frozen=True, slots=True)
class Cloud:
    """Latents of the particles.

    Attributes
    ----------
    everyone
        All particles, whose principal axes are those of every map of them.
    seeing
        Those that see the motion: latents of others say where the prior is.
    """

    everyone: Float[Tensor, "particles latent"]
    seeing: Float[Tensor, "seeing latent"]


def lay_path(
    kind: PathKind,
    given: Float[Tensor, "points latent"],
    cloud: Cloud,
    decode: Callable[[Tensor], GaussianModel],
    options: TrajectoryOptions,
) -> LaidPath:
    """Steps equally far apart along the path of `kind` through the points that are `given`.

    Raises
    ------
    OptionError
        If there is no such path through these points, or nothing moves that steps could be spaced
        by.
    """
    path = _outline(kind, given, cloud, options)
    moved = displacement_along(decode(path))
    if options.spacing == "motion" and float(moved[-1]) < LEAST_MOTION:
        raise OptionError(
            f"spacing by motion needs Gaussians that move at least {LEAST_MOTION} Å along the "
            f"path, got {float(moved[-1]):.2g} Å; take --spacing latent"
        )
    is_closed = options.closed or kind == "circle"
    spaced_by = moved if options.spacing == "motion" else None
    steps = place_steps(path, options.steps, spaced_by, is_closed=is_closed)
    length = float(path.diff(dim=0).norm(dim=1).sum())
    return LaidPath(steps.latent, length, float(moved[-1]), is_closed)


def _outline(
    kind: PathKind, given: Tensor, cloud: Cloud, options: TrajectoryOptions
) -> Float[Tensor, "points latent"]:
    """Points close together along the path; of a closed one the last is the first."""
    if kind == "circle":
        if len(given) != 1:
            raise OptionError(f"a circle needs one point, its centre, got {len(given)}")
        plane = _plane(cloud.everyone, options)
        radius = options.radius or typical_radius(cloud.seeing, given[0], plane)
        return around_circle(given[0], plane, radius, options.second_radius)
    for name in ("radius", "second_radius"):
        if (value := getattr(options, name)) is not None:
            raise OptionError(f"{name} is a circle's, got {value:g} for {kind}")
    stops = torch.cat([given, given[:1]]) if options.closed else given
    if kind == "through":
        return smooth_through(stops, is_closed=options.closed)
    if kind == "straight":
        return straight_through(stops)
    return along_particles(cloud.seeing, stops)


def _plane(latent: Tensor, options: TrajectoryOptions) -> Float[Tensor, "2 latent"]:
    size = latent.shape[1]
    if max(options.plane) > size:
        raise OptionError(f"plane takes axes from 1 to {size}, got {options.plane}")
    principal = fit_pca(latent).basis if options.axes == "principal" else None
    rows = torch.eye(size) if principal is None else principal
    return rows[[number - 1 for number in options.plane]].to(latent)
