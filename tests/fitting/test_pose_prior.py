"""The width of pose errors, found where single particles cannot tell theirs."""

import math

import pytest
import torch

from cryomix.fitting.pose_prior import PosePrior, fit_pose_prior

COUNT = 4000


def draw(truth, accuracy_rad, accuracy):
    """Images that tell each component to some accuracy, and in which the errors are as drawn."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.tensor([accuracy_rad] * 3 + [accuracy] * 2)
    width = torch.tensor([truth.rotation_rad] * 3 + [truth.shift] * 2)
    error = width * torch.randn(COUNT, 5, generator=generator)
    peak = error + noise * torch.randn(COUNT, 5, generator=generator)
    information = torch.diag(1 / noise.square()).expand(COUNT, 5, 5)
    return information, peak / noise.square()


@pytest.mark.parametrize("factor", [0.3, 1.0, 2.0])
def test_the_width_is_found_from_either_side(factor):
    """Each image tells less than the prior does, so that corrections alone are half as wide."""
    truth = PosePrior(math.radians(3), 4.0)
    information, pull = draw(truth, math.radians(3), 5.0)
    start = PosePrior(factor * truth.rotation_rad, factor * truth.shift)
    found = fit_pose_prior(information, pull, start)
    assert found.rotation_rad == pytest.approx(truth.rotation_rad, rel=0.06)
    assert found.shift == pytest.approx(truth.shift, rel=0.06)


def test_right_poses_leave_next_to_no_width():
    accuracy = math.radians(2)
    information, pull = draw(PosePrior(0.0, 0.0), accuracy, 1.0)
    found = fit_pose_prior(information, pull, PosePrior(math.radians(5), 8.0))
    assert found.rotation_rad < 0.3 * accuracy
    assert found.shift < 0.3
