"""Rotations and shifts of a part, known beforehand."""

import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.screw_motion import fit_screw_motion

STEPS = 7
AXIS = torch.tensor([0.0, 0.6, 0.8], dtype=torch.float64)
HINGE = torch.tensor([10.0, 0.0, 4.0], dtype=torch.float64)
INSIDE = torch.arange(90) >= 40


def molecule():
    generator = torch.Generator().manual_seed(1)
    body = torch.randn(40, 3, generator=generator) * 8
    part = torch.randn(50, 3, generator=generator) * torch.tensor([8.0, 4, 3]) + torch.tensor(
        [26.0, 0, 0]
    )
    return torch.cat([body, part]).double()


def turned(degrees, shift=0.0):
    """The part at each step of a turn about an axis through HINGE."""
    places = []
    for share in torch.linspace(0, 1, STEPS).tolist():
        turn = Rotation.from_rotvec((AXIS * math.radians(degrees) * share).numpy()).as_matrix()
        place = molecule()
        away = place[INSIDE] - HINGE
        place[INSIDE] = away @ torch.from_numpy(turn).T + HINGE + share * shift * AXIS
        places.append(place)
    return torch.stack(places).float()


def model_of(center):
    ones = torch.ones(center.shape[:2])
    return GaussianModel(center, ones, 4.0 * ones)


@pytest.mark.parametrize(("degrees", "shift"), [(50.0, 6.0), (8.0, 0.0), (120.0, -4.0)])
def test_a_turn_is_found_with_its_axis_hinge_and_shift(degrees, shift):
    found = fit_screw_motion(model_of(turned(degrees, shift)), INSIDE)
    assert found.angle_deg == pytest.approx(degrees, abs=0.1)
    assert float(found.axis @ AXIS) > 0.9999
    assert found.shift == pytest.approx(shift, abs=0.1)
    offset = found.hinge - HINGE
    assert float((offset - (offset @ AXIS) * AXIS).norm()) < 0.3
    assert found.explained == pytest.approx(1, abs=1e-3)
    assert found.angle_error_deg < 0.5


def test_a_shift_alone_does_not_turn():
    center = molecule().float().expand(STEPS, -1, -1).clone()
    center[:, INSIDE, 1] += torch.linspace(0, 12, STEPS)[:, None]
    found = fit_screw_motion(model_of(center), INSIDE)
    assert found.angle_deg < 0.1
    assert found.travel == pytest.approx(12, abs=0.05)


def test_density_that_is_passed_on_counts_as_moved():
    """Two sets of Gaussians, at both ends of a turn; one fades while the other grows."""
    ends = turned(25.0)[[0, -1]]
    center = torch.cat([ends[0], ends[1][INSIDE]]).expand(STEPS, -1, -1)
    share = torch.linspace(0, 1, STEPS)[:, None]
    body, part = torch.ones(STEPS, 40), torch.ones(STEPS, 50)
    model = GaussianModel(
        center, torch.cat([body, part * (1 - share), part * share], dim=1),
        4.0 * torch.ones(STEPS, 140),
    )  # fmt: skip
    inside = torch.cat([INSIDE, torch.ones(50, dtype=torch.bool)])
    found = fit_screw_motion(model, inside)
    assert found.angle_deg == pytest.approx(25, abs=2)


def test_a_part_that_falls_apart_is_not_rigid():
    center = molecule().float().expand(STEPS, -1, -1).clone()
    away = torch.linspace(0, 25, STEPS)[:, None]
    center[:, 40:65, 1] += away
    center[:, 65:, 1] -= away
    assert fit_screw_motion(model_of(center), INSIDE).explained < 0.9
