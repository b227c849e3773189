"""Turns and shifts of a part, against points that are moved one by one."""

import math

import torch

from cryomix.geometry.poses import Poses, random_poses
from cryomix.geometry.rigid_motion import RigidMotion, follow_motion, nearest_rotation, turn_by


def some_motion(count: int) -> RigidMotion:
    generator = torch.Generator().manual_seed(5)
    return RigidMotion(
        random_poses(count, generator).rotation, 9 * torch.randn(count, 3, generator=generator)
    )


def test_a_part_at_rest_is_seen_as_it_is_seen_moved():
    generator = torch.Generator().manual_seed(1)
    poses = Poses(random_poses(7, generator).rotation, torch.randn(7, 2, generator=generator))
    motion, point = some_motion(7), torch.randn(4, 3, generator=generator)
    followed = follow_motion(poses, motion)
    for number in range(7):
        moved = point @ motion.rotation[number].T + motion.shift[number]
        seen = (moved @ poses.rotation[number].T)[:, :2] + poses.shift[number]
        at_rest = (point @ followed.rotation[number].T)[:, :2] + followed.shift[number]
        torch.testing.assert_close(at_rest, seen, atol=1e-5, rtol=1e-5)


def test_a_turn_about_z_takes_x_to_y():
    turn = turn_by(torch.tensor([0.0, 0.0, math.pi / 2]))
    torch.testing.assert_close(
        turn @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-6, rtol=0
    )


def test_the_nearest_rotation_is_one_and_leaves_rotations_alone():
    rotation = some_motion(6).rotation
    torch.testing.assert_close(nearest_rotation(rotation), rotation, atol=1e-5, rtol=0)
    disturbed = rotation + 0.05 * torch.randn(6, 3, 3, generator=torch.Generator().manual_seed(2))
    near = nearest_rotation(disturbed)
    torch.testing.assert_close(near @ near.mT, torch.eye(3).expand(6, 3, 3), atol=1e-5, rtol=0)
    mirrored = nearest_rotation(torch.diag(torch.tensor([1.0, 1.0, -1.0])))
    assert torch.linalg.det(mirrored) > 0.99
