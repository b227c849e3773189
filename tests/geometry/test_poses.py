"""Rotations against SciPy, and the way back to angles."""

import jaxtyping
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryomix.geometry.poses import (
    Poses,
    euler_to_rotation,
    random_poses,
    rotation_to_euler,
    spread_poses,
    turn,
    turn_between,
)

ANGLES = torch.tensor(
    [[10.0, 20.0, 30.0], [-170.0, 95.0, 5.0], [275.2, 67.3, 48.0], [0.0, 179.0, -90.0]],
    dtype=torch.float64,
)


def test_rotation_is_the_inverse_of_the_intrinsic_zyz_rotation():
    oracle = Rotation.from_euler("ZYZ", ANGLES.numpy(), degrees=True).inv().as_matrix()
    np.testing.assert_allclose(euler_to_rotation(ANGLES).numpy(), oracle, atol=1e-12)


def test_rotation_equals_the_formula_of_relion():
    """The matrix A of the 3DEM convention, element by element (Heymann et al., 2005)."""
    for angles, rotation in zip(ANGLES, euler_to_rotation(ANGLES), strict=True):
        a, b, g = np.deg2rad(angles.numpy())
        ca, cb, cg, sa, sb, sg = *np.cos([a, b, g]), *np.sin([a, b, g])
        matrix = [
            [cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb],
            [-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb],
            [sb * ca, sb * sa, cb],
        ]
        np.testing.assert_allclose(rotation.numpy(), matrix, atol=1e-12)


def test_rot_90_turns_model_x_to_view_minus_y():
    rotation = euler_to_rotation(torch.tensor([[90.0, 0.0, 0.0]], dtype=torch.float64))[0]
    x_axis = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    expected = torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(rotation @ x_axis, expected)


def test_angles_return_from_a_rotation():
    rotation = random_poses(200, torch.Generator().manual_seed(0)).rotation.double()
    euler = rotation_to_euler(rotation)
    assert (euler[:, 1] >= 0).all()
    torch.testing.assert_close(euler_to_rotation(euler), rotation, atol=1e-6, rtol=0)
    inside = torch.tensor([[12.0, 34.0, -56.0]], dtype=torch.float64)
    torch.testing.assert_close(rotation_to_euler(euler_to_rotation(inside)), inside)


@pytest.mark.parametrize("tilt", [0.0, 180.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_at_the_poles_rot_is_zero_and_the_rotation_still_returns(tilt, dtype):
    rotation = euler_to_rotation(torch.tensor([[25.0, tilt, 40.0], [0, tilt, 0]], dtype=dtype))
    euler = rotation_to_euler(rotation)
    assert (euler[:, 0] == 0).all()
    torch.testing.assert_close(euler_to_rotation(euler), rotation, atol=2e-6, rtol=0)


@pytest.mark.parametrize("tilt", [1e-4, 1e-3, 179.999])
def test_near_the_poles_single_precision_is_kept(tilt):
    """There rot is ill defined; psi must make up for its error."""
    euler = torch.tensor([[25.0, tilt, 40.0], [-100.0, tilt, 70.0]], dtype=torch.float64)
    rotation = euler_to_rotation(euler).float()
    back = euler_to_rotation(rotation_to_euler(rotation))
    torch.testing.assert_close(back, rotation, atol=3e-6, rtol=0)


def test_random_rotations_are_proper_and_cover_the_sphere():
    poses = random_poses(4000, torch.Generator().manual_seed(1))
    identity = torch.eye(3).expand(4000, 3, 3)
    torch.testing.assert_close(poses.rotation @ poses.rotation.mT, identity, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(poses.rotation), torch.ones(4000))
    # E[R] = 0 and each squared element has mean 1/3 for rotations that are uniform on SO(3).
    assert poses.rotation.mean(dim=0).abs().max() < 0.04
    assert (poses.rotation.square().mean(dim=0) - 1 / 3).abs().max() < 0.03
    assert (poses.shift == 0).all()


def test_random_rotations_depend_only_on_the_generator():
    first = random_poses(3, torch.Generator().manual_seed(7)).rotation
    assert torch.equal(first, random_poses(3, torch.Generator().manual_seed(7)).rotation)
    assert not torch.equal(first, random_poses(3, torch.Generator().manual_seed(8)).rotation)


def test_spread_views_are_even():
    beam = spread_poses(500).rotation[:, 2]
    assert beam.mean(dim=0).abs().max() < 0.01
    nearest = (torch.cdist(beam, beam) + 9 * torch.eye(500)).amin(dim=1)
    assert nearest.min() > 0.5 * nearest.max()


def test_poses_are_chosen_by_slice_and_by_index(poses):
    assert len(poses[1:3]) == 2
    chosen = poses[torch.tensor([4, 0])]
    assert torch.equal(chosen.rotation[0], poses.rotation[4])
    assert torch.equal(chosen.shift[1], poses.shift[0])


def test_a_shift_for_every_rotation():
    with pytest.raises((ValueError, jaxtyping.TypeCheckError)):
        Poses(torch.zeros(2, 3, 3), torch.zeros(3, 2))


def test_shape_checks_are_live():
    with pytest.raises(jaxtyping.TypeCheckError):
        Poses(torch.zeros(2, 3), torch.zeros(2, 2))


def test_rotations_are_left_alone(poses, unchanged):
    with unchanged(poses):
        rotation_to_euler(poses.rotation)


def test_a_turn_equals_scipys_rotation_vector():
    vector = torch.tensor(
        [[0.0, 0, 0], [1e-9, 0, 0], [0.1, -0.2, 0.3], [1.0, 2.0, -1.5]], dtype=torch.float64
    )
    rotation = euler_to_rotation(ANGLES)
    oracle = Rotation.from_rotvec(vector.numpy()).as_matrix() @ rotation.numpy()
    np.testing.assert_allclose(turn(rotation, vector).numpy(), oracle, atol=1e-12)


def test_a_turn_about_z_turns_the_image_in_its_plane():
    """By 90°: what lay on x of the view lies on y."""
    quarter = torch.tensor([[0.0, 0.0, np.pi / 2]])
    turned = turn(torch.eye(3)[None], quarter)[0]
    torch.testing.assert_close(turned @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]))


def test_the_turn_between_two_rotations_is_found():
    generator = torch.Generator().manual_seed(1)
    start = random_poses(300, generator).rotation.double()
    direction = torch.randn(300, 3, generator=generator, dtype=torch.float64)
    angle = torch.cat([torch.logspace(-9, 0, 150), torch.linspace(1, np.pi - 1e-7, 150)]).double()
    vector = direction / direction.norm(dim=1, keepdim=True) * angle[:, None]
    found = turn_between(start, turn(start, vector))
    torch.testing.assert_close(found, vector, atol=2e-7, rtol=1e-6)


def test_a_half_turn_is_found():
    end = torch.diag(torch.tensor([-1.0, 1.0, -1.0]))[None]
    found = turn_between(torch.eye(3)[None], end)
    torch.testing.assert_close(found.abs(), torch.tensor([[0.0, np.pi, 0.0]]))


def test_many_turns_leave_a_rotation():
    rotation = random_poses(3, torch.Generator().manual_seed(2)).rotation
    for _ in range(2000):
        rotation = turn(rotation, torch.tensor([[0.1, -0.03, 0.2]]).expand(3, 3))
    product = rotation @ rotation.mT
    torch.testing.assert_close(product, torch.eye(3).expand(3, 3, 3), atol=1e-6, rtol=0)
