"""The oversampled grid: what it promises, and that the way to the box has its adjoint."""

import pytest
import torch

from cryomix.geometry.fourier import FourierGrid, sum_over_rings
from cryomix.geometry.poses import random_poses
from cryomix.imaging.fine_grid import fine_grid_for, transform_from_box, transform_to_box
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.projection_gridding import project_gaussians_gridding
from cryomix.imaging.projection_reference import project_gaussians_reference


def views(width_pixels, spread, grid, gaussians=150):
    generator = torch.Generator().manual_seed(3)
    center = (torch.rand(2, gaussians, 3, generator=generator) - 0.5) * 0.6 * grid.box_length
    share = 1 + spread * (2 * torch.rand(2, gaussians, generator=generator) - 1)
    amplitude = torch.rand(2, gaussians, generator=generator)
    model = GaussianModel(center, amplitude, width_pixels * grid.pixel_size * share)
    return model, random_poses(2, generator)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize(("width", "spread"), [(1.2, 0.0), (1.2, 0.4), (0.5, 0.3), (3.0, 0.5)])
def test_error_of_every_ring_is_below_the_tolerance(tolerance, width, spread):
    grid = FourierGrid(48, 2.0)
    model, poses = views(width, spread, grid)
    fast = project_gaussians_gridding(model, poses, grid, tolerance=tolerance)
    double = GaussianModel(model.center.double(), model.amplitude.double(), model.width.double())
    placed = type(poses)(poses.rotation.double(), poses.shift.double())
    exact = project_gaussians_reference(double, placed, grid)
    difference = sum_over_rings((fast - exact).abs().square(), grid).sum(0)
    error = (difference / sum_over_rings(exact.abs().square(), grid).sum(0)).sqrt()
    assert error[: int(0.45 * grid.box_size) + 1].max() < tolerance


def test_a_looser_tolerance_takes_smaller_windows():
    grid = FourierGrid(64, 2.0)
    loose, tight = fine_grid_for(grid, 1e-2), fine_grid_for(grid, 1e-4)
    assert loose.window * loose.narrowest < 0.8 * tight.window * tight.narrowest


@pytest.mark.parametrize("tolerance", [0.0, 1e-5, 0.2, float("nan")])
def test_tolerances_that_cannot_be_kept(tolerance):
    with pytest.raises(ValueError, match="tolerance must be between"):
        fine_grid_for(FourierGrid(32, 2.0), tolerance)


def test_images_of_a_batch_do_not_depend_on_each_other():
    grid = FourierGrid(32, 2.0)
    model, poses = views(1.2, 0.4, grid)
    second = GaussianModel(model.center[1:], model.amplitude[1:], model.width[1:])
    view = type(poses)(poses.rotation[1:], poses.shift[1:])
    whole = project_gaussians_gridding(model, poses, grid)[1:]
    alone = project_gaussians_gridding(second, view, grid)
    # Tolerance 1e-3 of the exact answer would be met by a shared widening as well.
    assert (whole - alone).norm() < 1e-6 * alone.norm()


@pytest.mark.parametrize("box_size", [24, 25])
def test_the_way_back_is_the_adjoint(box_size):
    grid = FourierGrid(box_size, 2.0)
    fine = fine_grid_for(grid, 1e-3)
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(2, fine.size, fine.size, generator=generator, dtype=torch.float64)
    widening = torch.tensor([1.5, -3.0], dtype=torch.float64)
    image_ft = transform_to_box(image, widening, grid)
    other = torch.randn(image_ft.shape, generator=generator, dtype=torch.complex128)
    forward = (image_ft * other.conj()).real.sum()
    backward = (image * transform_from_box(other, widening, grid, fine)).sum()
    torch.testing.assert_close(forward, backward)


def test_the_size_has_small_factors_and_oversamples():
    for box_size in range(16, 200):
        size = fine_grid_for(FourierGrid(box_size, 1.0), 1e-3).size
        assert size >= 1.5 * box_size
        assert size % 2 == 0
        for prime in (2, 3, 5):
            while size % prime == 0:
                size //= prime
        assert size == 1
