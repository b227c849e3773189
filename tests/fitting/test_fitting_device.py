"""Training and inference on another device: nothing is mixed up with the CPU, nothing waits.

There need be no GPU: tensors on the ``meta`` device have no values, so that a branch on one, a
mask, or a number taken from one is an error, as is a sum with a tensor of the CPU.
"""

from dataclasses import fields, is_dataclass, replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cryomix.fitting.heterogeneity import build_model
from cryomix.fitting.posterior import fit_prior, refine_latents
from cryomix.fitting.rigidity import Rigidity
from cryomix.fitting.training_step import held_out_gain, make_optimizer, training_step

META = torch.device("meta")


class CopiesWatched(TorchDispatchMode):
    """Counts tensors that are copied from the CPU, for each of which a GPU would be waited for."""

    def __init__(self):
        super().__init__()
        self.copied = []

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        if function is torch.ops.aten._to_copy.default:
            source = arguments[0]
            if source.device.type == "cpu" and result.device.type == "meta":
                self.copied.append(tuple(source.shape))
        return result


def moved(item):
    """A dataclass with all of its tensors on the ``meta`` device."""
    if isinstance(item, torch.Tensor):
        return item.to(META)
    assert is_dataclass(item)
    return type(item)(*(moved(getattr(item, field.name)) for field in fields(item)))


@pytest.fixture(params=[("snr", "dense"), ("flat", "dense"), ("snr", "shared")])
def away(request, arm, options, prepared):
    """A model and a batch without values."""
    options = replace(options, loss=request.param[0], decoder=request.param[1], spread_penalty=0.1)
    model = build_model(arm.particles, arm.neutral, 3.0, 10.0, options).to(META)
    return model, moved(prepared.batch(torch.arange(8))), options


@pytest.mark.parametrize("firm", [False, True])
def test_a_training_step_never_waits(away, arm, firm):
    model, batch, options = away
    rigidity = Rigidity(arm.neutral, 3.0, 0.1).to(META) if firm else None
    optimizer = make_optimizer(model, options)
    noise = torch.zeros(8, 1, device=META)
    # The first makes the tensors of the grid.
    training_step(model, batch, noise, optimizer, options, rigidity, whole=8)
    with CopiesWatched() as watch:
        gain, latent = training_step(model, batch, noise, optimizer, options, rigidity, whole=8)
    assert watch.copied == []
    assert {gain.device, latent.device} == {META}
    assert all(weight.grad.device == META for weight in model.encoder.parameters())
    with pytest.raises(RuntimeError, match="meta"):
        float(gain)


def test_the_held_out_score_never_waits(away):
    model, batch, _ = away
    with torch.no_grad():
        held_out_gain(model, batch)
        with CopiesWatched() as watch:
            score, latent = held_out_gain(model, batch)
    assert watch.copied == []
    assert {score.device, latent.device} == {META}


def test_latents_are_refined_where_the_model_is(away):
    model, batch, _ = away
    prior = fit_prior(torch.randn(20, 1)).to(META)
    found = refine_latents(model, batch.particles, torch.zeros(8, 1, device=META), prior, 0)
    assert {found.latent.device, found.std.device, found.score.device} == {META}


def test_the_watch_sees_what_it_should(arm, options, prepared):
    model = build_model(arm.particles, arm.neutral, 3.0, 10.0, options)
    with CopiesWatched() as watch:
        torch.ones(3).to(META)
    assert watch.copied == [(3,)]
    model.encoder.to(META)
    with pytest.raises(RuntimeError, match="device"):
        model.encoder(prepared.batch(torch.arange(8)).gradient)
