"""Only what is in focus varies, as far as it is in it, and groups have latents of their own."""

from dataclasses import replace

import pytest
import torch

from cryomix.fitting.grouped_decoder import GroupedDecoder
from cryomix.fitting.heterogeneity import build_model, train
from cryomix.fitting.preparation import PreparedParticles
from cryomix.fitting.trained_model import restore_model


@pytest.fixture(params=["shared", "dense"])
def focused(request, arm, options):
    """Six Gaussians: the first three with the first latent, half of the fourth and the sixth."""
    focus = torch.tensor([[1.0, 1, 1, 0, 0, 0], [0, 0, 0, 0.5, 0, 1]])
    options = replace(options, latent_size=2, decoder=request.param)
    return build_model(arm.particles, arm.neutral, 3.0, 10.0, options, focus)


def moved(model, latent):
    return (model.decode(torch.tensor([latent])).center[0] - model.decoder.center).norm(dim=1) > 0


def test_each_latent_moves_its_group_alone(focused):
    assert isinstance(focused.decoder, GroupedDecoder)
    assert moved(focused, [0.7, 0.0]).tolist() == [True, True, True, False, False, False]
    assert moved(focused, [0.0, 0.7]).tolist() == [False, False, False, True, False, True]
    assert not moved(focused, [0.0, 0.0]).any()


def test_a_gaussian_half_in_focus_goes_half_as_far(focused, arm, options):
    whole = build_model(
        arm.particles, arm.neutral, 3.0, 10.0,
        replace(options, latent_size=2, decoder=focused.settings.decoder),
        torch.tensor([[1.0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 0, 1]]),
    )  # fmt: skip
    latent = torch.tensor([[0.0, 0.7]])
    step, half = whole.decoder.allowed_steps(latent), focused.decoder.allowed_steps(latent)
    assert torch.equal(half[:, 3], step[:, 3] / 2)
    assert torch.equal(half[:, 5], step[:, 5])


def test_groups_come_back_from_their_tensors(focused):
    again = restore_model(focused.settings, focused.tensors())
    latent = torch.randn(5, 2)
    assert torch.equal(again.decode(latent).center, focused.decode(latent).center)
    assert torch.equal(again.decoder.groups, focused.decoder.groups)


def test_the_encoder_starts_each_latent_from_its_group(focused, arm):
    gradient = torch.randn(40, 6, 5)
    focused.encoder.start_from(gradient, focused.decoder.groups, 0.3)
    weight = focused.encoder.linear.weight.reshape(2, 6, 5).abs().sum(-1) > 1e-6
    assert weight[0].tolist() == [True, True, True, False, False, False]
    assert weight[1].tolist() == [False, False, False, True, False, True]


def test_latents_must_be_shared_out_evenly(arm, options):
    with pytest.raises(ValueError, match="3 latents cannot be those of 2 groups alike"):
        build_model(
            arm.particles, arm.neutral, 3.0, 10.0, replace(options, latent_size=3),
            torch.ones(2, 6),
        )  # fmt: skip


def test_training_in_focus_finds_the_arm_and_leaves_the_body(arm, options):
    focus = torch.tensor([[0.0, 0, 0, 0, 0, 1]])
    model = build_model(arm.particles, arm.neutral, 3.0, 10.0, options, focus)
    prepared = PreparedParticles(arm.particles, model.decoder, model.metric, memory_bytes=1e9)
    train(model, prepared, options, state=None, save=lambda state: None, report=lambda *_: None)
    latent = torch.cat(
        [model.encoder(batch.gradient) for batch in prepared.batches([torch.arange(240)])]
    )
    models = model.decode(latent)
    assert torch.equal(models.center[:, :5], arm.neutral.center[:5].expand(240, 5, 3))
    found = torch.corrcoef(torch.stack([models.center[:, 5, 0].detach(), arm.coordinate]))
    assert found[0, 1] > 0.8
