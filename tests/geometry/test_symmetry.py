"""Point groups: axioms, RELION's settings, SciPy's groups, and what expanded poses see."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryomix.errors import OptionError
from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses, euler_to_rotation, random_poses, rotation_to_euler
from cryomix.geometry.symmetry import expand_poses, group_generators, point_group
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.projection_reference import project_gaussians_reference

ORDERS = {
    "C1": 1, "C3": 3, "C12": 12, "D1": 2, "D2": 4, "D7": 14, "T": 12, "O": 24,
    "I": 60, "I1": 60, "I2": 60, "I3": 60, "I4": 60,
}  # fmt: skip


def is_in(element, group):
    return bool(((group - element).abs().amax((1, 2)) < 1e-9).any())


def turn(axis, fold):
    """Rotation by 360°/fold about `axis`, by SciPy."""
    vector = np.array(axis, float)
    vector = vector / np.linalg.norm(vector) * 2 * np.pi / fold
    return torch.from_numpy(Rotation.from_rotvec(vector).as_matrix())


@pytest.mark.parametrize("name", ORDERS)
def test_a_group_obeys_the_axioms(name):
    group = point_group(name)
    assert len(group) == ORDERS[name]
    eye = torch.eye(3, dtype=torch.float64)
    assert torch.equal(group[0], eye)
    torch.testing.assert_close(group @ group.mT, eye.expand_as(group))
    assert torch.allclose(torch.linalg.det(group), torch.ones(len(group), dtype=torch.float64))
    distance = (group[:, None] - group[None]).abs().amax((2, 3)) + torch.eye(len(group))
    assert distance.min() > 0.1
    assert all(is_in(element.mT, group) for element in group)
    products = (group[:, None] @ group[None]).flatten(0, 1)
    assert all(is_in(product, group) for product in products)
    assert all(is_in(generator, group) for generator in group_generators(name))


# Axes as RELION's manual names them ("Conventions", Symmetry), seen along −z: the front-most
# fivefold axes of I1 in the plane of y and z, those of I2 in the plane of x and z, I3 and I4 with
# one on z and the next towards −x and +x.
@pytest.mark.parametrize(
    ("name", "axes"),
    [
        ("C5", {5: [(0, 0, 1)]}),
        ("D3", {3: [(0, 0, 1)], 2: [(1, 0, 0)]}),
        ("T", {3: [(0, 0, 1)], 2: [(0, 0.816496, 0.577350)]}),
        ("O", {4: [(1, 0, 0), (0, 1, 0), (0, 0, 1)]}),
        ("I1", {2: [(1, 0, 0), (0, 1, 0), (0, 0, 1)], 5: [(0, 0.525731114, 0.850650807)]}),
        ("I2", {2: [(1, 0, 0), (0, 1, 0), (0, 0, 1)], 5: [(0.525731114, 0, 0.850650807)]}),
        ("I3", {5: [(0, 0, 1), (-0.894427, 0, 0.447214)], 2: [(0, 1, 0)]}),
        ("I4", {5: [(0, 0, 1), (0.894427, 0, 0.447214)], 2: [(0, 1, 0)]}),
    ],
)
def test_the_axes_are_where_relion_has_them(name, axes):
    group = point_group(name)
    for fold, directions in axes.items():
        for axis in directions:
            distance = (group - turn(axis, fold)).abs().amax((1, 2)).min()
            assert distance < 2e-6, (fold, axis)


@pytest.mark.parametrize("name", ["C3", "D4", "T", "O", "I"])
def test_scipy_knows_the_same_group_in_some_setting(name):
    """Turned as a whole, a group keeps the angles of its rotations."""
    oracle = Rotation.create_group(name).magnitude()
    found = Rotation.from_matrix(point_group(name).numpy()).magnitude()
    np.testing.assert_allclose(np.sort(found), np.sort(oracle), atol=1e-9)


def test_case_does_not_matter_and_i_is_i2():
    assert torch.equal(point_group("d3"), point_group("D3"))
    assert torch.equal(point_group("I"), point_group("i2"))


@pytest.mark.parametrize("name", ["", "C0", "C", "C100", "D", "X3", "I5", "C3v", "Oh", "-1"])
def test_an_unknown_group_is_refused(name):
    with pytest.raises(OptionError, match="symmetry must be C1 to C99"):
        point_group(name)


def test_copies_under_cn_have_their_first_angle_raised():
    """As RELION's expansion: rot, rot + 120, rot + 240; tilt and psi stay."""
    euler = torch.tensor([[10.0, 40.0, -75.0], [-100.0, 120.0, 15.0]], dtype=torch.float64)
    poses = Poses(euler_to_rotation(euler), torch.tensor([[1.0, 2], [3, 4]], dtype=torch.float64))
    expanded = expand_poses(poses, point_group("C3"))
    found = rotation_to_euler(expanded.rotation).reshape(2, 3, 3)
    turned = (found[:, :, 0] - euler[:, :1]) % 360
    expected = torch.tensor([[0.0, 120, 240]] * 2, dtype=torch.float64)
    assert ((turned - expected + 180) % 360 - 180).abs().max() < 1e-6
    assert (found[:, :, 1:] - euler[:, None, 1:]).abs().max() < 1e-6
    assert torch.equal(expanded.shift, poses.shift[[0, 0, 0, 1, 1, 1]])


@pytest.mark.parametrize("name", ["C3", "D2", "T", "I3"])
def test_a_symmetric_model_looks_the_same_in_every_copy(name, model):
    group = point_group(name)
    whole = GaussianModel(
        torch.einsum("gij,nj->gni", group, model.center).flatten(0, 1),
        model.amplitude.repeat(len(group)),
        model.width.repeat(len(group)),
    )
    poses = random_poses(2, torch.Generator().manual_seed(1))
    poses = Poses(poses.rotation.double(), torch.tensor([[3.0, -2], [1, 5]], dtype=torch.float64))
    one = project_gaussians_reference(whole, poses, FourierGrid(24, 2.5)).repeat_interleave(
        len(group), dim=0
    )
    seen = project_gaussians_reference(whole, expand_poses(poses, group), FourierGrid(24, 2.5))
    torch.testing.assert_close(seen, one, rtol=1e-3, atol=1e-3)


def test_a_copy_shows_its_own_unit_at_the_first_place():
    """What S_k takes to a place of the model is seen there in copy k."""
    group = point_group("D3")
    pose = random_poses(1, torch.Generator().manual_seed(2))
    rotation = expand_poses(pose, group).rotation.double()
    place = torch.tensor([5.0, 2.0, 9.0], dtype=torch.float64)
    for element, copy in zip(group, rotation, strict=True):
        part = element.mT @ place
        torch.testing.assert_close(
            copy @ place, pose.rotation[0].double() @ part, atol=1e-5, rtol=0
        )
