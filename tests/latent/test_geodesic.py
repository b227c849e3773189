import math

import numpy as np
import pytest
import torch
from torch import Tensor

from cryomix.errors import OptionError
from cryomix.latent import geodesic
from cryomix.latent.geodesic import along_particles, relative_reach


def _at(*degrees: float, radius: float = 1.0) -> Tensor:
    angle = torch.deg2rad(torch.tensor(degrees))
    return radius * torch.stack([angle.cos(), angle.sin()], dim=1)


def _ring(degrees: np.ndarray, seed: int = 0) -> Tensor:
    generator = np.random.default_rng(seed)
    place = _at(*degrees.tolist())
    return place + torch.from_numpy(0.07 * generator.normal(size=place.shape)).float()


@pytest.fixture(scope="module")
def ring() -> Tensor:
    return _ring(np.random.default_rng(1).uniform(0, 360, 3000))


def _angles(path: Tensor) -> Tensor:
    return torch.rad2deg(torch.atan2(path[:, 1], path[:, 0]))


def test_a_geodesic_follows_a_ring(ring):
    path = along_particles(ring, _at(10, 150))
    assert torch.equal(path[[0, -1]], _at(10, 150))
    torch.testing.assert_close(path.norm(dim=1), torch.ones(len(path)), atol=0.1, rtol=0)
    assert bool((_angles(path).diff() > 0).all())
    step = path.diff(dim=0).norm(dim=1)
    assert float(step.max() / step.min()) < 1.05
    # The length of the arc, but for cutting its inner side a little.
    assert float(step.sum()) == pytest.approx(math.radians(140), rel=0.08)


def test_it_is_denser_than_the_straight_line(ring):
    straight = _at(10, 150).mean(dim=0, keepdim=True)
    assert float(relative_reach(ring, straight)) > 2.5
    assert float(relative_reach(ring, along_particles(ring, _at(10, 150))).max()) < 1.4


def test_it_takes_the_longer_way_where_that_is_ten_times_as_dense():
    generator = np.random.default_rng(2)
    short, long = generator.uniform(0, 120, 150), generator.uniform(120, 360, 3000)
    path = along_particles(_ring(np.concatenate([short, long])), _at(0, 120))
    assert float((_at(60) - path).norm(dim=1).min()) > 0.9
    even = _ring(np.concatenate([generator.uniform(0, 120, 1500), long]))
    assert float((_at(60) - along_particles(even, _at(0, 120))).norm(dim=1).min()) < 0.15


def test_points_on_the_way_decide_which_way(ring):
    path = along_particles(ring, _at(10, 260, 150))
    for stop in _at(10, 260, 150):
        assert float((path - stop).norm(dim=1).min()) == 0
    assert float((_at(80) - path).norm(dim=1).min()) > 0.8
    assert bool((path.diff(dim=0).norm(dim=1) > 0).all())


def test_a_gap_is_not_crossed():
    generator = torch.Generator().manual_seed(0)
    cloud = 0.1 * torch.randn(400, 3, generator=generator)
    cloud[200:, 0] += 5
    with pytest.raises(OptionError, match="from point 1 to point 2: a gap in the latent space"):
        along_particles(cloud, torch.tensor([[0.0, 0, 0], [5.0, 0, 0]]))


def test_the_ends_may_lie_outside_and_particles_may_coincide(ring):
    path = along_particles(torch.cat([ring, ring[:80].repeat(3, 1)]), _at(0, 90, radius=1.5))
    assert torch.equal(path[-1:], _at(90, radius=1.5))
    assert float(path[20:40].norm(dim=1).max()) < 1.15


def test_an_even_choice_of_many_particles_gives_the_same_way(ring, monkeypatch):
    monkeypatch.setattr(geodesic, "GRAPH_AT_MOST", 700)
    path = along_particles(ring, _at(10, 150))
    torch.testing.assert_close(path.norm(dim=1), torch.ones(len(path)), atol=0.12, rtol=0)


def test_few_particles_and_one_dimension():
    line = torch.linspace(0, 1, 30)[:, None]
    path = along_particles(line, torch.tensor([[0.1], [0.9]]))
    torch.testing.assert_close(path[:, 0], torch.linspace(0.1, 0.9, len(path)), atol=1e-4, rtol=0)


def test_the_same_point_twice_is_no_path(ring):
    with pytest.raises(OptionError, match="1 and 2 are the same"):
        along_particles(ring, _at(10, 10))


def test_particles_four_times_as_thin_reach_twice_as_far():
    axis = torch.arange(60.0)
    dense = torch.cartesian_prod(axis, axis)
    thin = 2 * dense[:800] + torch.tensor([200.0, 0.0])
    here = torch.tensor([[30.0, 30.0], [220.0, 40.0]])
    reach = relative_reach(torch.cat([dense, thin]), here)
    assert float(reach[1] / reach[0]) == pytest.approx(2, rel=0.02)
    assert float(reach[0]) == pytest.approx(1, rel=0.05)
