"""Groups of simulated latents: what is a gap, and what only looks like one."""

import numpy as np
import pytest
import torch

from cryomix.latent.clusters import cluster

PARTICLES = 3000


def _measure(true, error, seed):
    """Latents with errors of many sizes, and the covariances that say so."""
    generator = np.random.default_rng(seed)
    size = error * np.exp(0.3 * generator.normal(size=len(true)))
    latent = true + size[:, None] * generator.normal(size=true.shape)
    covariance = np.eye(true.shape[1]) * size[:, None, None] ** 2
    return torch.from_numpy(latent), torch.from_numpy(covariance)


def _on_axis(place, latents, seed):
    """A coordinate in one latent, and a wider one that has nothing to do with it in another."""
    true = np.zeros((len(place), latents))
    true[:, 0] = place
    if latents > 1:
        true[:, 1] = 0.5 * np.random.default_rng(seed + 100).normal(size=len(place))
    return true


@pytest.mark.parametrize("latents", [1, 3])
@pytest.mark.parametrize("error", [0.004, 0.02, 0.1])
def test_twenty_steps_of_one_motion_are_one_group(latents, error):
    """Even where errors are a twelfth of a step, so that each step is a peak of its own."""
    for seed in range(2):
        step = np.random.default_rng(seed).integers(0, 20, PARTICLES) / 19
        assert cluster(*_measure(_on_axis(step, latents, seed), error, seed)).groups == 1


@pytest.mark.parametrize("spread", ["even", "normal"])
@pytest.mark.parametrize("error", [0.05, 0.3])
def test_what_errors_blur_is_not_sharpened_into_groups(spread, error):
    for seed in range(2):
        generator = np.random.default_rng(seed)
        place = generator.random(PARTICLES) if spread == "even" else 0.3 * generator.normal(
            size=PARTICLES
        )  # fmt: skip
        assert cluster(*_measure(_on_axis(place, 3, seed), error, seed)).groups == 1


@pytest.mark.parametrize("latents", [1, 3])
@pytest.mark.parametrize("error", [0.05, 0.25])
def test_bound_and_unbound_are_two_groups_through_errors(latents, error):
    """At 0.25 the two humps of the latents overlap: four errors lie between their middles."""
    bound = np.random.default_rng(5).random(PARTICLES) < 0.4
    latent, covariance = _measure(_on_axis(1.0 * bound, latents, 5), error, 5)
    found = cluster(latent, covariance)
    assert found.groups == 2
    same = (found.group.numpy() == bound).mean()
    assert max(same, 1 - same) > (0.99 if error < 0.1 else 0.95)


def test_a_dip_that_only_the_errors_explain_needs_them():
    """Three and a half errors apart, the density of the latents hardly falls between the two."""
    place = 0.35 * (np.random.default_rng(2).random(6000) < 0.5)
    latent, covariance = _measure(place[:, None], 0.1, 2)
    assert cluster(latent).groups == 1
    assert cluster(latent, covariance).groups == 2


def test_two_humps_from_one_side_are_no_gap_where_a_way_leads_round():
    """A ring, and a horseshoe whose ends are near each other, with all else constant."""
    generator = np.random.default_rng(1)
    for whole in (2 * np.pi, 1.6 * np.pi):
        angle = whole * generator.random(6000)
        true = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
        assert cluster(*_measure(true, 0.1, 1)).groups == 1


def test_a_gap_that_runs_along_a_motion_is_found_beside_its_steps():
    """A ligand, weak beside twenty steps of a bent motion that all particles share."""
    generator = np.random.default_rng(3)
    angle = 4 * generator.integers(0, 20, 6000) / 19
    bound = generator.random(6000) < 0.5
    true = np.stack([np.cos(angle), np.sin(angle), 0.4 * bound, 0 * angle], axis=1)
    found = cluster(*_measure(true, 0.08, 3))
    assert found.groups == 2
    same = (found.group.numpy() == bound).mean()
    assert max(same, 1 - same) > 0.97


def test_few_evenly_spaced_states_are_groups_and_many_are_a_motion():
    for states, groups in ((3, 3), (4, 4), (8, 1)):
        place = np.random.default_rng(4).integers(0, states, PARTICLES) / (states - 1)
        assert cluster(*_measure(place[:, None], 0.02, 4)).groups == groups


def test_particles_beyond_those_that_are_looked_at_are_assigned(monkeypatch):
    bound = np.random.default_rng(6).random(4000) < 0.5
    latent, covariance = _measure(_on_axis(1.0 * bound, 2, 6), 0.05, 6)
    monkeypatch.setattr("cryomix.latent.clusters.FITTED_AT_MOST", 1000)
    found = cluster(latent, covariance)
    assert torch.bincount(found.group).tolist() in (
        [n := int(bound.sum()), 4000 - n],
        [4000 - n, n],
    )
