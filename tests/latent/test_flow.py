import math

import pytest
import torch

from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent import flow as flow_module
from cryomix.latent.flow import follow_density, largest_moving_group


def _molecule() -> GaussianModel:
    """A core of 60 Gaussians about the origin and an arm of 20 around x = 40 Å."""
    generator = torch.Generator().manual_seed(0)
    center = torch.randn(80, 3, generator=generator) * 6
    center[60:] = torch.randn(20, 3, generator=generator) * 3 + torch.tensor([40.0, 0, 0])
    return GaussianModel(center, torch.ones(80), torch.full((80,), 3.0))


def _batch(center: torch.Tensor, amplitude: torch.Tensor | None = None) -> GaussianModel:
    steps, gaussians, _ = center.shape
    ones = torch.ones(steps, gaussians)
    return GaussianModel(center, ones if amplitude is None else amplitude, 3 * ones)


def _grid() -> torch.Tensor:
    """Two slabs of 2 × 20 × 3 places, 4 Å apart, with a gap of 12 Å between them."""
    axes = [torch.tensor([0.0, 4, 16, 20]), 4.0 * torch.arange(20), 4.0 * torch.arange(3)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)


def test_the_moving_arm_is_found_with_the_length_of_its_way():
    """A half circle of radius 10 Å, while the core trembles by a tenth of an Å."""
    angle = torch.linspace(0, math.pi, 21)
    center = _molecule().center.repeat(21, 1, 1)
    center += 0.1 * torch.randn(center.shape, generator=torch.Generator().manual_seed(1))
    center[:, 60:, 1] += 10 * angle.cos()[:, None]
    center[:, 60:, 2] += 10 * angle.sin()[:, None]
    models = _batch(center)
    group = largest_moving_group(models, follow_density(models))
    assert torch.nonzero(group.share[0] > 0.5).flatten().tolist() == list(range(60, 80))
    assert torch.nonzero(group.share[-1] > 0.5).flatten().tolist() == list(range(60, 80))
    assert group.mass == pytest.approx(0.25)
    assert group.path_length == pytest.approx(10 * math.pi, rel=0.05)
    assert group.end_to_end == pytest.approx(20, rel=0.05)


def test_density_that_moves_by_fading_and_growing_is_followed():
    """No Gaussian moves: a blob goes along a fixed grid, 32 Å in four steps."""
    grid = _grid()
    steps = torch.tensor([20.0, 28, 36, 44, 52])
    inside = (grid[:, 0] > 14).float()  # the far side holds the blob, the near side the core
    blob = torch.exp(-((grid[None, :, 1] - steps[:, None]) ** 2) / (2 * 6.0**2)) * inside
    amplitude = blob + (1 - inside) * 0.5
    models = _batch(grid.repeat(5, 1, 1), amplitude)
    flow = follow_density(models)
    group = largest_moving_group(models, flow)
    assert group.path_length == pytest.approx(32, rel=0.15)
    assert flow.lost < 0.05
    core = grid[flow.index, 0] < 6
    assert float((flow.place[-1] - flow.place[0])[core].norm(dim=1).mean()) < 3


def test_neighbors_that_trade_density_do_not_move():
    generator = torch.Generator().manual_seed(3)
    grid = _grid()
    amplitude = 0.2 + torch.rand(2, len(grid), generator=generator)
    flow = follow_density(_batch(grid.repeat(2, 1, 1), amplitude))
    assert float((flow.place[1] - flow.place[0]).norm(dim=1).median()) < 4


def test_a_part_that_leaves_is_lost_and_moves_nothing():
    """A part 60 Å away from the rest fades to nothing."""
    center = _molecule().center.clone()
    center[60:, 0] += 20
    amplitude = torch.ones(3, 80)
    amplitude[1, 60:], amplitude[2, 60:] = 0.5, 0.0
    flow = follow_density(_batch(center.repeat(3, 1, 1), amplitude))
    assert flow.lost == pytest.approx(0.25, abs=0.02)
    assert flow.new < 0.02
    assert float(flow.kept[-1, 60:].max()) < 0.05
    assert float((flow.place[-1] - flow.place[0])[:60].norm(dim=1).max()) < 3
    appearing = follow_density(_batch(center.repeat(3, 1, 1), amplitude.flip(0)))
    assert appearing.new == pytest.approx(0.25, abs=0.02)
    assert appearing.lost < 0.02


def test_parts_that_move_apart_are_not_averaged_away():
    center = torch.stack([_molecule().center, _molecule().center])
    center[:, :30, 0] -= 60  # two bodies far from each other
    center[1, :30, 1] += 5
    center[1, 30:60, 1] -= 4
    models = _batch(center)
    group = largest_moving_group(models, follow_density(models))
    assert float(group.share[0, :30].mean()) > 0.8
    assert float(group.share[0, 30:60].max()) < 0.1
    assert group.path_length == pytest.approx(5, rel=0.1)


def test_a_model_that_does_not_move_has_a_path_of_zero():
    models = _batch(_molecule().center.repeat(3, 1, 1))
    flow = follow_density(models)
    assert largest_moving_group(models, flow).path_length < 0.3
    assert flow.lost < 1e-3
    assert flow.new < 1e-3


def test_only_the_heaviest_of_very_many_are_followed(monkeypatch):
    monkeypatch.setattr(flow_module, "FOLLOWED_AT_MOST", 40)
    center = _molecule().center.repeat(2, 1, 1)
    center[1, 60:, 1] += 10
    amplitude = torch.ones(2, 80)
    amplitude[:, ::2] = 2.0
    models = _batch(center, amplitude)
    flow = follow_density(models)
    assert flow.index.tolist() == list(range(0, 80, 2))
    group = largest_moving_group(models, flow)
    assert group.share.shape == (2, 80)
    assert float(group.share[0, 60:].min()) > 0.5
    assert float(group.share[0, :60].max()) < 0.5


def test_one_model_is_no_path():
    with pytest.raises(ValueError, match="at least two models"):
        follow_density(_molecule())
