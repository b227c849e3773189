"""Posteriors over a few representatives: told from those that their peak describes."""

import pytest
import torch

from cryomix.fitting.representatives import (
    Representatives,
    find_representatives,
    information,
    populate,
    spread_over,
)

RING = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])


@pytest.fixture
def ring():
    return Representatives(RING, torch.full((4,), 0.25), torch.tensor(0.1))


def test_a_posterior_on_one_representative_stays_with_its_peak(ring):
    likelihood = torch.tensor([[0.0, -30.0, -30.0, -30.0]])
    spread = spread_over(ring, likelihood, 0.01 * torch.eye(2)[None])
    assert float(spread.trust) == 0


def test_two_equal_hills_give_the_middle_and_the_distance_as_error(ring):
    likelihood = torch.tensor([[0.0, -30.0, 0.0, -30.0]])
    spread = spread_over(ring, likelihood, 0.01 * torch.eye(2)[None])
    torch.testing.assert_close(spread.mean, torch.zeros(1, 2))
    torch.testing.assert_close(spread.covariance, torch.tensor([[[1.05, 0.0], [0.0, 0.05]]]))
    assert float(spread.trust) == 1


def test_where_the_curvature_says_as_much_the_peak_stays(ring):
    likelihood = torch.zeros(1, 4)
    wide = spread_over(ring, likelihood, torch.tensor([[[2.0, 0.0], [0.0, 0.01]]]))
    narrow = spread_over(ring, likelihood, 0.2 * torch.eye(2)[None])
    assert float(wide.trust) == 0
    assert float(narrow.trust) == pytest.approx(1)


def test_rare_representatives_weigh_less(ring):
    uneven = Representatives(RING, torch.tensor([0.7, 0.1, 0.1, 0.1]), torch.tensor(0.1))
    spread = spread_over(uneven, torch.zeros(1, 4), torch.eye(2)[None])
    torch.testing.assert_close(spread.mean, torch.tensor([[0.6, 0.0]]))


def test_representatives_stand_for_all():
    generator = torch.Generator().manual_seed(0)
    angle = 6.283 * torch.rand(3000, generator=generator)
    latent = torch.stack([angle.cos(), angle.sin()], dim=1)
    found = find_representatives(latent)
    assert found.share.sum() == pytest.approx(1)
    nearest = torch.cdist(latent, found.latent).min(dim=1).values
    assert nearest.max() < 0.35
    assert float(found.square_distance) == pytest.approx(float(nearest.square().mean()), rel=1e-3)


def test_fewer_latents_than_representatives():
    found = find_representatives(torch.eye(3))
    assert len(found.latent) == 3


def test_images_take_the_share_of_models_that_explain_none_best(ring):
    """A fifth representative in the middle of the ring, where estimates scatter to."""
    generator = torch.Generator().manual_seed(0)
    middle = Representatives(
        torch.cat([RING, torch.zeros(1, 2)]), torch.full((5,), 0.2), RING.sum()
    )
    likelihood = torch.randn(500, 5, generator=generator)
    likelihood[torch.arange(500), torch.arange(500) % 4] += 4.0
    likelihood[:, 4] += 1.0
    share = populate(middle, likelihood).share
    assert float(share.sum()) == pytest.approx(1)
    assert share[4] < 0.05
    assert (share[:4] > 0.15).all()
    assert float(middle.share[4]) == pytest.approx(0.2)


def test_information_is_the_logarithm_of_what_an_image_rules_out(ring):
    likelihood = torch.tensor([[3.0, 3.0, 3.0, 3.0], [50.0, 0.0, 0.0, 0.0], [50.0, 0.0, 50.0, 0.0]])
    expected = torch.tensor([0.0, 4.0, 2.0]).clamp_min(1).log()
    torch.testing.assert_close(information(ring, likelihood), expected)


def test_a_peak_that_is_wide_along_every_axis_is_left_for_the_representatives(ring):
    likelihood = torch.zeros(3, 4)
    width = torch.tensor([0.04, 0.075, 0.12])  # beside 0.1 / 2
    wide = spread_over(
        ring, likelihood - 30 * (RING[:, 0] < 1), width[:, None, None] * torch.eye(2)
    )
    torch.testing.assert_close(wide.trust, torch.tensor([0.0, 0.5, 1.0]))
