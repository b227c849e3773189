"""Encoder and decoder: the neutral model at zero, what may vary, independence of the batch."""

import pytest
import torch

from cryomix.fitting.networks import KINDS, DenseDecoder, Encoder, varying_parameters
from cryomix.fitting.shared_decoder import SharedDecoder
from cryomix.imaging.gaussians import GaussianModel


@pytest.fixture
def neutral():
    generator = torch.Generator().manual_seed(0)
    center = 40 * torch.rand(9, 3, generator=generator) - 20
    return GaussianModel(center, torch.linspace(0.1, 0.8, 9), torch.linspace(2.0, 4.0, 9))


@pytest.fixture(params=[DenseDecoder, SharedDecoder])
def decoder_of(request):
    def decoder_of(neutral, varying):
        torch.manual_seed(0)
        decoder = request.param(neutral, 100.0, 3.0, varying, 2, 32)
        with torch.no_grad():  # a large network output, as after training
            decoder.last.weight.normal_(std=2.0)
        return decoder

    return decoder_of


def test_latent_zero_is_the_neutral_model_exactly(decoder_of, neutral):
    decoder = decoder_of(neutral, varying_parameters(9, KINDS))
    latent = torch.randn(50, 2)
    latent[17] = 0
    model = decoder(latent)
    for name in ("center", "amplitude", "width"):
        assert torch.equal(getattr(model, name)[17], getattr(neutral, name))
        assert not torch.equal(getattr(model, name)[18], getattr(neutral, name))


def test_near_zero_is_near_the_neutral_model(decoder_of, neutral):
    decoder = decoder_of(neutral, varying_parameters(9, KINDS))
    model = decoder(torch.full((1, 2), 1e-6))
    assert (model.center[0] - neutral.center).abs().max() < 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_may_vary_varies(decoder_of, neutral, kind):
    decoder = decoder_of(neutral, varying_parameters(9, [kind]))
    model = decoder(torch.randn(4, 2))
    names = {"centers": "center", "amplitudes": "amplitude", "widths": "width"}
    for each, name in names.items():
        same = torch.equal(
            getattr(model, name), getattr(neutral, name).expand_as(getattr(model, name))
        )
        assert same == (each != kind)


def test_only_chosen_gaussians_vary(decoder_of, neutral):
    inside = (torch.arange(9) < 3).float()
    decoder = decoder_of(neutral, varying_parameters(9, KINDS, inside))
    moved = (decoder(torch.randn(4, 2)).center - neutral.center).norm(dim=-1)
    assert (moved[:, 3:] == 0).all()
    assert (moved[:, :3] > 0).all()


def test_unknown_kind():
    with pytest.raises(ValueError, match="'colors' is none of centers, amplitudes, widths"):
        varying_parameters(3, ["colors"])


def test_units_are_bounded(decoder_of, neutral):
    decoder = decoder_of(neutral, varying_parameters(9, KINDS))
    with torch.no_grad():
        decoder.last.weight.mul_(100)
    model = decoder(10 * torch.randn(20, 2))
    assert model.center.abs().max() <= 50.001
    assert model.amplitude.min() >= 0
    assert model.amplitude.max() <= 1.001
    assert model.width.min() >= 1.499
    assert model.width.max() <= 4.501


def test_every_kind_of_parameter_is_seen_by_the_encoder(neutral):
    """One global normalisation would leave 99.9 % of the input to the centres."""
    gradient = torch.randn(200, 9, 5) * torch.tensor([1000.0, 1000, 1000, 1, 0.01])
    encoder = Encoder(9, 2, 16)
    encoder.start_from(gradient, varying_parameters(9, KINDS)[None], 0.3)
    feature = ((gradient.flatten(1) - encoder.mean) * encoder.scale).reshape(200, 9, 5)
    energy = feature.square().sum((0, 1))
    assert energy.min() / energy.max() > 0.8


def test_a_latent_does_not_depend_on_the_batch(neutral):
    gradient = torch.randn(64, 9, 5)
    encoder = Encoder(9, 2, 16)
    encoder.start_from(gradient, varying_parameters(9, KINDS)[None], 0.3)
    alone = torch.cat([encoder(one[None]) for one in gradient])
    torch.testing.assert_close(encoder(gradient), alone, rtol=1e-4, atol=1e-5)


def test_the_start_is_the_leading_principal_component():
    hidden = torch.linspace(-1, 1, 300)
    pattern = torch.randn(9, 5, generator=torch.Generator().manual_seed(1))
    noise = 0.1 * torch.randn(300, 9, 5, generator=torch.Generator().manual_seed(2))
    gradient = hidden[:, None, None] * pattern + noise
    encoder = Encoder(9, 1, 16)
    encoder.start_from(gradient, varying_parameters(9, KINDS)[None], 0.3)
    latent = encoder.linear((gradient.flatten(1) - encoder.mean) * encoder.scale)[:, 0]
    assert torch.corrcoef(torch.stack([latent, hidden]))[0, 1].abs() > 0.99
    assert latent.std().item() == pytest.approx(0.3, rel=0.01)
