"""A step is that of the whole batch, however it is divided."""

from dataclasses import replace

import pytest
import torch

from cryomix.fitting import training_step as module
from cryomix.fitting.training_step import make_optimizer, training_step


@pytest.fixture
def gradients_of(untrained, prepared, options, monkeypatch):
    """The gradients that one process gives for some of a batch of `whole` particles."""
    untrained.encoder.start_from(
        prepared.batch(torch.arange(100)).gradient, untrained.decoder.varying, 0.3
    )
    options = replace(options, spread_penalty=0.5)
    seen = []
    monkeypatch.setattr(
        module, "sum_over_processes", lambda each: seen.append([one.clone() for one in each])
    )

    def gradients_of(index, noise, whole):
        optimizer = make_optimizer(untrained, replace(options, learning_rate=1e-30))
        gain = training_step(
            untrained, prepared.batch(index), noise, optimizer, options, whole=whole
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


def test_a_process_without_particles_adds_nothing(gradients_of):
    gradients, gain = gradients_of(torch.arange(0), torch.zeros(0, 1), 20)
    assert all((one == 0).all() for one in gradients)
    assert len(gradients) == 16
    assert gain == 0
