"""Maps: filtering, cropping, and projection against the analytic line integral."""

import pytest
import torch

from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses
from cryomix.imaging.correlation import ring_correlation, shell_correlation
from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.projection_reference import project_gaussians_reference
from cryomix.imaging.volume import (
    Volume,
    crop_volume,
    low_pass,
    project_volume,
    transform_volume,
)


@pytest.mark.parametrize("box_size", [32, 33])
def test_projection_equals_the_analytic_line_integral(model, poses, box_size):
    """Within one per cent of each ring up to 0.7 Nyquist, but for the mean, which no ring uses."""
    grid = FourierGrid(box_size, 2.5)
    projected = project_volume(render_volume(model, box_size, 2.5), poses, grid)
    exact = project_gaussians_reference(model, poses, grid)
    error, size = (projected - exact).abs(), exact.abs()
    for ring in range(1, int(0.7 * box_size / 2)):
        inside = grid.ring == ring
        assert error[:, inside].norm() < 0.01 * size[:, inside].norm(), f"ring {ring}"
    outside = grid.radius * grid.box_length >= box_size / 2
    assert (projected[:, outside] == 0).all()


def test_projection_on_a_coarser_grid_has_the_same_units(model, poses):
    coarse = FourierGrid(20, 4.0)
    projected = project_volume(render_volume(model, 32, 2.5), poses, coarse)
    exact = project_gaussians_reference(model, poses, coarse)
    inside = coarse.ring <= 6
    assert (projected - exact)[:, inside].norm() < 0.01 * exact[:, inside].norm()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda poses: Poses(poses.rotation.mT, poses.shift),
        lambda poses: Poses(poses.rotation, -poses.shift),
    ],
    ids=["transposed rotation", "negated shift"],
)
def test_the_wrong_convention_scores_clearly_lower(model, poses, wrong):
    grid = FourierGrid(32, 2.5)
    sharp = GaussianModel(model.center, model.amplitude, 0.6 * model.width)
    projected = project_volume(render_volume(sharp, 32, 2.5), wrong(poses)[1:], grid)
    exact = project_gaussians_reference(sharp, poses[1:], grid)
    assert ring_correlation(projected, exact, grid)[:, 5:12].mean() < 0.6


def test_a_transform_made_before_gives_the_same_projection(model, poses):
    volume = render_volume(model, 16, 4.0)
    grid = FourierGrid(16, 4.0)
    once = project_volume(volume, poses, grid)
    assert torch.equal(once, project_volume(transform_volume(volume), poses, grid))


@pytest.mark.parametrize(("n", "m"), [(32, 20), (32, 21), (33, 20), (33, 21), (65, 64), (32, 32)])
def test_cropping_keeps_center_and_density(model, n, m):
    length = n * 2.0
    wide = GaussianModel(model.center, model.amplitude, model.width + 2.0)
    cropped = crop_volume(render_volume(wide, n, 2.0), m)
    assert cropped.voxel_size == pytest.approx(length / m)
    expected = render_volume(wide, m, length / m)
    torch.testing.assert_close(cropped.density, expected.density, atol=5e-3, rtol=0)


def test_cropping_to_a_larger_box_is_refused(model):
    with pytest.raises(ValueError, match="cannot crop a box of 12 to 14"):
        crop_volume(render_volume(model, 12, 4.0), 14)


@pytest.mark.parametrize("box_size", [32, 33])
def test_low_pass_keeps_what_is_coarser_and_removes_what_is_finer(box_size):
    generator = torch.Generator().manual_seed(0)
    noise = Volume(
        torch.randn(box_size, box_size, box_size, generator=generator), 2.0, (1.0, 2.0, 3.0)
    )
    last = 8
    filtered = low_pass(noise, box_size * 2.0 / last)
    before, after = (torch.fft.fftn(each.density) for each in (noise, filtered))
    frequency = torch.fft.fftfreq(box_size) * box_size
    radius = (frequency[:, None, None] ** 2 + frequency[:, None] ** 2 + frequency**2).sqrt()
    ratio = (after / before).abs()
    assert (ratio[radius <= last - 1] - 1).abs().max() < 1e-3
    assert ratio[radius >= last + 1].max() < 1e-3
    assert ratio[0, 0, last] == pytest.approx(0.5, abs=1e-3)
    assert filtered.origin == (1.0, 2.0, 3.0)
    assert shell_correlation(filtered, noise)[1:last].min() > 0.999


def test_volumes_are_left_alone(model, poses, unchanged):
    volume = render_volume(model, 16, 4.0)
    with unchanged(volume, poses):
        low_pass(volume, 20.0)
        crop_volume(volume, 12)
        project_volume(volume, poses, FourierGrid(16, 4.0))
