"""The derivatives of a projection with respect to its pose, against finite differences."""

import torch

from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses, turn
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.pose_change import project_with_pose_change
from cryomix.imaging.projection import project_gaussians

GRID = FourierGrid(24, 2.5)
STEP = 1e-5


def moved(poses, axis, step):
    change = torch.zeros(len(poses), 5, dtype=torch.float64)
    change[:, axis] = step
    return Poses(turn(poses.rotation, change[:, :3]), poses.shift + change[:, 3:])


def inside(image_ft):
    """Without the Nyquist column and row, whose frequencies stand for both signs."""
    return image_ft[..., torch.arange(24) != 12, :-1]


def test_derivatives_equal_finite_differences(model, poses):
    projection, change = project_with_pose_change(model, poses, GRID)
    torch.testing.assert_close(projection, project_gaussians(model, poses, GRID))
    for axis in range(5):
        ahead = project_gaussians(model, moved(poses, axis, STEP), GRID)
        behind = project_gaussians(model, moved(poses, axis, -STEP), GRID)
        numeric = (ahead - behind) / (2 * STEP)
        scale = float(numeric.abs().max())
        assert scale > 1
        torch.testing.assert_close(
            inside(change[:, axis]), inside(numeric), atol=1e-7 * scale, rtol=1e-6
        )


def test_single_precision_agrees_with_double(model, poses):
    """The compiled projection, with amplitudes of both signs."""
    single = GaussianModel(model.center.float(), model.amplitude.float(), model.width.float())
    placed = Poses(poses.rotation.float(), poses.shift.float())
    _, fast = project_with_pose_change(single, placed, GRID)
    _, exact = project_with_pose_change(model, poses, GRID)
    error = (fast - exact)[:, :, GRID.ring <= 9].norm(dim=-1)
    assert (error < 2e-3 * exact[:, :, GRID.ring <= 9].norm(dim=-1)).all()


def test_arguments_are_left_alone(model, poses, unchanged):
    with unchanged(model, poses):
        project_with_pose_change(model, poses, GRID)
