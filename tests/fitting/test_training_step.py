"""A step is that of the whole batch, however it is divided."""

from dataclasses import replace

import pytest
import torch

from cryomix.fitting import training_step as module
from cryomix.fitting.heterogeneity import build_model
from cryomix.fitting.rigidity import Rigidity
from cryomix.fitting.shared_decoder import SharedDecoder
from cryomix.fitting.training_step import make_optimizer, training_step


@pytest.fixture(params=["dense", "shared"])
def untrained(request, arm, options):
    options = replace(options, decoder=request.param)
    return build_model(arm.particles, arm.neutral, 3.0, 10.0, options)


@pytest.fixture
def gradients_of(untrained, prepared, options, monkeypatch):
    """What one process gives to the sum, for some of a batch of `whole` particles.

    The gradients, and after them the squared gradients that the rigidity has seen.
    """
    untrained.encoder.start_from(
        prepared.batch(torch.arange(100)).gradient, untrained.decoder.groups, 0.3
    )
    options = replace(options, spread_penalty=0.5)
    seen = []
    monkeypatch.setattr(
        module, "sum_over_processes", lambda each: seen.append([one.clone() for one in each])
    )

    def gradients_of(index, noise, whole, share=0.5):
        rigidity = Rigidity(untrained.decoder.neutral, 3.0, share)
        rigidity.load({"score_square": torch.tensor(1.0), "penalty_square": torch.tensor(1e-6)})
        optimizer = make_optimizer(untrained, replace(options, learning_rate=1e-30))
        gain, _ = training_step(
            untrained, prepared.batch(index), noise, optimizer, options, rigidity, whole=whole
        )
        return seen.pop(), gain

    return gradients_of


def test_gradients_of_shares_add_up_to_those_of_the_batch(gradients_of):
    noise = torch.randn(20, 1, generator=torch.Generator().manual_seed(0))
    index = torch.arange(40, 60)
    whole, gain = gradients_of(index, noise, 20)
    first, some = gradients_of(index[:13], noise[:13], 20)
    second, rest = gradients_of(index[13:], noise[13:], 20)
    assert all(one.abs().max() > 0 for one in whole)
    for one, a, b in zip(whole, first, second, strict=True):
        torch.testing.assert_close(a + b, one, rtol=1e-3, atol=1e-5 * float(one.abs().max()))
    torch.testing.assert_close(some + rest, gain)


def test_a_process_without_particles_adds_nothing(untrained, gradients_of):
    gradients, gain = gradients_of(torch.arange(0), torch.zeros(0, 1), 20)
    assert all((one == 0).all() for one in gradients)
    assert len(gradients) == 18 + 6 * isinstance(untrained.decoder, SharedDecoder)
    assert gain == 0


def test_rigidity_changes_the_gradient(gradients_of):
    noise = torch.randn(20, 1, generator=torch.Generator().manual_seed(0))
    free, firm = (gradients_of(torch.arange(20), noise, 20, share)[0] for share in (0.0, 50.0))
    assert any(not torch.allclose(one, other) for one, other in zip(free, firm, strict=True))
    torch.testing.assert_close(free[-2:], firm[-2:])  # what is seen is not what is added
