"""Each kernel against the definition: value, gradient, gradient ratio, edge cases."""

import math

import jaxtyping
import pytest
import torch

from cryomix.geometry.fourier import FourierGrid, sum_over_rings, to_real
from cryomix.geometry.poses import Poses
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.projection import project_gaussians
from cryomix.imaging.projection_factorized import project_gaussians_factorized
from cryomix.imaging.projection_gridding import project_gaussians_gridding
from cryomix.imaging.projection_reference import project_gaussians_reference

KERNELS = [project_gaussians_factorized, project_gaussians_gridding, project_gaussians]


def leaves_of(model, dtype):
    values = (model.center, model.amplitude, model.width)
    return [value.to(dtype).clone().requires_grad_() for value in values]


def gradients(project, model, poses, grid, dtype):
    """Of a fixed random-looking weight over 0.9 of Nyquist, so that no component can hide."""
    leaves = leaves_of(model, dtype)
    placed = Poses(poses.rotation.to(dtype), poses.shift.to(dtype))
    image = torch.view_as_real(project(GaussianModel(*leaves), placed, grid))
    weight = torch.sin(torch.arange(image.numel(), dtype=torch.float64) * 1.7).reshape(image.shape)
    weight = weight * (grid.radius * grid.box_length < 0.45 * grid.box_size)[..., None]
    return torch.autograd.grad((image * weight.to(dtype)).sum(), leaves)


def ring_errors(fast, exact, grid):
    difference = sum_over_rings((fast - exact).abs().square(), grid).sum(0)
    return (difference / sum_over_rings(exact.abs().square(), grid).sum(0)).sqrt()


@pytest.mark.parametrize("box_size", [16, 17, 24])
def test_matrix_product_equals_reference(model, poses, box_size):
    grid = FourierGrid(box_size, 2.5)
    exact = project_gaussians_reference(model, poses, grid)
    torch.testing.assert_close(project_gaussians_factorized(model, poses, grid), exact)
    pairs = zip(
        gradients(project_gaussians_factorized, model, poses, grid, torch.float64),
        gradients(project_gaussians_reference, model, poses, grid, torch.float64),
        strict=True,
    )
    for fast, slow in pairs:
        torch.testing.assert_close(fast, slow)


@pytest.mark.parametrize("box_size", [24, 25, 64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gridding_error_per_ring(model, poses, box_size, dtype):
    grid = FourierGrid(box_size, 2.5)
    exact = project_gaussians_reference(model, poses, grid)
    cast = GaussianModel(*(leaf.detach() for leaf in leaves_of(model, dtype)))
    placed = Poses(poses.rotation.to(dtype), poses.shift.to(dtype))
    error = ring_errors(project_gaussians_gridding(cast, placed, grid), exact, grid)
    assert error[: int(0.45 * box_size) + 1].max() < 1e-3
    assert error.max() < 5e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gridding_gradient_and_its_ratio_per_gaussian(model, poses, dtype):
    grid = FourierGrid(32, 2.5)
    slow = gradients(project_gaussians_reference, model, poses, grid, torch.float64)
    fast = gradients(project_gaussians_gridding, model, poses, grid, dtype)
    for exact, value in zip(slow, fast, strict=True):
        value = value.double()
        cosine = torch.cosine_similarity(value.flatten(), exact.flatten(), dim=0)
        assert cosine > 0.99999
        # A kernel that dropped a small gradient would pass any absolute tolerance.
        size = exact.reshape(len(exact), -1).norm(dim=1)
        ratio = value.reshape(len(exact), -1).norm(dim=1) / size
        torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=0, atol=0.04)


def test_narrow_gaussians_are_widened_and_sharpened_again(poses):
    """σ of 0.3 pixels: its transform has not decayed at Nyquist, and spreading would alias."""
    grid = FourierGrid(32, 2.0)
    model = GaussianModel(
        torch.tensor([[3.0, -5.0, 7.0], [-8.0, 2.0, 1.0]], dtype=torch.float64),
        torch.tensor([1.0, 2.0], dtype=torch.float64),
        torch.tensor([0.6, 1.2], dtype=torch.float64),
    )
    exact = project_gaussians_reference(model, poses, grid)
    error = ring_errors(project_gaussians_gridding(model, poses, grid), exact, grid)
    assert error[: int(0.45 * 32) + 1].max() < 2e-3


@pytest.mark.parametrize("project", KERNELS)
def test_one_model_for_each_pose(project, model, poses):
    grid = FourierGrid(24, 2.5)
    batch = GaussianModel(
        torch.stack([model.center + step for step in range(len(poses))]),
        model.amplitude.expand(len(poses), -1) * 1.5,
        model.width.expand(len(poses), -1) * 1.1,
    )
    together = project(batch, poses, grid)
    for number in range(len(poses)):
        alone = project(batch[number], poses[number : number + 1], grid)[0]
        torch.testing.assert_close(together[number], alone)


@pytest.mark.parametrize("project", KERNELS)
def test_one_gaussian_of_no_amplitude(project, poses):
    model = GaussianModel(torch.ones(1, 3), torch.zeros(1), torch.full((1,), 3.0))
    single = Poses(poses.rotation[:1].float(), poses.shift[:1].float())
    assert project(model, single, FourierGrid(16, 2.0)).abs().max() == 0


@pytest.mark.parametrize("project", [*KERNELS, project_gaussians_reference])
def test_a_gaussian_lands_on_its_pixel(project):
    """(x, y) = (6, -4) Å at 2 Å per pixel is column 16 + 3, row 16 - 2."""
    grid = FourierGrid(32, 2.0)
    model = GaussianModel(torch.tensor([[6.0, -4.0, 9.0]]), torch.ones(1), torch.tensor([4.0]))
    pose = Poses(torch.eye(3)[None], torch.zeros(1, 2))
    image = to_real(project(model, pose, grid))[0]
    assert divmod(int(image.argmax()), 32) == (14, 19)
    assert image.max() == pytest.approx(math.sqrt(2 * math.pi) * 4.0, rel=1e-4)


def test_the_meaning_does_not_depend_on_the_sampling(model, poses):
    """The same image at the same points, whether the box has 32 or 48 pixels of the same size."""
    small, large = (to_real(project_gaussians(model, poses, FourierGrid(n, 2.5))) for n in (32, 48))
    torch.testing.assert_close(small, large[:, 8:40, 8:40], rtol=0, atol=1e-3 * float(large.max()))


def test_arguments_are_left_alone(model, poses, unchanged):
    with unchanged(model, poses):
        project_gaussians(model, poses, FourierGrid(16, 2.0))
        project_gaussians_gridding(model, poses, FourierGrid(16, 2.0))


def test_models_and_poses_must_match(model, poses):
    two = GaussianModel(
        *(torch.stack([v] * 2) for v in (model.center, model.amplitude, model.width))
    )
    with pytest.raises(ValueError, match="2 models but 5 poses"):
        project_gaussians(two, poses, FourierGrid(16, 2.0))


def test_shape_checks_are_live():
    with pytest.raises(jaxtyping.TypeCheckError):
        Poses(torch.zeros(2, 3), torch.zeros(2, 2))
