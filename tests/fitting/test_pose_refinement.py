"""Planted errors of poses are taken out, as far as the images tell."""

import math
from dataclasses import replace

import pytest
import torch

from cryomix.fitting.heterogeneity import build_model
from cryomix.fitting.left_out_rings import AS_GIVEN, left_out_scores, split_rings, surely_better
from cryomix.fitting.pose_prior import PosePrior, fit_pose_prior
from cryomix.fitting.pose_refinement import (
    _curvature,
    _look,
    _Point,
    _Task,
    correction_between,
    refine_poses,
)
from cryomix.fitting.posterior import Prior
from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses, random_poses, turn
from cryomix.imaging.particles import read_batch

COUNT = 64
PRIOR = PosePrior(math.radians(4), 3.0)
LATENT_PRIOR = Prior(torch.zeros(1), torch.eye(1), torch.ones(1))


def displaced(poses, scale=1.0):
    """Errors of 4° about each axis and 3 Å along x and y."""
    generator = torch.Generator().manual_seed(7)
    vector = scale * PRIOR.rotation_rad * torch.randn(len(poses), 3, generator=generator)
    shift = scale * PRIOR.shift * torch.randn(len(poses), 2, generator=generator)
    return Poses(turn(poses.rotation, vector), poses.shift + shift)


def errors(poses, truth):
    """Median angle, degrees, and median distance, Å."""
    correction = correction_between(poses, truth)
    turned = math.degrees(float(correction[:, :3].norm(dim=1).median()))
    return turned, float(correction[:, 3:].norm(dim=1).median())


@pytest.fixture
def scene(arm, options, make_particles):
    """Particles of the neutral model itself, nearly without noise, and an untrained model."""
    poses = random_poses(COUNT, torch.Generator().manual_seed(1))
    particles = make_particles(arm.neutral, poses, FourierGrid(32, 2.5), noise=0.3)
    model = build_model(particles, arm.neutral, 3.0, 10.0, options)

    def see(placed):
        shown = replace(particles, poses=placed)
        return read_batch(shown, torch.arange(COUNT), model.settings.grid)

    return model, poses, see


def refine(model, batch, given, prior=PRIOR):
    latent = torch.zeros(COUNT, 1)
    return refine_poses(model, batch, model.likelihood, given, latent, prior, None)


def test_planted_errors_are_taken_out(scene, unchanged):
    model, truth, see = scene
    given = displaced(truth)
    batch = see(given)
    with unchanged(batch, given):
        found = refine(model, batch, given)
    (turned, shifted), start = errors(found.poses, truth), errors(given, truth)
    assert turned < 0.25 * start[0]
    assert shifted < 0.1 * start[1]


def test_shifts_of_more_than_half_a_wave_need_the_coarse_search(scene):
    """10 Å along each axis, where the finest detail is 10 Å."""
    model, truth, see = scene
    generator = torch.Generator().manual_seed(3)
    given = Poses(truth.rotation, truth.shift + 10 * torch.randn(COUNT, 2, generator=generator))
    wide, narrow = PosePrior(0.01, 10.0), PosePrior(0.01, 1.0)
    _, coarse = errors(refine(model, see(given), given, wide).poses, truth)
    _, fine = errors(refine(model, see(given), given, narrow).poses, truth)
    assert coarse < 0.5
    assert fine > 4 * coarse


def test_right_poses_stay_and_are_found_to_be_right(scene):
    model, truth, see = scene
    found = refine(model, see(truth), truth)
    prior = fit_pose_prior(found.information, found.pull, PRIOR)
    assert prior.rotation_rad < 0.15 * PRIOR.rotation_rad
    assert prior.shift < 0.15 * PRIOR.shift
    kept = refine(model, see(truth), truth, prior)
    turned, shifted = errors(kept.poses, truth)
    assert turned < 0.3
    assert shifted < 0.1


def test_the_prior_holds_poses(scene):
    model, truth, see = scene
    given = displaced(truth)
    found = refine(model, see(given), given, AS_GIVEN)
    turned, shifted = errors(found.poses, given)
    assert turned < 0.01
    assert shifted < 0.001


def test_the_slope_is_that_of_the_log_posterior(scene):
    """In pose and latent, where neither is at its optimum."""
    model, truth, see = scene
    given, start = displaced(truth), displaced(truth, 0.5)
    task = _Task(model, see(start), model.likelihood, given, PRIOR, LATENT_PRIOR)
    point = _Point(start, torch.full((COUNT, 1), 0.4))
    _, slope = _curvature(task, _look(task, point))
    for axis, step in enumerate([2e-3] * 3 + [2e-2] * 2 + [2e-2]):
        change = torch.zeros(COUNT, 6)
        change[:, axis] = step
        ahead, behind = _look(task, point.moved(change)), _look(task, point.moved(-change))
        numeric = (ahead.log_posterior - behind.log_posterior) / (2 * step)
        assert torch.corrcoef(torch.stack([slope[:, axis], numeric]))[0, 1] > 0.999
        assert float((slope[:, axis] - numeric).norm() / numeric.norm()) < 0.05


def test_rings_are_left_out_by_halves(scene):
    model, _, _ = scene
    odd, even = split_rings(model.likelihood)
    torch.testing.assert_close(odd.weight + even.weight, model.likelihood.weight)
    assert (odd.weight * even.weight == 0).all()
    assert (odd.weight > 0).any()
    assert (even.weight > 0).any()


def test_left_out_rings_tell_better_poses_from_others(scene):
    model, truth, see = scene
    batch, latent = see(displaced(truth)), torch.zeros(COUNT, 1)
    before = left_out_scores(model, batch, latent, AS_GIVEN, LATENT_PRIOR)
    after = left_out_scores(model, batch, latent, PRIOR, LATENT_PRIOR)
    assert surely_better(after, before)
    assert not surely_better(before, after)
    assert not surely_better(before, before)
