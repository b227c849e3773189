"""How symmetric a map is, and which of its Gaussians are one unit."""

import pytest
import torch

from cryomix.geometry.symmetry import group_generators, point_group
from cryomix.imaging.asymmetric_unit import asymmetric_unit, symmetry_correlation, unit_overlap
from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.volume import Volume

NAMES = ["C3", "D2", "T", "O"]


def assemble(name, model, jitter=0.0):
    """`model`, moved away from the axes, and its images; the number of each one's unit."""
    group = point_group(name)
    unit = 0.4 * model.center + torch.tensor([17.0, 9.0, 27.0], dtype=torch.float64)
    center = torch.einsum("gij,nj->gni", group, unit).flatten(0, 1)
    noise = torch.randn(center.shape, generator=torch.Generator().manual_seed(4))
    whole = GaussianModel(
        center + jitter * noise, model.amplitude.repeat(len(group)), model.width.repeat(len(group))
    )
    number = torch.arange(len(group)).repeat_interleave(len(model))
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(5))
    return whole.subset(order), number[order]


@pytest.mark.parametrize("name", NAMES)
def test_one_whole_unit_is_found(name, model):
    whole, number = assemble(name, model, jitter=0.3)
    inside = asymmetric_unit(whole, point_group(name))
    assert int(inside.sum()) == len(model)
    assert len(number[inside].unique()) == 1


@pytest.mark.parametrize("name", NAMES)
def test_every_gaussian_is_in_one_unit_of_a_group(name, model):
    """Units are images of each other: turned by all elements, one of them fills the model."""
    group = point_group(name)
    whole, _ = assemble(name, model)
    center = whole.center[asymmetric_unit(whole, group)]
    images = torch.einsum("gij,nj->gni", group, center).flatten(0, 1)
    distance = torch.cdist(whole.center, images)
    assert ((distance < 1e-6).sum(1) == 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_symmetric_map_correlates_with_itself_and_others_do_not(name, model):
    whole, _ = assemble(name, model)
    volume = render_volume(whole, 48, 2.5)
    volume = Volume(volume.density.float(), 2.5)
    assert symmetry_correlation(volume, group_generators(name), 10.0) > 0.97
    assert symmetry_correlation(volume, group_generators("C5"), 10.0) < 0.6
    beside = Volume(volume.density.roll(2, dims=2), 2.5)
    assert symmetry_correlation(beside, group_generators(name), 10.0) < 0.8
    alone = Volume(render_volume(model, 48, 2.5).density.float(), 2.5)
    assert symmetry_correlation(alone, group_generators(name), 10.0) < 0.6


def test_the_least_symmetric_generator_counts(model):
    """A C3 object is no D3 object."""
    whole, _ = assemble("C3", model)
    volume = Volume(render_volume(whole, 48, 2.5).density.float(), 2.5)
    assert symmetry_correlation(volume, group_generators("D3"), 10.0) < 0.7


def test_overlap_says_how_much_is_there_once_more(model):
    group = point_group("C3")
    whole, number = assemble("C3", model)
    assert unit_overlap(whole, number == 1, group) == 0
    assert unit_overlap(whole, number < 2, group) == pytest.approx(0.5)
    assert unit_overlap(whole, number >= 0, group) == pytest.approx(1)


def test_arguments_are_left_alone(model, unchanged):
    whole, _ = assemble("C3", model)
    with unchanged(whole):
        asymmetric_unit(whole, point_group("C3"))
