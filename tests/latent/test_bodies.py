"""A domain whose density goes past a core is found, and followed as far as it goes."""

import pytest
import torch

from cryomix.geometry.rigid_motion import turn_by
from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.bodies import find_bodies
from cryomix.latent.body_motion import distance_moved

STATES = 8


def core_and_arm() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    core = 12 * torch.randn(90, 3, generator=generator)
    arm = 5 * torch.randn(30, 3, generator=generator) + torch.tensor([0.0, 50.0, 0.0])
    return core, arm


def models_of(centers: list[torch.Tensor]) -> GaussianModel:
    center = torch.stack(centers)
    return GaussianModel(center, torch.ones(center.shape[:2]), torch.full(center.shape[:2], 4.0))


@pytest.fixture(scope="module")
def sliding() -> GaussianModel:
    """The arm slides by 5 Å a state along x."""
    core, arm = core_and_arm()
    way = 5.0 * (torch.arange(STATES) - STATES // 2)
    return models_of([torch.cat([core, arm + torch.tensor([x, 0, 0])]) for x in way])


@pytest.fixture(scope="module")
def found(sliding):
    return find_bodies(sliding, torch.ones(STATES))


def test_core_and_arm_are_the_two_bodies(found):
    assert len(found) == 2
    assert (found.label[:90] == found.label[0]).float().mean() > 0.97
    assert (found.label[90:] != found.label[0]).all()


def test_the_arm_is_followed_over_more_than_its_own_size(sliding, found):
    arm = int(found.label[-1])
    center = found.centers()[arm]
    place = found.motion.of(arm).apply(center[None])[:, 0]
    truth = 5.0 * (torch.arange(STATES) - found.reference)
    torch.testing.assert_close(place[:, 0] - center[0], truth, atol=0.5, rtol=0)
    assert (place[:, 1:] - center[1:]).abs().max() < 0.5
    assert distance_moved(found, 1 - arm, found.motion.of(1 - arm)) < 0.3


def test_density_that_is_carried_by_other_gaussians_is_followed_too(sliding, found):
    """What a decoder does: Gaussians stand still, and fade where the arm leaves."""
    there = sliding.center[:, 90:].reshape(1, -1, 3).expand(STATES, -1, -1)
    amplitude = torch.eye(STATES).repeat_interleave(30, dim=1)
    models = GaussianModel(
        torch.cat([sliding.center[:, :90], there], dim=1),
        torch.cat([torch.ones(STATES, 90), amplitude], dim=1),
        torch.full((STATES, 90 + STATES * 30), 4.0),
    )
    fading = find_bodies(models, torch.ones(STATES))
    visible = fading.rest.amplitude > 0
    assert fading.reference == found.reference
    assert torch.equal(fading.label[visible], found.label)
    torch.testing.assert_close(fading.motion.shift, found.motion.shift, atol=0.3, rtol=0)


def test_a_turn_is_found_as_a_turn():
    core, arm = core_and_arm()
    stretched = (arm - torch.tensor([0.0, 50.0, 0.0])) * torch.tensor([1.0, 3.0, 1.0])
    hinge = torch.tensor([0.0, 36.0, 0.0])
    angle = 0.15 * (torch.arange(STATES) - STATES // 2)
    turns = [turn_by(torch.tensor([0.0, 0.0, float(a)])) for a in angle]
    lifted = stretched + torch.tensor([0.0, 30.0, 0.0])
    models = models_of([torch.cat([core, lifted @ turn.T + hinge]) for turn in turns])
    bodies = find_bodies(models, torch.ones(STATES))
    arm_body = int(bodies.label[90:].mode().values)
    assert arm_body != int(bodies.label[:90].mode().values)
    rotation = bodies.motion.of(arm_body).rotation
    seen = torch.atan2(rotation[:, 1, 0], rotation[:, 0, 0])
    torch.testing.assert_close(seen, angle - angle[bodies.reference], atol=0.03, rtol=0)


def test_what_stands_still_is_one_body(sliding):
    still = GaussianModel(
        sliding.center[:1].expand(STATES, -1, -1), sliding.amplitude, sliding.width
    )
    bodies = find_bodies(still, torch.ones(STATES))
    assert len(bodies) == 1
    assert torch.equal(bodies.motion.shift, torch.zeros(STATES, 1, 3))


def test_a_part_that_only_comes_and_goes_is_no_body(sliding):
    amplitude = sliding.amplitude.clone()
    amplitude[::2, 90:] = 0
    still = GaussianModel(sliding.center[:1].expand(STATES, -1, -1), amplitude, sliding.width)
    share = torch.ones(STATES)
    share[1] = 5.0  # the state in the middle has the part
    assert len(find_bodies(still, share)) == 1
