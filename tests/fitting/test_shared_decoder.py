"""The decoder that all Gaussians share: its size, and neighbours that move together."""

import pytest
import torch

from cryomix.fitting.networks import KINDS, varying_parameters
from cryomix.fitting.shared_decoder import SharedDecoder
from cryomix.imaging.gaussians import GaussianModel

LATENT = torch.tensor([[0.8, -0.5], [-1.0, 0.3]])


def model_of(center):
    count = len(center)
    return GaussianModel(center, 0.3 * torch.ones(count), 3 * torch.ones(count))


def decoder_of(center):
    torch.manual_seed(0)
    varying = varying_parameters(len(center), KINDS)
    return SharedDecoder(model_of(center), 100.0, 3.0, varying, 2, 32)


@pytest.fixture
def center():
    return 60 * torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) - 30


def test_its_size_is_that_of_no_number_of_gaussians(center):
    few, many = (
        sum(weight.numel() for weight in decoder_of(some).parameters())
        for some in (center[:10], center)
    )
    assert few == many


def test_the_order_of_gaussians_means_nothing(center):
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    plain, mixed = decoder_of(center)(LATENT), decoder_of(center[order])(LATENT)
    torch.testing.assert_close(mixed.center, plain.center[:, order], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mixed.amplitude, plain.amplitude[:, order])


def test_neighbours_move_together(center):
    """Those a thirtieth of the molecule apart nearly alike, distant ones not."""
    pairs = torch.cat([center, center + 2.0 / 3**0.5])
    path = decoder_of(pairs)(LATENT).center - pairs
    near = (path[:, :200] - path[:, 200:]).square().sum().sqrt()
    far = (path[:, :200] - path[:, :200].roll(1, dims=1)).square().sum().sqrt()
    assert near > 0
    assert near < 0.3 * far


def test_kinds_have_weights_of_their_own(center):
    decoder = decoder_of(center)
    with torch.no_grad():
        motion = decoder.last.weight[: 3 * len(decoder.last.weight) // 5]
        motion.zero_()
    shown = decoder(LATENT)
    assert torch.equal(shown.center, center.expand_as(shown.center))
    assert (shown.amplitude - 0.3).abs().min() > 0
    assert (shown.width - 3).abs().max() > 0


def test_one_gaussian_is_a_molecule_too():
    assert decoder_of(torch.zeros(1, 3))(LATENT).center.isfinite().all()
