"""Density that the particles show and a model lacks."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.masking import soft_mask
from cryomix.imaging.volume import Volume, low_pass

LEAST_SHARE_OF_PEAK = 0.05  # what a mask counts as molecule, too
LEAST_DEVIATIONS = 5.0  # of the noise
_MISFIT = 0.2  # a fit to a mean FRC of 0.95 leaves less than this of the density beside it
_COARSE = 2.0  # times the resolution: where significance is judged
_KNOTS = 4  # of the strength of the model, from frequency 0 to the resolution
_LEAST_GAIN = 0.1  # of the greatest: where the map is weaker, it is not sharpened further


@dataclass(frozen=True, slots=True)
class MissingDensity:
    """What a model lacks.

    Attributes
    ----------
    volume
        Map of the particles minus the model, in the model's units, to the resolution compared.
    region
        Soft mask around what is significant.
    mass
        Of what is significant, as a share of the model's.
    extent
        Voxels that are significant, as a share of those that the model fills.
    """

    volume: Volume
    region: Volume
    mass: float
    extent: float


def find_missing_density(
    model: GaussianModel,
    first: Volume,
    second: Volume,
    resolution: float,
    within: Volume | None = None,
) -> MissingDensity | None:
    """Where two half maps of the particles show more than `model`, or None if nowhere.

    Parameters
    ----------
    model
        In any units, sharpened in any way: its strength in the maps is found by least squares.
    first, second
        Half maps, unfiltered, on one grid. Their difference is the noise.
    resolution
        Finest detail compared, Å.
    within
        A mask on the same grid, outside of which nothing is missing.

    Returns
    -------
    missing
        Connected density that exceeds, at twice `resolution`, five standard deviations of the
        noise, 5 % of the model's peak, and a fifth of the model's own density beside it, which is
        how far a good fit may be from its map. Specks smaller than a sphere whose diameter is
        `resolution` are noise or misfit.
    """
    size = first.voxel_size
    rendered = render_volume(model, first.box_size, size)
    mean, noise = (_half(first, second, sign) for sign in (1.0, -1.0))
    expected, seen = (low_pass(volume, resolution).density for volume in (rendered, mean))
    gain = _fit_gain(expected, seen, first.box_size * size / resolution)
    lacking = low_pass(Volume(_divide(seen, gain) - expected, size), resolution)
    noise = Volume(_divide(noise.density, gain), size)
    is_missing, filled, zero = _judge(rendered, lacking, noise, resolution)
    if within is not None:
        is_missing &= within.density > 0.5
    is_missing = _without_specks(is_missing, np.pi / 6 * (resolution / size) ** 3)
    if not bool(is_missing.any()):
        return None
    density = lacking.density - zero
    significant = torch.where(is_missing, density, 0.0)
    return MissingDensity(
        Volume(density, size),
        soft_mask(Volume(significant, size), resolution),
        float(significant.sum() / rendered.density.sum()),
        float(is_missing.sum() / filled),
    )


def _judge(
    rendered: Volume, lacking: Volume, noise: Volume, resolution: float
) -> tuple[Bool[Tensor, "n n n"], int, float]:
    """Where `lacking` is significant, how many voxels the model fills, and the solvent's density.

    What a moving domain leaves is smooth; without fine detail there is less noise and misfit.
    """
    model_there, lacking_there, noise_there = (
        low_pass(volume, _COARSE * resolution).density for volume in (rendered, lacking, noise)
    )
    peak = float(model_there.max())
    # The mean of an image is lost, so that a map has no zero: the solvent's density is the zero.
    outside = model_there < 0.01 * peak
    zero = float(lacking_there[outside].median()) if bool(outside.any()) else 0.0
    floor = max(LEAST_DEVIATIONS * float(noise_there.std()), LEAST_SHARE_OF_PEAK * peak)
    beside = torch.from_numpy(ndimage.maximum_filter(model_there.numpy(), size=3))
    is_missing = lacking_there - zero > (_MISFIT * beside).clamp_min(floor)
    filled = max(1, int((model_there > floor).sum()))
    return is_missing & _inscribed_sphere(model_there), filled, zero


def _half(first: Volume, second: Volume, sign: float) -> Volume:
    return Volume((first.density + sign * second.density) / 2, first.voxel_size)


def _fit_gain(
    rendered: Float[Tensor, "n n n"], seen: Float[Tensor, "n n n"], last_shell: float
) -> Float[Tensor, "n n columns"]:
    """Strength of `rendered` in `seen`, piecewise linear in the frequency.

    With few pieces, what the model lacks cannot be taken for a change of its strength.
    """
    n = len(rendered)
    y, x = torch.fft.fftfreq(n) * n, torch.fft.rfftfreq(n) * n
    shell = torch.sqrt(y[:, None, None] ** 2 + y[None, :, None] ** 2 + x**2)
    position = (shell / last_shell * (_KNOTS - 1)).clamp_max(_KNOTS - 1)
    weight = [(1 - (position - knot).abs()).clamp_min(0) for knot in range(_KNOTS)]
    transform = torch.fft.rfftn(rendered)
    parts = [torch.fft.irfftn(transform * w, s=rendered.shape).flatten() for w in weight]
    design = torch.stack([*parts, torch.ones(n**3)], dim=1).double()
    normal = design.mT @ design
    value = torch.linalg.lstsq(normal, design.mT @ seen.flatten().double()).solution.float()
    gain = sum((w * v for w, v in zip(weight, value[:-1], strict=True)), torch.zeros_like(shell))
    return gain.clamp_min(_LEAST_GAIN * float(gain.max().clamp_min(1e-20)))


def _divide(
    density: Float[Tensor, "n n n"], gain: Float[Tensor, "n n columns"]
) -> Float[Tensor, "n n n"]:
    return torch.fft.irfftn(torch.fft.rfftn(density) / gain, s=density.shape)


def _inscribed_sphere(density: Float[Tensor, "n n n"]) -> Bool[Tensor, "n n n"]:
    """No view shows what lies in the corners of the box in full."""
    n = len(density)
    axis = torch.arange(n) - n // 2
    square = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
    return square < (n / 2 - 1) ** 2


def _without_specks(inside: Bool[Tensor, "n n n"], least: float) -> Bool[Tensor, "n n n"]:
    label, _ = ndimage.label(inside.numpy())
    size = np.bincount(label.ravel())
    size[0] = 0
    return torch.from_numpy((size >= least)[label])
