"""Rigid parts of a molecule whose parts are known."""

import torch

from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.domains import find_domains

PART = torch.tensor([0] * 60 + [1] * 40 + [2] * 25)


def models(angles, noise=0.0):
    """Body, and two arms beside it that turn in their plane by `angles` (models, 2)."""
    generator = torch.Generator().manual_seed(2)
    center = torch.randn(125, 3, generator=generator) * 6
    center[PART == 1] += torch.tensor([26.0, 0, 0])
    center[PART == 2] -= torch.tensor([26.0, 0, 0])
    states = []
    for pair in angles:
        state = center.clone()
        for part, angle, hinge in ((1, pair[0], 12.0), (2, pair[1], -12.0)):
            away = state[part == PART] - torch.tensor([hinge, 0, 0])
            turn = torch.tensor(
                [[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0], [0, 0, 1]]
            )
            state[part == PART] = away @ turn.T + torch.tensor([hinge, 0, 0])
        states.append(state + noise * torch.randn(125, 3, generator=generator))
    stacked = torch.stack(states)
    ones = torch.ones(stacked.shape[:2])
    return GaussianModel(stacked, ones, 3.0 * ones)


def test_parts_that_turn_independently_are_told_apart():
    angles = torch.rand(30, 2, generator=torch.Generator().manual_seed(0)) * 1.0
    found = find_domains(models(angles, noise=0.3))
    assert (found == PART).double().mean() > 0.97  # at a hinge, noise may decide


def test_arms_that_turn_together_in_step_are_still_two_parts():
    angle = torch.linspace(-0.4, 0.4, 20)
    found = find_domains(models(torch.stack([angle, angle], dim=1)))
    assert torch.equal(found, PART)


def test_a_speck_is_not_a_part():
    angles = torch.rand(30, 2, generator=torch.Generator().manual_seed(0)) * 1.0
    batch = models(angles)
    batch.center[:, 3] += 20 * torch.randn(30, 3, generator=torch.Generator().manual_seed(1))
    found = find_domains(batch)
    assert found is None or int(torch.bincount(found).min()) > 4


def test_motions_far_below_the_width_of_a_gaussian_make_no_parts():
    angles = torch.rand(30, 2, generator=torch.Generator().manual_seed(0)) * 0.02
    assert find_domains(models(angles)) is None


def test_noise_has_no_parts():
    still = torch.zeros(30, 2)
    assert find_domains(models(still, noise=1.0)) is None
