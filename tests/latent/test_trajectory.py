import math

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from cryomix.latent.reduction import fit_pca
from cryomix.latent.trajectory import (
    along_principal_axis,
    along_principal_curve,
    around_loop,
    is_loop,
    place_steps,
    straight,
)


def _horseshoe(particles: int = 2000) -> tuple[torch.Tensor, np.ndarray]:
    """An arc of 286°: its first principal component folds."""
    generator = np.random.default_rng(0)
    coordinate = generator.random(particles)
    arc = np.stack([np.cos(5 * coordinate), np.sin(5 * coordinate), 0 * coordinate], axis=1)
    return torch.from_numpy(arc + 0.1 * generator.normal(size=arc.shape)).float(), coordinate


def _ring(particles: int = 2000) -> torch.Tensor:
    generator = np.random.default_rng(0)
    angle = 2 * np.pi * generator.random(particles)
    ring = np.stack([2 * np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    return torch.from_numpy(ring + 0.1 * generator.normal(size=ring.shape)).float()


def test_a_straight_path_has_both_ends_and_its_length():
    path = straight(torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0]), 6)
    torch.testing.assert_close(path.latent[0], torch.tensor([0.0, 0.0]))
    torch.testing.assert_close(path.latent[-1], torch.tensor([3.0, 4.0]))
    torch.testing.assert_close(path.position, torch.arange(6).float())


def test_an_axis_runs_between_percentiles_through_the_median_of_the_rest():
    coordinate = torch.linspace(-1, 1, 2001)
    latent = torch.stack([0.1 * coordinate.flip(0) + 5, 3 * coordinate], dim=1)
    latent[:, 0] += 0.05 * torch.sin(50 * coordinate)
    pca = fit_pca(latent)
    path = along_principal_axis(pca, 0, 11, percentiles=(5.0, 95.0))
    place = pca.to_embedding(path.latent)
    low, high = np.percentile(pca.point[:, 0].numpy(), (5, 95))
    torch.testing.assert_close(place[:, 0], torch.linspace(float(low), float(high), 11))
    median = pca.point[:, 1].median()
    torch.testing.assert_close(place[:, 1], median.expand(11), atol=1e-5, rtol=0)


def test_an_axis_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="component 3 of a PCA with 3 axes"):
        along_principal_axis(fit_pca(torch.eye(3)), 3, 5)


def test_the_curve_follows_a_bent_cloud_from_end_to_end():
    latent, coordinate = _horseshoe()
    path = along_principal_curve(latent, 9)
    radius = path.latent[:, :2].norm(dim=1)
    torch.testing.assert_close(radius, torch.ones(9), atol=0.08, rtol=0)
    near = cKDTree(latent.numpy()).query(path.latent.numpy(), k=50)[1]
    truth = coordinate[near].mean(axis=1)
    truth = truth if truth[0] < truth[-1] else 1 - truth
    np.testing.assert_allclose(truth, np.linspace(0.03, 0.97, 9), atol=0.05)


def test_steps_of_the_curve_are_equally_long():
    path = along_principal_curve(_horseshoe()[0], 9)
    step = path.position.diff()
    assert float(step.max() / step.min()) < 1.1


def test_the_curve_of_two_groups_stays_in_the_larger():
    generator = torch.Generator().manual_seed(0)
    latent = torch.randn(1500, 2, generator=generator) * 0.1
    latent[:, 0] += torch.linspace(0, 2, 1500)
    latent[::3, 1] += 3
    path = along_principal_curve(latent, 7)
    assert float(path.latent[:, 1].abs().max()) < 0.1


def test_the_curve_is_the_same_each_time_and_works_in_one_dimension():
    latent, _ = _horseshoe(500)
    assert torch.equal(
        along_principal_curve(latent, 5).latent, along_principal_curve(latent, 5).latent
    )
    line = along_principal_curve(torch.linspace(0, 1, 400)[:, None], 5).latent
    torch.testing.assert_close(line[:, 0], torch.linspace(0.0239, 0.9761, 5), atol=1e-3, rtol=0)


def test_more_particles_than_the_graph_holds(monkeypatch):
    from cryomix.latent import trajectory

    monkeypatch.setattr(trajectory, "SORTED_AT_MOST", 400)
    path = along_principal_curve(_horseshoe()[0], 9)
    torch.testing.assert_close(path.latent[:, :2].norm(dim=1), torch.ones(9), atol=0.1, rtol=0)
    assert float(path.position[-1]) > 4


def test_a_ring_is_a_loop_and_an_arc_or_a_cloud_is_not():
    assert is_loop(_ring())
    assert not is_loop(_horseshoe()[0])
    assert not is_loop(torch.randn(2000, 3, generator=torch.Generator().manual_seed(0)))
    assert not is_loop(torch.linspace(0, 1, 500)[:, None])


def test_a_line_bent_in_three_dimensions_is_no_loop_though_its_shadow_is_one():
    """A turn and a twelfth of a steep helix: from above the ring is whole."""
    generator = torch.Generator().manual_seed(0)
    turn = 1.08 * torch.rand(3000, generator=generator) * 2 * math.pi
    helix = torch.stack([turn.cos(), turn.sin(), 0.25 * (turn - turn.mean())], dim=1)
    latent = helix + 0.05 * torch.randn(helix.shape, generator=generator)
    assert is_loop(latent[:, :2])
    assert not is_loop(latent)


def test_a_loop_goes_round_once_without_closing_on_itself():
    path = around_loop(_ring(), 12)
    x, y = path.latent[:, 0] / 2, path.latent[:, 1]
    torch.testing.assert_close(torch.hypot(x, y), torch.ones(12), atol=0.08, rtol=0)
    turn = torch.atan2(y, x).diff()
    turn = torch.remainder(turn + torch.pi, 2 * torch.pi) - torch.pi
    assert bool((turn > 0).all()) or bool((turn < 0).all())
    assert abs(float(turn.sum())) == pytest.approx(2 * torch.pi * 11 / 12, rel=0.1)


def test_a_path_needs_two_steps():
    with pytest.raises(ValueError, match="at least 2 steps, got 1"):
        straight(torch.zeros(2), torch.ones(2), 1)


def test_steps_are_evenly_far_apart_by_the_length_that_is_given():
    path = torch.linspace(0, 1, 101)[:, None] * torch.tensor([[3.0, 4.0]])
    plain = place_steps(path, 6)
    torch.testing.assert_close(plain.position, torch.arange(6).float())
    length = torch.linspace(0, 1, 101).square()  # what moves faster and faster
    steps = place_steps(path, 5, length).latent[:, 0] / 3
    torch.testing.assert_close(steps, torch.linspace(0, 1, 5).sqrt(), atol=1e-3, rtol=0)


def test_the_last_step_of_a_closed_path_is_one_before_the_first():
    corner = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])
    torch.testing.assert_close(place_steps(corner, 4, is_closed=True).latent, corner[:4])
    with pytest.raises(ValueError, match="at least 2 steps, got 1"):
        place_steps(corner, 1, is_closed=True)
