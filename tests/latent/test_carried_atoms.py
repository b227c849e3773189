"""Atoms go where density goes, and what is bonded stays together."""

import math

import numpy as np
import pytest
import torch

from cryomix.geometry.rigid_motion import turn_by
from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.carried_atoms import (
    bonded_pairs,
    carry_atoms,
    density_correlation,
    share_on_density,
)

CARBON = 0.76  # covalent radius, Å
ASIDE = np.array([0.0, 1.0, 0.0])


def chain_of(count: int) -> np.ndarray:
    """A zigzag of carbons 1.5 Å apart."""
    number = np.arange(count)
    return np.stack([1.25 * number - 0.625 * count, 0.83 * (number % 2), 0.0 * number], axis=1)


def gaussians_on(position: np.ndarray, *, every: int = 3) -> GaussianModel:
    center = torch.from_numpy(position[::every]).float()
    amplitude = torch.ones(len(center))
    return GaussianModel(center, amplitude, 3.0 * amplitude)


def stack(*models: GaussianModel) -> GaussianModel:
    return GaussianModel(
        *(
            torch.stack([getattr(model, name) for model in models])
            for name in ("center", "amplitude", "width")
        )
    )


def test_what_moves_as_one_is_carried_as_one():
    position = chain_of(60)
    angles = torch.linspace(0, 0.6, 5)
    turns = turn_by(torch.tensor([0.3, -0.5, 0.8]) * angles[:, None]).double().numpy()
    truth = np.einsum("sij,aj->sai", turns, position) + np.linspace(0, 6, 5)[:, None, None]
    route = stack(*(gaussians_on(each) for each in truth))
    (carried,) = carry_atoms(position, np.full(60, CARBON), [route])
    off, way = (np.linalg.norm(each - truth, axis=2).mean(axis=1) for each in (carried, position))
    assert (off <= 0.2 * way).all()
    for pair in ((0, 1), (20, 22), (57, 59)):
        length = np.linalg.norm(carried[:, pair[0]] - carried[:, pair[1]], axis=1)
        assert length == pytest.approx(length[0], abs=0.02)


def test_density_that_is_passed_on_carries_too():
    """No Gaussian moves: those behind fade as those ahead grow."""
    position = chain_of(12)
    center = torch.linspace(-30, 60, 46)[:, None] * torch.tensor([1.0, 0.0, 0.0])
    here = torch.stack([((center[:, 0] - shift) / 7).abs() < 1 for shift in (0, 8, 16, 24)])
    route = GaussianModel(center.expand(4, -1, -1), here.float() + 1e-4, torch.full((4, 46), 3.0))
    (carried,) = carry_atoms(position, np.full(12, CARBON), [route])
    moved = (carried - position).mean(axis=1)
    assert moved[3, 0] > 12  # of 24 Å
    np.testing.assert_allclose(moved[:, 1:], 0, atol=1e-6)


def test_what_does_not_move_stays():
    position = chain_of(40)
    model = gaussians_on(position)
    (carried,) = carry_atoms(position, np.full(40, CARBON), [stack(model, model, model)])
    np.testing.assert_allclose(carried, np.stack([position] * 3), atol=1e-6)


def test_atoms_without_bonds_follow_alone():
    """Cα alone, or ions: as many residues apart as never to touch."""
    position = 4.0 * chain_of(20)
    truth = position + 5.0 * ASIDE
    route = stack(gaussians_on(position, every=1), gaussians_on(truth, every=1))
    (carried,) = carry_atoms(position, np.full(20, CARBON), [route])
    np.testing.assert_allclose(carried[1], truth, atol=0.5)


def test_a_tear_in_the_motion_breaks_no_bond():
    """Half of a chain is pulled 10 Å aside at once."""
    position = chain_of(60)
    torn = position + np.where(np.arange(60) < 30, 0.0, 10.0)[:, None] * np.array([0.0, 0.6, 0.8])
    route = stack(gaussians_on(position), gaussians_on(torn))
    (carried,) = carry_atoms(position, np.full(60, CARBON), [route])
    bonds = bonded_pairs(position, np.full(60, CARBON))
    assert len(bonds) == 59
    before, after = (
        np.linalg.norm(np.diff(each, axis=0), axis=1) for each in (position, carried[1])
    )
    assert np.abs(after - before).max() < 0.15


def test_bonds_are_as_long_as_their_elements_say():
    radius = np.array([0.76, 0.76, 0.31, 1.05, 1.05])
    position = np.array([[0, 0, 0], [1.5, 0, 0], [0, 1.1, 0], [5, 0, 0], [7.1, 0, 0]], float)
    assert sorted(map(tuple, bonded_pairs(position, radius).tolist())) == [(0, 1), (0, 2), (3, 4)]


def test_a_model_that_is_displaced_fits_less():
    position = chain_of(60)
    model = gaussians_on(position)
    mass = np.full(60, 6.0)
    fits = [density_correlation(position + far * ASIDE, mass, model) for far in (0, 5, 10, 60)]
    assert fits[0] > 0.97
    assert fits == sorted(fits, reverse=True)
    assert abs(fits[-1]) < 0.1
    shares = [share_on_density(position + far * ASIDE, model) for far in (0, 60)]
    assert shares == [1.0, 0.0]
    assert math.isclose(share_on_density(np.r_[position, position + 60 * ASIDE], model), 0.5)
