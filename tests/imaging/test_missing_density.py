"""What a model lacks is found where it is, and nothing is found in noise or misfit."""

import pytest
import torch

from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.missing_density import find_missing_density
from cryomix.imaging.volume import Volume

RESOLUTION = 12.0
BOX, VOXEL = 32, 4.8


def cloud(center, count, amplitude, seed):
    generator = torch.Generator().manual_seed(seed)
    offset = torch.randn(count, 3, generator=generator) * 9
    ones = torch.ones(count)
    return GaussianModel(torch.tensor(center) + offset, amplitude * ones, 4.0 * ones)


@pytest.fixture
def body() -> GaussianModel:
    return cloud([-16.0, 0.0, 0.0], 60, 0.4, seed=1)


@pytest.fixture
def domain() -> GaussianModel:
    """A third of the body's size, smeared to half of its density."""
    return cloud([28.0, 8.0, 0.0], 20, 0.2, seed=2)


def halves(models, *, noise, scale=1.0, falloff=0.0, level=0.0, seed=0):
    """Two noisy maps of the sum of `models`, whose strength falls off as exp(−falloff · k²)."""
    density = sum(render_volume(model, BOX, VOXEL).density for model in models)
    y, x = torch.fft.fftfreq(BOX, VOXEL), torch.fft.rfftfreq(BOX, VOXEL)
    square = y[:, None, None] ** 2 + y[:, None] ** 2 + x**2
    filtered = torch.fft.rfftn(density) * torch.exp(-falloff * square)
    density = scale * torch.fft.irfftn(filtered, s=density.shape) + level
    generator = torch.Generator().manual_seed(seed)
    return [
        Volume(density + noise * scale * torch.randn(density.shape, generator=generator), VOXEL)
        for _ in range(2)
    ]


def overlap(missing, model):
    """Share of the significant region's density that lies where `model` has density."""
    rendered = render_volume(model, BOX, VOXEL).density
    found = missing.volume.density * (missing.region.density > 0.9)
    return float(found[rendered > 0.02 * rendered.max()].sum() / found.sum())


@pytest.mark.parametrize("noise", [0.01, 0.1])
@pytest.mark.parametrize(("scale", "falloff", "level"), [(1, 0, 0), (0.02, 40, -0.01), (5, -40, 3)])
def test_a_missing_domain_is_found_where_it_is_in_the_models_units(
    body, domain, noise, scale, falloff, level, unchanged
):
    first, second = halves([body, domain], noise=noise, scale=scale, falloff=falloff, level=level)
    with unchanged(body, first, second):
        missing = find_missing_density(body, first, second, RESOLUTION)
    assert overlap(missing, domain) > 0.95
    assert 0.09 < missing.mass < 0.18  # 0.167, but for what the threshold cuts off
    whole = render_volume(domain, BOX, VOXEL).density
    found = missing.volume.density[missing.region.density > 0.5].sum()
    assert float(found / whole.sum()) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("noise", [1e-4, 0.03, 0.3, 3.0])
@pytest.mark.parametrize("falloff", [0, 40])
def test_a_complete_model_lacks_nothing(body, domain, noise, falloff):
    whole = GaussianModel(
        torch.cat([body.center, domain.center]),
        torch.cat([body.amplitude, domain.amplitude]),
        torch.cat([body.width, domain.width]),
    )
    for seed in range(4):
        first, second = halves([whole], noise=noise, falloff=falloff, seed=seed)
        assert find_missing_density(whole, first, second, RESOLUTION) is None
        # Nor does one that has more than the particles.
        first, second = halves([body], noise=noise, falloff=falloff, seed=seed)
        assert find_missing_density(whole, first, second, RESOLUTION) is None


def test_noise_alone_lacks_nothing(body):
    for seed in range(10):
        first, second = halves([cloud([0.0, 0, 0], 1, 0.0, 0)], noise=1.0, seed=seed)
        assert find_missing_density(body, first, second, RESOLUTION) is None


def test_the_misfit_of_a_good_fit_is_not_missing(body):
    """Centres that are 0.4 Å off, widths and amplitudes a tenth."""
    generator = torch.Generator().manual_seed(3)

    def near_one():
        return 1 + 0.1 * torch.randn(60, generator=generator)

    center = body.center + 0.4 * torch.randn(60, 3, generator=generator)
    fitted = GaussianModel(center, body.amplitude * near_one(), body.width * near_one())
    first, second = halves([body], noise=1e-3)
    assert find_missing_density(fitted, first, second, RESOLUTION) is None


def test_a_speck_smaller_than_the_resolution_is_left_alone(body):
    one = torch.ones(1)
    for amplitude, found in ((0.1, False), (2.0, True)):
        speck = GaussianModel(torch.tensor([[40.0, 0, 0]]), amplitude * one, 3.0 * one)
        first, second = halves([body, speck], noise=1e-3)
        missing = find_missing_density(body, first, second, RESOLUTION)
        assert (missing is not None) == found


def test_nothing_is_missing_outside_of_a_mask(body, domain):
    first, second = halves([body, domain], noise=0.03)
    left = torch.zeros(BOX, BOX, BOX)
    left[:, :, : BOX // 2] = 1
    assert find_missing_density(body, first, second, RESOLUTION, Volume(left, VOXEL)) is None
    right = Volume(1 - left, VOXEL)
    assert find_missing_density(body, first, second, RESOLUTION, right) is not None
