"""How alike maps are to the true states: areas under Fourier shell correlations."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Complex, Complex128, Float, Int64
from scipy import fft
from scipy.spatial.distance import cdist
from torch import Tensor

from cryomix.evaluation.truth import TrueStates, still_part
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.masking import apply_mask, soft_mask
from cryomix.imaging.volume import Volume, crop_volume

COMPARED_BOX = 32  # voxels of the edge on which states are compared with one another
_MASK_RESOLUTION = 15.0
_CHUNK = 256  # Gaussians rendered at once

Report = Callable[[int, int], None]


def shell_curve(first: Volume, second: Volume) -> Float[np.ndarray, "points"]:
    """Fourier shell correlation by the definition of CryoBench, neither clipped nor smoothed.

    Point i, up to n / 2 − 1, is at i / n cycles per voxel and holds the shell of radii from i − 1
    to below i Fourier voxels; point 0 is 1, and so is a shell in which a map is zero.
    """
    n = first.box_size
    if second.box_size != n:
        raise ValueError(f"boxes of {n} and {second.box_size} cannot be compared")
    a, b = _transform(first), _transform(second)
    full, half = np.fft.fftfreq(n) * n, np.fft.rfftfreq(n) * n
    squared = full[:, None, None] ** 2 + full[:, None] ** 2 + half**2
    # Whole numbers have exact roots, so that the lower edge belongs to its shell.
    shell = np.floor(np.sqrt(squared)).astype(np.int64).ravel() + 1
    # All columns but 0 and n / 2, which is beyond the last shell, stand for two.
    times = np.where(half > 0, 2.0, 1.0)

    def total(power: Float[np.ndarray, "n n half"]) -> Float[np.ndarray, "shells"]:
        return np.bincount(shell, weights=(power * times).ravel())[: n // 2]

    scale = np.sqrt(total(np.abs(a) ** 2) * total(np.abs(b) ** 2))
    cross = total((a * b.conj()).real)
    curve = np.where(scale > 0, cross / np.where(scale > 0, scale, 1), 1.0)
    curve[0] = 1
    return curve


def fsc_auc(first: Volume, second: Volume, mask: Volume | None = None) -> float:
    """Area under the Fourier shell correlation over 0 to Nyquist, in cycles per voxel.

    The definition of CryoBench: the `shell_curve` clipped to [0, 1], trapezoids between its
    points. Two equal maps of 128³ have 0.4921875, and noise has about 0.004.

    Parameters
    ----------
    first, second
        On the same grid.
    mask
        Applied to both, after the mean density around it was taken off: maps from images have
        lost their zero.
    """
    if mask is not None:
        first, second = apply_mask(first, mask), apply_mask(second, mask)
    curve = np.clip(shell_curve(first, second), 0, 1)
    return float(np.trapezoid(curve, np.arange(len(curve)) / first.box_size))


def largest_auc(box_size: int) -> float:
    """`fsc_auc` of a map with itself."""
    return (box_size // 2 - 1) / box_size


def render_states(states: TrueStates, report: Report | None = None) -> list[Volume]:
    """Density of each true state, with all detail up to Nyquist and none beyond it."""
    still = still_part(states.model)
    moving = states.model.subset(~still)
    n, size = states.box_size, states.pixel_size
    at_rest = _transform_of(states.model[0].subset(still), n, size)
    volumes = []
    for state in range(len(states)):
        total = at_rest + _transform_of(moving[state], n, size)
        volumes.append(_to_volume(total, n, size))
        if report is not None:
            report(state + 1, len(states))
    return volumes


def render_band_limited(model: GaussianModel, box_size: int, voxel_size: float) -> Volume:
    """Density of one model, without what lies beyond Nyquist.

    Narrow Gaussians that are sampled voxel by voxel alias; these are cut off in Fourier space.
    """
    return _to_volume(_transform_of(model, box_size, voxel_size), box_size, voxel_size)


def union_mask(volumes: Sequence[Volume]) -> Volume:
    """A soft mask around wherever any of the states has density."""
    largest = volumes[0].density
    for volume in volumes[1:]:
        largest = torch.maximum(largest, volume.density)
    size = volumes[0].voxel_size
    return soft_mask(Volume(largest, size), max(_MASK_RESOLUTION, 3 * size))


def state_distances(volumes: Sequence[Volume]) -> Float[np.ndarray, "states states"]:
    """How different the true densities are from one another, seen at coarse resolution."""
    box = min(COMPARED_BOX, volumes[0].box_size)
    flat = [crop_volume(volume, box).density.flatten().numpy() for volume in volumes]
    values = np.stack(flat).astype(np.float64)
    return cdist(values, values)


def neighboring_states(
    distance: Float[np.ndarray, "states states"], center: int, count: int
) -> tuple[Int64[np.ndarray, "near"], Float[np.ndarray, "near"]]:
    """The `count` states most like state `center`, itself among them, and their weights.

    Weights fall in a straight line from 1 at no distance to 0 at the first state left out.
    """
    order = np.argsort(distance[center], kind="stable")
    near = order[:count]
    if count >= len(order):
        reach = 1.1 * float(distance[center, near].max())
    else:
        reach = float(distance[center, order[count]])
    weight = np.ones(len(near)) if reach == 0 else 1 - distance[center, near] / reach
    # The farthest may be as far as the first left out, as on the two sides of a circle's point.
    kept = weight > 1e-6
    return near[kept].astype(np.int64), weight[kept]


def summarize(areas: Sequence[float], name: str) -> dict[str, float]:
    """Mean, standard deviation and median."""
    values = np.asarray(areas)
    return {
        name: float(values.mean()),
        f"{name}_std": float(values.std()),
        f"{name}_median": float(np.median(values)),
    }


def _transform_of(model: GaussianModel, n: int, voxel_size: float) -> Complex[Tensor, "n n half"]:
    full = torch.fft.fftfreq(n, voxel_size).to(model.center)
    half = torch.fft.rfftfreq(n, voxel_size).to(model.center)
    total = torch.zeros(n, n * len(half), dtype=torch.complex64)
    mass = model.amplitude * (2 * math.pi) ** 1.5 * model.width**3 / voxel_size**3
    for part in torch.arange(len(model)).split(_CHUNK):
        x, y, z = model.center[part].unbind(-1)
        width = model.width[part]
        plane = _factor(y, width, full)[:, :, None] * _factor(x, width, half)[:, None, :]
        total += (_factor(z, width, full) * mass[part, None]).mT @ plane.flatten(1)
    return total.reshape(n, n, len(half))


def _factor(
    position: Float[Tensor, "gaussians"],
    width: Float[Tensor, "gaussians"],
    frequency: Float[Tensor, "samples"],
) -> Complex[Tensor, "gaussians samples"]:
    decay = torch.exp(-2 * (math.pi * width[:, None] * frequency) ** 2)
    return torch.polar(decay, -2 * math.pi * position[:, None] * frequency)


def _to_volume(transform: Complex[Tensor, "n n half"], n: int, voxel_size: float) -> Volume:
    density = torch.fft.irfftn(transform, s=(n, n, n))
    return Volume(torch.fft.fftshift(density), voxel_size)


def _transform(volume: Volume) -> Complex128[np.ndarray, "n n half"]:
    density: np.ndarray = volume.density.detach().to(torch.float64).cpu().numpy()
    return np.asarray(fft.rfftn(density))
