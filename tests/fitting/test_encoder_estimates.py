"""Latents of a training under way: those that the encoder gave, of every particle."""

from dataclasses import replace

import pytest
import torch

from cryomix.fitting.encoder_estimates import EncoderEstimates
from cryomix.fitting.heterogeneity import build_model, split_particles, train
from cryomix.fitting.preparation import PreparedParticles


@pytest.fixture
def states_of(arm):
    """The states after each epoch of a training, its model and its particles."""

    def states_of(options, state=None):
        model = build_model(arm.particles, arm.neutral, 3.0, 10.0, options)
        prepared = PreparedParticles(arm.particles, model.decoder, model.metric, memory_bytes=1e9)
        states = []
        train(model, prepared, options, state=state, save=states.append, report=lambda *_: None)
        return states, model, prepared

    return states_of


def encoded(model, prepared):
    with torch.no_grad():
        return model.encoder(prepared.batch(torch.arange(len(prepared))).gradient)


def test_of_networks_that_stand_still_they_are_what_the_encoder_gives(states_of, options):
    states, model, prepared = states_of(replace(options, epochs=1, learning_rate=1e-30))
    latent = states[0].tensors["latent"]
    assert latent.std() > 0.1
    torch.testing.assert_close(latent, encoded(model, prepared), rtol=1e-4, atol=1e-5)


def test_held_out_ones_are_of_the_mean_weights(states_of, arm, options):
    """After one epoch the best weights, with which `train` ends, are the mean weights."""
    states, model, prepared = states_of(replace(options, epochs=1))
    _, held_out = split_particles(arm.particles.image, options)
    kept = states[0].tensors
    assert kept["held_out"].nonzero()[:, 0].tolist() == sorted(held_out.tolist())
    now = encoded(model, prepared)
    torch.testing.assert_close(kept["latent"][held_out], now[held_out], rtol=1e-4, atol=1e-5)
    others = ~kept["held_out"]
    assert not torch.allclose(kept["latent"][others], now[others], rtol=1e-2)
    both = torch.stack([kept["latent"][others, 0], now[others, 0]])
    assert torch.corrcoef(both)[0, 1] > 0.9


def test_a_resumed_training_has_the_same(states_of, options):
    states, _, _ = states_of(replace(options, epochs=3))
    resumed, _, _ = states_of(replace(options, epochs=3), states[0])
    assert len(resumed) == 2
    assert torch.equal(resumed[-1].tensors["latent"], states[-1].tensors["latent"])


def test_the_last_latent_of_a_particle_holds():
    estimates = EncoderEstimates()
    estimates.add(torch.tensor([2, 0]), torch.tensor([[1.0, 1.0], [2.0, 2.0]]))
    estimates.add(torch.tensor([], dtype=torch.int64), torch.zeros(0, 2))
    estimates.add(torch.tensor([1, 2]), torch.tensor([[3.0, 3.0], [4.0, 4.0]]))
    assert estimates.gather(3)[:, 0].tolist() == [2.0, 3.0, 4.0]
