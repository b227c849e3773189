"""Paths along the motion of one domain, of two, and where particles are on them."""

import torch

from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.localized_path import mean_path, motion_coordinate, share_inside, together

LATENT = torch.rand(3000, 2, generator=torch.Generator().manual_seed(4)) * 2 - 1
INSIDE = torch.arange(30) >= 20


def decode(latent):
    """Ten Gaussians of an arm go 5 Å per first latent along y, bent; the rest 1 Å per second."""
    center = torch.linspace(0, 58, 30)[:, None].expand(30, 3).clone().repeat(len(latent), 1, 1)
    center[:, INSIDE, 1] += (5 * latent[:, :1] + latent[:, :1] ** 3).expand(-1, 10)
    center[:, ~INSIDE, 2] += latent[:, 1:]
    ones = torch.ones(center.shape[:2])
    return GaussianModel(center, ones, 3 * ones)


FIELD = torch.zeros(30, 3)
FIELD[INSIDE, 1] = 5.0
WEIGHT = torch.linspace(1, 2, 30)


def test_the_coordinate_is_how_far_the_domain_went():
    found = motion_coordinate(decode, LATENT, FIELD, INSIDE, WEIGHT)
    way = 5 * LATENT[:, 0] + LATENT[:, 0] ** 3
    torch.testing.assert_close(found, way, atol=1e-4, rtol=1e-4)


def test_the_path_follows_one_motion_and_averages_the_other():
    coordinate = motion_coordinate(decode, LATENT, FIELD, INSIDE, WEIGHT)
    path = mean_path(LATENT, coordinate, 9)
    assert path[0, 0] < -0.93
    assert path[-1, 0] > 0.93
    assert (path.diff(dim=0)[:, 0] > 0).all()
    assert path[:, 1].abs().max() < 0.3
    assert share_inside(decode(path), INSIDE, WEIGHT) > 0.98


def test_share_inside_is_that_of_the_mass_weighted_square():
    path = torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    assert share_inside(decode(path), INSIDE, WEIGHT) == 0
    path = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    inside, outside = 36 * WEIGHT[INSIDE].sum(), WEIGHT[~INSIDE].sum()
    expected = inside / (inside + outside)
    torch.testing.assert_close(torch.tensor(share_inside(decode(path), INSIDE, WEIGHT)), expected)


def test_two_motions_add_up_about_their_common_middle():
    first = torch.tensor([[-1.0, 0.1], [0.0, 0.1], [1.0, 0.1]])
    second = torch.tensor([[0.1, -2.0], [0.1, 0.0], [0.1, 2.0]])
    torch.testing.assert_close(
        together(first, second), torch.tensor([[-0.95, -1.95], [0.05, 0.05], [1.05, 2.05]])
    )
