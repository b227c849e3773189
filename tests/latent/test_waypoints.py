import math

import pytest
import torch

from cryomix.errors import OptionError
from cryomix.latent.waypoints import (
    around_circle,
    smooth_through,
    straight_through,
    typical_radius,
)

DRAWN = torch.tensor([[0.0, 0, 1], [1, 0.2, 0], [1.5, 2, 0], [0, 2.5, -1], [-1, 1, 0.5]])


@pytest.mark.parametrize("lay", [straight_through, smooth_through])
def test_a_path_passes_through_its_points_in_their_order(lay):
    path = lay(DRAWN)
    distance = torch.cdist(DRAWN, path)
    assert float(distance.min(dim=1).values.max()) < 1e-6
    assert bool((distance.argmin(dim=1).diff() > 0).all())
    torch.testing.assert_close(path[[0, -1]], DRAWN[[0, -1]])


def test_straight_lines_have_no_length_to_spare():
    length = straight_through(DRAWN).diff(dim=0).norm(dim=1).sum()
    torch.testing.assert_close(length, DRAWN.diff(dim=0).norm(dim=1).sum())


def _sharpest_turn(path: torch.Tensor) -> float:
    """Degrees between one short stretch and the next."""
    step = torch.nn.functional.normalize(path.double().diff(dim=0), dim=1)
    return float(torch.rad2deg((step[1:] * step[:-1]).sum(1).clamp(-1, 1).arccos()).max())


def test_a_smooth_curve_has_no_corner_where_it_closes_either():
    assert _sharpest_turn(straight_through(DRAWN)) > 60
    assert _sharpest_turn(smooth_through(DRAWN)) < 5
    closed = smooth_through(torch.cat([DRAWN, DRAWN[:1]]), is_closed=True)
    torch.testing.assert_close(closed[0], closed[-1])
    assert _sharpest_turn(torch.cat([closed, closed[1:3]])) < 6


def test_points_on_a_line_give_a_line_without_overshoot():
    points = torch.tensor([0.0, 0.1, 2.0, 2.1, 5.0])[:, None] * torch.tensor([[1.0, -2.0]])
    path = smooth_through(points)
    torch.testing.assert_close(path[:, 1], -2 * path[:, 0])
    assert bool((path[:, 0].diff() > 0).all())


def test_two_points_give_the_straight_line():
    torch.testing.assert_close(smooth_through(DRAWN[:2]), straight_through(DRAWN[:2]))


def test_a_circle_is_round_closed_and_in_its_plane():
    center = torch.tensor([1.0, 2, 3])
    plane = torch.tensor([[0.6, 0.8, 0], [0, 0, 1]])
    path = around_circle(center, plane, 2.0)
    assert torch.equal(path[0], path[-1])
    torch.testing.assert_close((path - center).norm(dim=1), torch.full((len(path),), 2.0))
    normal = torch.tensor([0.8, -0.6, 0])
    assert float(((path - center) @ normal).abs().max()) < 1e-6
    torch.testing.assert_close(path[0], center + 2 * plane[0])
    torch.testing.assert_close(path[90], center + 2 * plane[1])
    length = float(path.diff(dim=0).norm(dim=1).sum())
    assert length == pytest.approx(4 * math.pi, rel=1e-3)


def test_the_typical_radius_is_that_of_a_ring_seen_in_its_plane():
    angle = torch.arange(100) * 2 * math.pi / 100
    ring = torch.stack([7 + 3 * angle.cos(), 3 * angle.sin(), 50 * angle], dim=1)
    radius = typical_radius(ring, torch.tensor([7.0, 0, -4]), torch.eye(3)[:2])
    assert radius == pytest.approx(3, rel=1e-5)


@pytest.mark.parametrize("lay", [straight_through, smooth_through])
def test_what_is_no_path_is_refused(lay):
    with pytest.raises(OptionError, match="at least 2 points, got 1"):
        lay(DRAWN[:1])
    with pytest.raises(OptionError, match="2 and 3 are the same"):
        lay(DRAWN[[0, 1, 1, 2]])
