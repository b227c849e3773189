"""A neutral model grown by the Gaussians that it lacks."""

import math
from collections.abc import Callable

import torch

from cryomix.fitting.neutral import WIDTH_PER_RESOLUTION, fit_neutral
from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.missing_density import MissingDensity
from cryomix.imaging.volume import Volume, low_pass
from cryomix.options import NeutralOptions

_LEAST_AMPLITUDE, _GREATEST_AMPLITUDE = 0.01, 0.99  # of network units, which are in (0, 1)


def grow_model(
    model: GaussianModel,
    missing: MissingDensity,
    base_width: float,
    *,
    seed: int,
    report: Callable[[str], None],
) -> GaussianModel:
    """`model`, and after it Gaussians that show what it lacks.

    They are as dense as those of `model`, are fitted to the missing density as a neutral model
    is to its map, and get its strength by least squares.
    """
    resolution = base_width / WIDTH_PER_RESOLUTION  # that of widths around the base width
    count = max(1, math.ceil(len(model) * missing.extent))
    # A low target, because it is their number that counts: what is missing is smeared and noisy.
    options = NeutralOptions(
        resolution=resolution, frc=0.01, start_gaussians=count, most_gaussians=count, seed=seed
    )
    added = fit_neutral(missing.volume, options, mask=missing.region, report=report).model
    amplitude = (added.amplitude * _strength(added, missing, resolution)).clamp(
        _LEAST_AMPLITUDE, _GREATEST_AMPLITUDE
    )
    return GaussianModel(
        torch.cat([model.center, added.center]),
        torch.cat([model.amplitude, amplitude]),
        torch.cat([model.width, added.width]),
    )


def _strength(added: GaussianModel, missing: MissingDensity, resolution: float) -> float:
    """Of the missing density over that of `added`."""
    volume = missing.volume
    rendered = low_pass(render_volume(added, volume.box_size, volume.voxel_size), resolution)
    density = rendered.density * missing.region.density
    target = Volume(volume.density * missing.region.density, volume.voxel_size)
    return float((density * target.density).sum() / density.square().sum().clamp_min(1e-20))
