"""Training: recovers a motion, repeats itself, resumes bit for bit, and obeys its penalties."""

from dataclasses import replace

import pytest
import torch

from cryomix.fitting.heterogeneity import build_model, split_particles, train
from cryomix.fitting.preparation import PreparedParticles
from cryomix.fitting.rigidity import Rigidity
from cryomix.fitting.trained_model import restore_model
from cryomix.fitting.training_step import training_loss

RESOLUTION, BASE_WIDTH = 10.0, 3.0


def run(arm, options, state=None, stop_after=None):
    model = build_model(arm.particles, arm.neutral, BASE_WIDTH, RESOLUTION, options)
    prepared = PreparedParticles(arm.particles, model.decoder, model.metric, memory_bytes=1e9)
    states = []

    def save(state):
        states.append(state)
        if stop_after is not None and len(states) == stop_after:
            raise KeyboardInterrupt

    try:
        train(model, prepared, options, state=state, save=save, report=lambda *_: None)
    except KeyboardInterrupt:
        assert stop_after is not None
    return model, prepared, states


def latents(model, prepared):
    with torch.no_grad():
        return model.encoder(prepared.batch(torch.arange(len(prepared))).gradient)


def test_the_position_of_the_arm_is_recovered(arm, options):
    model, prepared, states = run(arm, replace(options, epochs=12, hidden=64))
    latent = latents(model, prepared)[:, 0]
    assert torch.corrcoef(torch.stack([latent, arm.coordinate]))[0, 1].abs() > 0.75
    history = states[-1].history
    assert history[-1].held_out_score > 0
    ends = model.decode(torch.tensor([[latent.quantile(0.03)], [latent.quantile(0.97)]]))
    path = (ends.center[1] - ends.center[0]).norm(dim=-1)
    assert path.argmax() == 5
    assert 8 < path[5] < 22


def test_the_seed_repeats_and_another_seed_differs(arm, options):
    first, prepared, _ = run(arm, options)
    second, _, _ = run(arm, options)
    other, _, _ = run(arm, replace(options, seed=4))
    assert torch.equal(latents(first, prepared), latents(second, prepared))
    assert not torch.equal(latents(first, prepared), latents(other, prepared))


@pytest.mark.parametrize("firm", [{}, {"decoder": "shared", "rigidity": 0.3}], ids=str)
def test_an_interrupted_training_ends_bit_for_bit_the_same(arm, options, firm):
    options = replace(options, **firm)
    whole, prepared, _ = run(arm, options)
    _, _, states = run(arm, options, stop_after=2)
    assert ("rigidity.score_square" in states[-1].tensors) == bool(options.rigidity)
    resumed, _, _ = run(arm, options, state=states[-1])
    assert torch.equal(latents(whole, prepared), latents(resumed, prepared))


def test_held_out_particles_never_train(arm, options):
    training, held_out = split_particles(arm.particles.image, options)
    assert not set(training.tolist()) & set(held_out.tolist())
    assert len(training) + len(held_out) == len(arm.particles)
    assert len(held_out) == round(0.08 * 240)


def test_copies_of_an_image_are_held_out_together(options):
    source_row = torch.arange(240).repeat_interleave(3) * 3
    training, held_out = split_particles(source_row, options)
    assert not set(source_row[training].tolist()) & set(source_row[held_out].tolist())
    assert sorted([*training.tolist(), *held_out.tolist()]) == list(range(720))
    assert len(held_out) == 3 * round(0.08 * 240)


def test_the_order_of_particles_is_shuffled(arm, options, untrained, prepared, monkeypatch):
    seen = []
    original = PreparedParticles.batches

    def watch(self, order):
        order = list(order)
        seen.extend(index.tolist() for index in order)
        return original(self, order)

    monkeypatch.setattr(PreparedParticles, "batches", watch)
    run(arm, replace(options, epochs=2))
    batches = [index for index in seen if len(index) == options.batch_size]
    assert any(index != sorted(index) for index in batches)


@pytest.mark.parametrize("penalty", ["latent_prior", "spread_penalty"])
def test_each_penalty_changes_the_gradient(arm, options, untrained, prepared, penalty):
    batch = prepared.batch(torch.arange(32))
    untrained.encoder.start_from(batch.gradient, untrained.decoder.groups, 0.3)
    noise = torch.zeros(32, 1)
    weight = untrained.encoder.linear.weight, untrained.decoder.last.weight
    off = replace(options, latent_prior=0.0, spread_penalty=0.0)
    gradients = [
        torch.autograd.grad(training_loss(untrained, batch, noise, chosen)[0], weight)
        for chosen in (off, replace(off, **{penalty: 5.0}))
    ]
    changed = [not torch.allclose(a, b) for a, b in zip(*gradients, strict=True)]
    assert any(changed)


def test_weight_decay_changes_the_result(arm, options):
    plain, prepared, _ = run(arm, replace(options, epochs=1))
    decayed, _, _ = run(arm, replace(options, epochs=1, weight_decay=0.1))
    assert not torch.equal(latents(plain, prepared), latents(decayed, prepared))


def test_particles_read_anew_give_the_same_batches(arm, untrained, prepared):
    streamed = PreparedParticles(
        arm.particles, untrained.decoder, untrained.metric, memory_bytes=0.0
    )
    index = torch.tensor([3, 200, 17])
    kept, made = prepared.batch(index), streamed.batch(index)
    assert torch.equal(kept.particles.image_ft, made.particles.image_ft)
    scale = made.gradient.abs().amax()
    torch.testing.assert_close(kept.gradient / scale, made.gradient / scale, rtol=1e-4, atol=1e-5)


def test_rigidity_changes_the_result(arm, options):
    options = replace(options, decoder="shared")
    free, prepared, _ = run(arm, options)
    firm, _, _ = run(arm, replace(options, rigidity=0.3))
    assert not torch.equal(latents(free, prepared), latents(firm, prepared))
    springs = Rigidity(arm.neutral, BASE_WIDTH, 0.3)
    stretch = [
        springs.penalty(model.decode(latents(model, prepared)).center).mean()
        for model in (free, firm)
    ]
    assert stretch[1] < 0.8 * stretch[0]


@pytest.mark.parametrize("decoder", ["dense", "shared"])
def test_a_model_is_restored_from_its_tensors(arm, options, decoder):
    model, _, _ = run(arm, replace(options, epochs=1, decoder=decoder))
    again = restore_model(model.settings, model.tensors())
    latent = torch.tensor([[0.3], [-1.0]])
    assert torch.equal(again.decode(latent).center, model.decode(latent).center)
    assert torch.equal(again.metric.weight, model.metric.weight)


def test_only_amplitudes_vary(arm, options):
    model, _, _ = run(arm, replace(options, vary="amplitudes", epochs=2))
    shown = model.decode(torch.tensor([[1.0]]))
    assert torch.equal(shown.center[0], arm.neutral.center)
    assert not torch.equal(shown.amplitude[0], arm.neutral.amplitude)


def test_flat_score_trains_too(arm, options):
    model, prepared, states = run(arm, replace(options, loss="flat", epochs=6))
    assert states[-1].history[-1].held_out_score > 0
    latent = latents(model, prepared)[:, 0]
    assert torch.corrcoef(torch.stack([latent, arm.coordinate]))[0, 1].abs() > 0.6
