"""Paths laid by hand: circles lie in the plane of the particles' axes, ellipses along them."""

import math

import pytest
import torch

from cryomix.errors import OptionError
from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.laid_path import Cloud, lay_path
from cryomix.latent.reduction import fit_pca
from cryomix.latent.waypoints import around_circle
from cryomix.options import TrajectoryOptions


def _slide(latent):
    """One Gaussian that goes 10 Å per unit of each latent."""
    one = torch.ones(len(latent), 1)
    return GaussianModel(10 * latent[:, None, :3], one, one)


@pytest.fixture
def cloud():
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator)).Q.float()
    everyone = torch.randn(4000, 3, generator=generator) * torch.tensor([1, 0.5, 0.1]) @ turn
    return Cloud(everyone, everyone[everyone[:, 0] > 0])


def test_an_ellipse_has_its_half_axes_along_the_principal_axes_of_all_particles(cloud):
    options = TrajectoryOptions(steps=100, radius=0.8, second_radius=0.3, plane=(2, 1))
    center = torch.tensor([[0.1, -0.2, 0.3]])
    laid = lay_path("circle", center, cloud, _slide, options)
    basis = fit_pca(cloud.everyone).basis
    place = (laid.latent - center) @ basis.float().mT
    on_it = (place[:, 1] / 0.8) ** 2 + (place[:, 0] / 0.3) ** 2
    torch.testing.assert_close(on_it, torch.ones(100), atol=2e-3, rtol=0)
    assert place[:, 2].abs().max() < 1e-6
    assert laid.is_closed
    # Ramanujan's perimeter of an ellipse, in Å of the one Gaussian.
    h = ((0.8 - 0.3) / (0.8 + 0.3)) ** 2
    perimeter = math.pi * 1.1 * (1 + 3 * h / (10 + math.sqrt(4 - 3 * h)))
    assert laid.length == pytest.approx(perimeter, rel=1e-3)
    assert laid.displacement == pytest.approx(10 * perimeter, rel=1e-3)


def test_equal_half_axes_are_a_circle_to_the_last_bit():
    plane = torch.eye(2)
    circle = around_circle(torch.zeros(2), plane, 0.7)
    assert torch.equal(circle, around_circle(torch.zeros(2), plane, 0.7, 0.7))


def test_a_half_axis_is_a_circles(cloud):
    points = torch.tensor([[0.0, 0, 0], [1, 0, 0]])
    with pytest.raises(OptionError, match=r"second_radius is a circle's, got 0\.3 for straight"):
        lay_path("straight", points, cloud, _slide, TrajectoryOptions(second_radius=0.3))
    with pytest.raises(ValueError, match="second_radius must be positive"):
        TrajectoryOptions(second_radius=-1.0)
