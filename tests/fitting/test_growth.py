"""A grown model shows what it lacked, where it lacked it, as strongly as that is."""

import pytest
import torch

from cryomix.fitting.growth import grow_model
from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.missing_density import find_missing_density
from cryomix.imaging.volume import Volume

RESOLUTION, BASE_WIDTH = 12.0, 4.0
BOX, VOXEL = 32, 4.8


def cloud(center, count, amplitude, seed):
    generator = torch.Generator().manual_seed(seed)
    offset = torch.randn(count, 3, generator=generator) * 9
    ones = torch.ones(count)
    return GaussianModel(torch.tensor(center) + offset, amplitude * ones, 4.0 * ones)


@pytest.fixture(scope="module")
def body():
    return cloud([-16.0, 0.0, 0.0], 60, 0.4, seed=1)


@pytest.fixture(scope="module")
def maps(body):
    """Of the body and a domain of a third of its size and half of its density; the domain."""
    domain = cloud([28.0, 8.0, 0.0], 20, 0.2, seed=2)
    density = sum(render_volume(model, BOX, VOXEL).density for model in (body, domain))
    generator = torch.Generator().manual_seed(0)
    noisy = [density + 0.1 * torch.randn(density.shape, generator=generator) for _ in range(2)]
    return [Volume(half, VOXEL) for half in noisy], domain


@pytest.fixture(scope="module")
def grown(body, maps):
    halves, _ = maps
    missing = find_missing_density(body, *halves, RESOLUTION)
    return grow_model(body, missing, BASE_WIDTH, seed=0, report=lambda _: None)


def test_what_was_there_stays(body, grown):
    for name in ("center", "amplitude", "width"):
        assert torch.equal(getattr(grown, name)[:60], getattr(body, name))


def test_the_new_gaussians_are_the_domain(grown, maps):
    _, domain = maps
    new = grown.subset(torch.arange(60, len(grown)))
    assert 10 <= len(new) <= 60
    near = torch.cdist(new.center, domain.center).min(1).values < 10
    mass = new.amplitude * new.width**3
    assert float(mass[near].sum() / mass.sum()) > 0.97
    assert float(mass.sum()) == pytest.approx(20 * 0.2 * 4.0**3, rel=0.15)
    shown, true = (render_volume(model, BOX, VOXEL).density for model in (new, domain))
    assert torch.corrcoef(torch.stack([shown.flatten(), true.flatten()]))[0, 1] > 0.9


def test_the_networks_can_reach_them(grown):
    assert ((grown.amplitude > 0) & (grown.amplitude < 1)).all()
    assert ((grown.width / BASE_WIDTH - 1).abs() < 0.5).all()


def test_nothing_is_missing_afterwards(grown, maps):
    halves, _ = maps
    assert find_missing_density(grown, *halves, RESOLUTION) is None
