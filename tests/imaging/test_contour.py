"""A contour encloses the molecule, whatever its scale and the noise of its solvent."""

import pytest
import torch

from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.masking import contour_level
from cryomix.imaging.volume import Volume


@pytest.fixture
def density(model: GaussianModel) -> Volume:
    return render_volume(model, 32, 2.0)


def test_four_fifths_of_the_density_are_inside(density):
    inside = density.density > contour_level(density)
    assert 0.65 < density.density[inside].sum() / density.density.sum() < 0.85


def test_it_scales_with_the_map_and_hardly_sees_noise(density):
    level = contour_level(density)
    scaled = Volume(40 * density.density, density.voxel_size)
    assert contour_level(scaled) == pytest.approx(40 * level)
    noise = torch.randn(32, 32, 32, generator=torch.Generator().manual_seed(0))
    noisy = Volume(density.density + 0.01 * noise, density.voxel_size)
    assert contour_level(noisy) == pytest.approx(level, rel=0.1)


def test_a_map_of_nothing_has_none():
    with pytest.raises(ValueError, match="no contour"):
        contour_level(Volume(torch.zeros(8, 8, 8), 1.0))
