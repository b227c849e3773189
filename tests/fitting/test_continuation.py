"""The model from which a second training begins."""

import torch

from cryomix.fitting.continuation import mean_model
from cryomix.fitting.units import to_network_units


def test_it_is_the_mean_of_the_models_of_the_particles(untrained):
    latent = torch.randn(230, 1)
    models = untrained.decode(latent)
    found = mean_model(untrained, latent, seed=0)
    for name in ("center", "amplitude", "width"):
        torch.testing.assert_close(getattr(found, name), getattr(models, name).mean(0))


def test_what_is_absent_in_all_of_them_can_come_back(untrained):
    untrained.decoder.amplitude[2] = 0.0
    untrained.decoder.varying[2] = 0.0
    found = mean_model(untrained, torch.randn(10, 1), seed=0)
    unit = to_network_units(found, untrained.settings.grid.box_length, 3.0)
    assert torch.logit(unit).isfinite().all()
    assert 0 < float(found.amplitude[2]) < 0.01
