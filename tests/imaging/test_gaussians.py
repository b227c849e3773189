"""Gaussian models: rendering and choosing."""

import math

import pytest
import torch

from cryomix.imaging.gaussians import GaussianModel, render_volume, select_inside
from cryomix.imaging.volume import Volume


def formula(model, x, y, z):
    point = torch.tensor([x, y, z], dtype=torch.float64)
    squared = (model.center - point).square().sum(-1)
    return (model.amplitude * torch.exp(-squared / (2 * model.width**2))).sum()


@pytest.mark.parametrize("box_size", [20, 21])
def test_voxels_hold_the_density_of_the_formula(model, box_size):
    volume = render_volume(model, box_size, 2.5)
    for z, y, x in [(0, 0, 0), (10, 10, 10), (6, 12, 14), (box_size - 1, 3, 8)]:
        at = [(index - box_size // 2) * 2.5 for index in (x, y, z)]
        assert float(volume.density[z, y, x]) == pytest.approx(float(formula(model, *at)))


def test_the_integral_is_that_of_the_gaussians(model):
    volume = render_volume(model, 40, 2.0)
    integral = volume.density.sum() * 2.0**3
    expected = (model.amplitude * (2 * math.pi) ** 1.5 * model.width**3).sum()
    assert float(integral) == pytest.approx(float(expected), rel=1e-6)


def test_many_gaussians_are_rendered_in_parts():
    """More than one part of 256 Gaussians: the same Gaussian 300 times is one of 300 times."""
    one = GaussianModel(torch.tensor([[3.0, -2.0, 1.0]]), torch.tensor([1.0]), torch.tensor([3.0]))
    one = GaussianModel(one.center.double(), one.amplitude.double(), one.width.double())
    many = one.subset(torch.zeros(300, dtype=torch.long))
    assert len(many) == 300
    torch.testing.assert_close(
        render_volume(many, 12, 2.0).density, 300 * render_volume(one, 12, 2.0).density
    )


def test_a_batch_is_indexed_by_model_and_cut_by_gaussian(model):
    batch = GaussianModel(
        torch.stack([model.center, -model.center]),
        torch.stack([model.amplitude, model.amplitude]),
        torch.stack([model.width, model.width]),
    )
    assert len(batch) == 6
    torch.testing.assert_close(batch[1].center, -model.center)
    assert batch[0:1].center.shape == (1, 6, 3)
    chosen = batch.subset(torch.tensor([True, False, False, True, False, False]))
    torch.testing.assert_close(chosen.center[1], -model.center[[0, 3]])


@pytest.mark.parametrize("box_size", [16, 17])
def test_inside_is_where_the_mask_exceeds_one_half(box_size):
    density = torch.zeros(box_size, box_size, box_size)
    density[box_size // 2 + 1, box_size // 2 - 2, box_size // 2 + 3] = 0.6
    mask = Volume(density, 2.0)
    center = torch.tensor([[6.0, -4.0, 2.0], [6.9, -4.9, 1.1], [-4.0, 6.0, 2.0], [900.0, 0, 0]])
    model = GaussianModel(center, torch.ones(4), torch.ones(4))
    assert select_inside(model, mask).tolist() == [True, True, False, False]
    faint = Volume(density * 0.5, 2.0)
    assert not select_inside(model, faint).any()


def test_models_are_left_alone(model, unchanged):
    with unchanged(model):
        select_inside(model, render_volume(model, 12, 3.0))
