"""How domains turn between two latents, of the densities; with one of them held still."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryomix.imaging.gaussians import GaussianModel
from cryomix.viewer.turns import hold, measure_turns, turn_told

AXIS = np.array([2.0, -1, 2]) / 3
HINGE = np.array([10.0, 4, -3])
SHIFT = 5.0  # Å per unit of latent
PARTS = [slice(0, 40), slice(40, 70), slice(70, 100)]


def screw(angle, shift=0.0, axis=AXIS, hinge=HINGE):
    """Places after a rotation by `angle` and a shift along its axis."""
    turn = Rotation.from_rotvec(angle * axis)
    return lambda place: turn.apply(place - hinge) + hinge + shift * axis


@pytest.fixture
def rest():
    generator = np.random.default_rng(0)
    middle = np.repeat([[0, 0, 0], [35, 0, 0], [-30, 10, 0]], [40, 30, 30], axis=0)
    place = torch.from_numpy(middle + 7 * generator.normal(size=(100, 3))).float()
    return GaussianModel(place, torch.ones(100), torch.full((100,), 4.0))


@pytest.fixture
def decode(rest):
    """The first latent turns the second part, the second latent the third, about z."""

    def at(latent):
        models = []
        for first, second in latent.double().numpy():
            place = rest.center.double().numpy().copy()
            place[PARTS[1]] = screw(first, SHIFT * first)(place[PARTS[1]])
            about_z = screw(second, axis=np.array([0.0, 0, 1]), hinge=np.zeros(3))
            place[PARTS[2]] = about_z(place[PARTS[2]])
            models.append(torch.from_numpy(place).float())
        center = torch.stack(models)
        return GaussianModel(center, *(each.expand(center.shape[:2]) for each in parts_of(rest)))

    return at


def parts_of(model):
    return model.amplitude, model.width


def inside(part):
    chosen = torch.zeros(100, dtype=torch.bool)
    chosen[PARTS[part]] = True
    return chosen


def test_a_domain_turns_as_it_was_turned(decode):
    ends = (torch.tensor([-0.2, 0.0]), torch.tensor([0.8, 0.0]))
    arm, core = measure_turns(decode, ends, [inside(1), inside(0)])
    assert arm.angle_deg == pytest.approx(np.degrees(1.0), abs=0.05)
    np.testing.assert_allclose(arm.axis.numpy(), AXIS, atol=2e-3)
    assert arm.shift == pytest.approx(SHIFT, abs=0.05)
    away = arm.hinge.numpy() - HINGE
    np.testing.assert_allclose(away - (away @ AXIS) * AXIS, 0, atol=0.1)
    assert arm.explained > 0.999
    assert core.angle_deg < 0.01
    assert core.travel < 0.01


def test_motions_are_relative_to_the_domain_that_is_held_still(decode):
    ends = (torch.tensor([0.0, 0.0]), torch.tensor([0.6, -0.4]))
    arm, foot, core = measure_turns(
        decode, ends, [inside(1), inside(2), inside(0)], fixed=inside(1)
    )
    assert arm.angle_deg < 0.02
    back = Rotation.from_rotvec(-0.6 * AXIS)
    for found, wanted in ((foot, back * Rotation.from_rotvec([0, 0, -0.4])), (core, back)):
        vector = wanted.as_rotvec()
        assert found.angle_deg == pytest.approx(np.degrees(np.linalg.norm(vector)), abs=0.1)
        np.testing.assert_allclose(found.axis.numpy(), vector / np.linalg.norm(vector), atol=5e-3)
    # Taken back about the opposite axis, the shift points along it again.
    assert core.shift == pytest.approx(0.6 * SHIFT, abs=0.05)


def test_what_is_held_does_not_move(decode, unchanged):
    models = decode(torch.linspace(0, 1, 6)[:, None] * torch.tensor([0.9, 0.3]))
    arm = measure_turns(decode, (torch.zeros(2), torch.tensor([0.9, 0.3])), [inside(1)])[0]
    with unchanged(models):
        held = hold(models, arm)
    still = held.center[:, PARTS[1]]
    np.testing.assert_allclose(still, still[:1].expand_as(still), atol=0.05)


def test_json_takes_what_is_told(decode):
    turn = measure_turns(decode, (torch.zeros(2), torch.tensor([0.5, 0.0])), [inside(1)])[0]
    told = turn_told(turn)
    assert told["axis"] == turn.axis.tolist()
    assert {type(value) for name, value in told.items() if name not in ("axis", "hinge")} == {float}
