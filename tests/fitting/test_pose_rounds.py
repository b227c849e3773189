"""Poses and networks in turn: wrong poses get better, right ones stay, and it can be stopped."""

import math
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from cryomix.fitting.heterogeneity import build_model, train
from cryomix.fitting.inference import infer_latents
from cryomix.fitting.pose_refinement import correction_between
from cryomix.fitting.pose_rounds import refine_in_rounds
from cryomix.fitting.preparation import PreparedParticles
from cryomix.geometry.poses import Poses, turn


@contextmanager
def silent(label):
    yield lambda done, total: None


def trained_at(arm, poses, options):
    """A model trained on the moving arm at `poses`, and its latents."""
    particles = replace(arm.particles, poses=poses)
    model = build_model(particles, arm.neutral, 3.0, 10.0, options)
    prepared = PreparedParticles(particles, model.decoder, model.metric, memory_bytes=1e9)
    train(model, prepared, options, state=None, save=lambda _: None, report=lambda *_: None)
    return model, particles, infer_latents(model, prepared, 1, lambda *_: None).latent


def medians(poses, truth):
    """Angle, degrees, and distance, Å."""
    correction = correction_between(poses, truth)
    turned = math.degrees(float(correction[:, :3].norm(dim=1).median()))
    return turned, float(correction[:, 3:].norm(dim=1).median())


@pytest.fixture
def options(options):
    return replace(options, held_out=0.25, posterior_steps=1)


def test_wrong_poses_get_better_and_a_stopped_search_goes_on(arm, options):
    truth = arm.particles.poses
    generator = torch.Generator().manual_seed(2)
    vector = 0.07 * torch.randn(len(truth), 3, generator=generator)
    given = Poses(
        turn(truth.rotation, vector),
        truth.shift + 5 * torch.randn(len(truth), 2, generator=generator),
    )
    model, particles, latent = trained_at(arm, given, options)
    states = []
    found = refine_in_rounds(
        model, particles, latent, options, state=None, save=states.append, counting=silent
    )
    (turned, shifted), start = medians(found.best, truth), medians(given, truth)
    assert turned < 0.8 * start[0]
    assert shifted < start[1] / 3
    scores = [done.left_out_score for done in found.rounds]
    assert scores[1] > scores[0] + 1
    assert found.is_settled
    assert [len(state.rounds) for state in states] == list(range(1, len(states) + 1))
    assert found.rounds[1].prior_shift == pytest.approx(5, rel=0.3)

    again = refine_in_rounds(
        model, particles, latent, options, state=states[0], save=states.append, counting=silent
    )
    assert again.rounds[1:] == found.rounds[1:]
    assert torch.equal(again.best.rotation, found.best.rotation)


def test_right_poses_hardly_move(arm, options):
    model, particles, latent = trained_at(arm, arm.particles.poses, options)
    found = refine_in_rounds(
        model, particles, latent, options, state=None, save=lambda _: None, counting=silent
    )
    turned, shifted = medians(found.best, arm.particles.poses)
    assert turned < 2.0
    assert shifted < 1.0
