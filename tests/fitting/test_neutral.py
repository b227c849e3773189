"""The neutral model reproduces a map with as few Gaussians as that takes."""

from dataclasses import replace

import pytest
import torch

from cryomix.errors import ResolutionError
from cryomix.fitting.map_views import validate_model
from cryomix.fitting.neutral import (
    _narrow,
    _split,
    default_resolution,
    fit_neutral,
    fit_neutral_to_halves,
)
from cryomix.imaging.correlation import shell_correlation
from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.masking import soft_mask
from cryomix.imaging.volume import Volume
from cryomix.options import NeutralOptions

QUICK = NeutralOptions(resolution=12.0, start_gaussians=24, steps=60, views=60, batch_size=16)


@pytest.fixture(scope="module")
def molecule() -> Volume:
    generator = torch.Generator().manual_seed(2)
    center = torch.randn(40, 3, generator=generator) * 14
    model = GaussianModel(center, torch.ones(40), torch.full((40,), 4.0))
    return render_volume(model, 32, 4.0)


@pytest.fixture(scope="module")
def fit(molecule):
    return fit_neutral(molecule, QUICK, report=lambda _: None)


def test_frc_reaches_the_target_and_the_density_is_the_maps(molecule, fit):
    assert fit.mean_frc > 0.95
    assert len(fit.model) < 24 * 8
    rendered = render_volume(fit.model, 32, 4.0)
    assert shell_correlation(rendered, molecule)[1:9].mean() > 0.95


def test_the_model_fits_the_network_units(fit):
    assert (fit.model.amplitude > 0).all()
    assert (fit.model.amplitude < 1).all()
    assert ((fit.model.width / fit.base_width - 1).abs() < 0.5).all()


def test_asked_number_of_gaussians(molecule):
    options = NeutralOptions(
        resolution=20.0, start_gaussians=24, steps=5, views=20, batch_size=4, gaussians=70
    )
    fit = fit_neutral(molecule, options, report=lambda _: None)
    assert 60 <= len(fit.model) <= 70  # those outside the mask are dropped


def test_gaussians_outside_the_mask_are_dropped(molecule):
    half = torch.zeros(32, 32, 32)
    half[:, :, :17] = 1
    options = NeutralOptions(resolution=20.0, start_gaussians=24, steps=10, views=20, batch_size=4)
    mask = Volume(half, 4.0)
    fit = fit_neutral(molecule, options, mask=mask, report=lambda _: None)
    assert fit.model.center[:, 0].max() <= 2.0


def test_too_fine_a_resolution(molecule):
    with pytest.raises(ResolutionError, match="finer than twice the voxel size, 8 Å"):
        fit_neutral(molecule, NeutralOptions(resolution=5.0), report=lambda _: None)


def test_empty_map():
    with pytest.raises(ResolutionError, match="no density"):
        fit_neutral(Volume(torch.zeros(24, 24, 24), 4.0), QUICK, report=lambda _: None)


def test_default_resolution():
    assert default_resolution(Volume(torch.zeros(2, 2, 2), 4.0)) == 12.0
    assert default_resolution(Volume(torch.zeros(2, 2, 2), 1.0)) == 10.0


def masses(unit, width):
    return unit[:, 3] * ((unit[:, 4] + 0.5) * width) ** 3


def some_gaussians():
    generator = torch.Generator().manual_seed(4)
    return torch.rand(20, 5, generator=generator) * 0.4 + 0.3, generator


def test_new_gaussians_take_half_of_their_parents_mass():
    unit, generator = some_gaussians()
    joined = _split(torch.logit(unit), 30, 0.02, generator).sigmoid()
    assert len(joined) == 30
    assert masses(joined, 3.0).sum().item() == pytest.approx(masses(unit, 3.0).sum().item())
    distance = torch.cdist(joined[20:, :3], joined[:20, :3])
    parent = distance.argmin(1)
    assert (distance.min(1).values < 0.1).all()
    assert (distance.min(1).values > 0).all()
    torch.testing.assert_close(joined[20:, 3], joined[parent, 3])


def test_narrowing_keeps_each_share_of_the_mass():
    unit, _ = some_gaussians()
    narrowed = _narrow(torch.logit(unit), 5.0, 3.5).sigmoid()
    share, kept = masses(unit, 5.0), masses(narrowed, 3.5)
    free = (narrowed[:, 3] > 0.011) & (narrowed[:, 3] < 0.989)
    assert free.sum() > 10
    ratio = (kept / share)[free]
    torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio), rtol=1e-4, atol=0)


NOISE = 0.4  # of the voxels of a half map, as a share of the molecule's peak


@pytest.fixture(scope="module")
def noisy_halves(molecule):
    generator = torch.Generator().manual_seed(7)
    deviation = NOISE * float(molecule.density.max())
    return [
        Volume(molecule.density + deviation * torch.randn(32, 32, 32, generator=generator), 4.0)
        for _ in range(2)
    ]


def true_frc(fit, molecule):
    return float(validate_model(fit.model, molecule, fit.resolution)[1:11].mean())


def test_half_maps_are_not_fitted_to_their_noise(molecule, noisy_halves):
    """A fit to their mean believes itself better than it is; that to halves is better."""
    mask = soft_mask(molecule, 12.0)
    first, second = noisy_halves
    options = replace(QUICK, most_gaussians=192)
    fit = fit_neutral_to_halves(first, second, options, mask=mask, report=lambda _: None)
    mean = Volume((first.density + second.density) / 2, 4.0)
    plain = fit_neutral(mean, options, mask=mask, report=lambda _: None)
    assert plain.mean_frc > true_frc(plain, molecule) + 0.02
    assert fit.mean_frc < true_frc(fit, molecule) + 0.02
    assert true_frc(fit, molecule) > true_frc(plain, molecule) + 0.01
    assert len(fit.model) < len(plain.model)


def test_half_maps_without_noise_are_a_map(molecule, fit):
    mask = soft_mask(molecule, 12.0)
    halves = fit_neutral_to_halves(molecule, molecule, QUICK, mask=mask, report=lambda _: None)
    assert halves.mean_frc > 0.95
    assert halves.resolution == fit.resolution
    assert halves.base_width == fit.base_width


def test_half_maps_and_an_asked_number(molecule, noisy_halves):
    options = NeutralOptions(
        resolution=12.0, start_gaussians=24, steps=5, views=20, batch_size=4, gaussians=90
    )
    mask = soft_mask(molecule, 12.0)
    fit = fit_neutral_to_halves(*noisy_halves, options, mask=mask, report=lambda _: None)
    assert 75 <= len(fit.model) <= 90
