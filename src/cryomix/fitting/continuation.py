"""Where a second training begins: the model that a first one has of some of its particles."""

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.fitting.units import to_network_units, to_physical_units
from cryomix.imaging.gaussians import GaussianModel

if TYPE_CHECKING:
    from cryomix.fitting.trained_model import TrainedModel

_SAMPLE = 2000
_AT_ONCE = 100
_MARGIN = 1e-3  # of the range of a parameter: a logit needs to be finite


def mean_model(
    model: "TrainedModel", latent: Float[Tensor, "particles latent"], seed: int
) -> GaussianModel:
    """Mean centre, amplitude and width of each Gaussian over the models at `latent`.

    With many particles, over two thousand of them. Parameters stay within what a network can reach.
    """
    order = torch.randperm(len(latent), generator=torch.Generator().manual_seed(seed))
    some = latent[order[:_SAMPLE].sort().values]
    total = torch.zeros_like(model.decoder.logit, dtype=torch.float64)
    for part in some.split(_AT_ONCE):
        models = model.decode(part)
        values = [models.center, models.amplitude[..., None], models.width[..., None]]
        total += torch.cat(values, dim=-1).double().sum(0)
    mean = (total / len(some)).float()
    units = (model.settings.grid.box_length, model.settings.base_width)
    found = GaussianModel(mean[:, :3], mean[:, 3], mean[:, 4])
    # Decoded amplitudes may be 0, which no logit reaches.
    found = GaussianModel(found.center, found.amplitude.clamp(_MARGIN, 1 - _MARGIN), found.width)
    return to_physical_units(to_network_units(found, *units).clamp(_MARGIN, 1 - _MARGIN), *units)
