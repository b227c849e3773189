"""What metadata alone can tell of a particle set: units, repeats, views, half sets."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from cryomix.geometry.poses import spread_poses
from cryomix.imaging.particles import Particles

_DIRECTIONS = 200
_NEAR_DEG = 15.0
_AT_ONCE = 65536
_EQUAL = 1e-4


@dataclass(frozen=True, slots=True)
class Plausibility:
    """Counts and ranges of the metadata.

    Attributes
    ----------
    defocus
        Least, median and greatest mean defocus, Å.
    overfocused
        Share of particles whose defocus is negative.
    astigmatism
        Greatest difference between the two defoci of an image, Å.
    shift
        Root mean square length of the shifts, Å.
    has_one_rotation
        Whether all rotations are the same.
    coverage
        Share of all directions, opposite ones taken as one, that have a view within 15°.
    repeated
        Rows that have the image and the pose of an earlier row.
    half_sets
        Particles of the first and of the second.
    """

    defocus: tuple[float, float, float]
    overfocused: float
    astigmatism: float
    shift: float
    has_one_rotation: bool
    coverage: float
    repeated: Int64[Tensor, "repeated"]
    half_sets: tuple[int, int]


def judge_metadata(particles: Particles) -> Plausibility:
    """Look through the metadata of all particles; no image is read."""
    ctf, poses = particles.ctf, particles.poses
    defocus = (ctf.defocus_u + ctf.defocus_v) / 2
    first = int((particles.half_set == 1).sum())
    return Plausibility(
        defocus=(float(defocus.min()), float(defocus.median()), float(defocus.max())),
        overfocused=float((defocus < 0).float().mean()),
        astigmatism=float((ctf.defocus_u - ctf.defocus_v).abs().max()),
        shift=float(poses.shift.square().sum(-1).mean().sqrt()),
        has_one_rotation=bool((poses.rotation - poses.rotation[:1]).abs().max() < _EQUAL),
        coverage=_coverage(poses.rotation),
        repeated=_repeated(particles),
        half_sets=(first, len(particles) - first),
    )


def measure_background(image: Float[Tensor, "images n n"]) -> tuple[float, float]:
    """Mean and standard deviation outside the largest circle, medians over the images."""
    n = image.shape[-1]
    axis = torch.arange(n) - n // 2
    outside = image[:, torch.hypot(axis[:, None].float(), axis.float()) > n // 2]
    return float(outside.mean(1).median()), float(outside.std(1).median())


def _coverage(rotation: Float[Tensor, "particles 3 3"]) -> float:
    # The beam in the model's frame; the view from behind holds the same projection.
    direction = spread_poses(2 * _DIRECTIONS).rotation[:_DIRECTIONS, 2]
    nearest = torch.zeros(len(direction))
    for part in rotation[:, 2].split(_AT_ONCE):
        nearest = torch.maximum(nearest, (part @ direction.T).abs().amax(0))
    return float((nearest > torch.tensor(_NEAR_DEG).deg2rad().cos()).float().mean())


def _repeated(particles: Particles) -> Int64[Tensor, "repeated"]:
    if particles.same_image is None:
        return torch.zeros(0, dtype=torch.long)
    pose = torch.cat([particles.poses.rotation.flatten(1), particles.poses.shift], 1)
    key = torch.cat([particles.image[:, None].double(), pose.double().mul(1e4).round()], 1)
    number = key.unique(dim=0, return_inverse=True)[1]
    first = torch.full((int(number.max()) + 1,), len(number))
    first = first.scatter_reduce(0, number, torch.arange(len(number)), "amin")
    return (first[number] != torch.arange(len(number))).nonzero()[:, 0]
