"""What most of a molecule does alike is found, and may as well be told by the pose."""

import pytest
import torch

from cryomix.fitting.core_motion import core_motion
from cryomix.fitting.pose_refinement import PoseFit, correction_between
from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import random_poses
from cryomix.geometry.rigid_motion import RigidMotion, turn_by
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.projection import project_gaussians

COUNT, MODELS = 300, 6


@pytest.fixture
def molecule():
    generator = torch.Generator().manual_seed(3)
    center = 40 * torch.randn(COUNT, 3, generator=generator)
    return GaussianModel(center, torch.rand(COUNT, generator=generator), torch.full((COUNT,), 6.0))


@pytest.fixture
def planted():
    generator = torch.Generator().manual_seed(4)
    turn = turn_by(0.1 * torch.randn(MODELS, 3, generator=generator))
    return RigidMotion(turn, 5 * torch.randn(MODELS, 3, generator=generator))


def decoded(molecule, center):
    return GaussianModel(
        center, molecule.amplitude.expand(MODELS, -1), molecule.width.expand(MODELS, -1)
    )


def angle(one, other):
    trace = (one.mT @ other).diagonal(dim1=1, dim2=2).sum(1)
    return torch.rad2deg(torch.arccos(((trace - 1) / 2).clamp(-1, 1)))


def test_a_rigid_motion_is_found_whole(molecule, planted):
    found = core_motion(molecule, decoded(molecule, planted.apply(molecule.center)))
    torch.testing.assert_close(found.rotation, planted.rotation, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.shift, planted.shift, atol=1e-2, rtol=0)


def test_a_domain_that_moves_apart_does_not_take_the_core_along(molecule, planted):
    """A quarter of the molecule, 30 Å further; the mean motion would be a quarter of that."""
    center = planted.apply(molecule.center)
    center[:, molecule.center[:, 0] > 27] += torch.tensor([0.0, 30.0, 0.0])
    assert 0.2 < float((molecule.center[:, 0] > 27).float().mean()) < 0.3
    found = core_motion(molecule, decoded(molecule, center))
    assert float(angle(found.rotation, planted.rotation).max()) < 0.3
    middle = molecule.center.mean(0, keepdim=True)
    assert float((found.apply(middle) - planted.apply(middle)).norm(dim=-1).max()) < 0.5


def test_gaussians_of_no_weight_do_not_matter(molecule, planted):
    center = planted.apply(molecule.center)
    center[:, :100] += 50.0
    light = GaussianModel(molecule.center, molecule.amplitude.clone(), molecule.width)
    light.amplitude[:100] = 0.0
    found = core_motion(light, decoded(molecule, center))
    torch.testing.assert_close(found.rotation, planted.rotation, atol=1e-4, rtol=0)


def test_the_image_is_the_same_whether_model_or_pose_moves(molecule, planted):
    grid = FourierGrid(48, 6.0)
    poses = random_poses(MODELS, torch.Generator().manual_seed(5))
    information = torch.diag_embed(torch.rand(MODELS, 5) + 0.5)
    zero = torch.zeros(MODELS)
    fit = PoseFit(poses, zero[:, None], information, torch.zeros(MODELS, 5), zero)
    moved = fit.moved(planted)
    seen = project_gaussians(decoded(molecule, planted.apply(molecule.center)), poses, grid)
    same = project_gaussians(molecule, moved.poses, grid)
    assert float((seen - same).norm() / seen.norm()) < 2e-3
    # The maximum of each parabola has moved with its pose.
    found = torch.linalg.solve(information, moved.pull)
    torch.testing.assert_close(found, correction_between(poses, moved.poses), atol=1e-5, rtol=1e-4)
