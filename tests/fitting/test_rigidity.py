"""Neighbours that keep their distance: what costs nothing, what does, what the gradient gets."""

import pytest
import torch

from cryomix.fitting.rigidity import Rigidity, neighboring_pairs
from cryomix.imaging.gaussians import GaussianModel


@pytest.fixture
def neutral():
    center = 40 * torch.rand(30, 3, generator=torch.Generator().manual_seed(0)) - 20
    return GaussianModel(center, torch.ones(30), 3 * torch.ones(30))


@pytest.fixture
def rigidity(neutral):
    return Rigidity(neutral, 3.0, 0.5)


def shaken(neutral, models=4):
    draw = torch.randn(models, 30, 3, generator=torch.Generator().manual_seed(1))
    return neutral.center + 2 * draw


def test_pairs_are_the_nearest_each_once(neutral):
    pairs = {tuple(pair) for pair in neighboring_pairs(neutral.center, 4).T.tolist()}
    distance = torch.cdist(neutral.center, neutral.center).fill_diagonal_(torch.inf)
    expected = set()
    for one in range(30):
        for other in distance[one].argsort()[:4].tolist():
            expected.add((min(one, other), max(one, other)))
    assert pairs == expected


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_gaussians_have_few_pairs(count):
    center = torch.arange(3.0 * count).reshape(count, 3)
    neutral = GaussianModel(center, torch.ones(count), torch.ones(count))
    rigidity = Rigidity(neutral, 1.0, 1.0)
    assert rigidity.pair.shape == (2, count * (count - 1) // 2)
    assert torch.equal(rigidity.slope(center[None]), torch.zeros(1, count, 3))


def test_a_turn_costs_nothing_and_a_stretch_its_square(neutral, rigidity):
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(2))).Q
    turned = neutral.center @ turn.T + torch.tensor([5.0, -3, 8])
    assert rigidity.penalty(turned[None]).item() < 1e-9
    assert rigidity.penalty(1.1 * neutral.center[None]).item() == pytest.approx(
        (0.1 * rigidity.length / 3).square().mean().item(), rel=1e-3
    )


def test_the_slope_is_that_of_the_penalty(neutral, rigidity):
    center = shaken(neutral).requires_grad_()
    expected = torch.autograd.grad(rigidity.penalty(center).sum(), center)[0]
    torch.testing.assert_close(rigidity.slope(center.detach()), expected, rtol=1e-4, atol=1e-7)


def test_gaussians_on_one_spot_have_a_finite_slope(neutral, rigidity):
    assert rigidity.slope(torch.zeros(1, 30, 3)).isfinite().all()


def test_the_gradient_gets_the_share_of_what_was_seen_before(neutral, rigidity):
    wanted = torch.randn(4, 30, 3, generator=torch.Generator().manual_seed(3))
    slope = rigidity.slope(shaken(neutral)) / 8
    added = []
    for scale in (1.0, 2.0):
        center = shaken(neutral).requires_grad_()
        rigidity.forget()
        held = rigidity.hold(center, 8)
        assert torch.equal(held, center)
        (held * scale * wanted).sum().backward()
        rigidity.remember()
        added.append(center.grad - scale * wanted)
    assert torch.equal(added[0], torch.zeros_like(wanted))
    weight = 0.5 * wanted.norm() / slope.norm()
    torch.testing.assert_close(added[1], weight * slope, rtol=1e-3, atol=1e-5)
    score = 0.98 * 0.02 * wanted.norm() ** 2 + 0.02 * 4 * wanted.norm() ** 2
    torch.testing.assert_close(rigidity.score_square, score)


def test_without_a_stretch_nothing_is_added(neutral, rigidity):
    """As where the centres do not vary: no weight, however large, makes something of nothing."""
    still = neutral.center.repeat(2, 1, 1).requires_grad_()
    for _ in range(2):
        rigidity.forget()
        still.grad = None
        rigidity.hold(still, 2).sum().backward()
        rigidity.remember()
    assert torch.equal(still.grad, torch.ones(2, 30, 3))


def test_it_goes_on_from_its_tensors(neutral, rigidity):
    rigidity.seen = [torch.tensor(3.0), torch.tensor(0.2)]
    rigidity.remember()
    again = Rigidity(neutral, 3.0, 0.5)
    again.load(rigidity.tensors())
    assert rigidity.weight > 0
    assert torch.equal(again.weight, rigidity.weight)
