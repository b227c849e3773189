"""The one place where network units, each in (0, 1), meet Å."""

import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.imaging.gaussians import GaussianModel


def to_physical_units(
    unit: Float[Tensor, "*batch gaussians 5"], box_length: float, width: float
) -> GaussianModel:
    """Turn network outputs, each in (0, 1), into Gaussians in Å.

    Centres span the box, amplitudes (0, 1) and widths (0.5, 1.5) times `width`, as in the paper.
    """
    return GaussianModel(
        center=(unit[..., :3] - 0.5) * box_length,
        amplitude=unit[..., 3],
        width=(unit[..., 4] + 0.5) * width,
    )


def to_network_units(
    model: GaussianModel, box_length: float, width: float
) -> Float[Tensor, "*batch gaussians 5"]:
    """Inverse of `to_physical_units`.

    Raises
    ------
    ValueError
        If a centre, amplitude or width lies outside what the network can reach.
    """
    unit = torch.cat(
        [
            model.center / box_length + 0.5,
            model.amplitude[..., None],
            (model.width / width - 0.5)[..., None],
        ],
        dim=-1,
    )
    if not bool(((unit > 0) & (unit < 1)).all()):
        raise ValueError("a Gaussian lies outside the box, or its amplitude or width is too large")
    return unit
