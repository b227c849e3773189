"""Images that ``relion_project`` made, against projections of the same map.

The map is a 65³ ribosome, Fourier-cropped to 64³, one voxel per pixel; RELION's program
projected it with the angles and origins in the star files beside the images.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from cryomix.geometry.fourier import FourierGrid, to_real
from cryomix.geometry.poses import Poses, euler_to_rotation
from cryomix.imaging.volume import Volume, crop_volume, project_volume

GRID = FourierGrid(64, 1.0)


@pytest.fixture(scope="module")
def ribosome(shared_folder):
    density = read_mrc(shared_folder / "data" / "maps" / "70S_65.mrc")
    return Volume(crop_volume(Volume(density, 1.0), 64).density, 1.0)


@pytest.fixture
def stack(shared_folder):
    """Images, Euler angles and origins of one of the three stacks."""

    def read(name):
        path = shared_folder / "data/stacks/aspire_relionproj" / f"rln_proj_64{name}"
        lines = path.with_suffix(".star").read_text().splitlines()
        values = [[float(word) for word in line.split()[:5]] for line in lines if "@" in line]
        euler, origin = torch.tensor(values, dtype=torch.float64).split([3, 2], dim=1)
        return read_mrc(path.with_suffix(".mrcs")), euler, origin

    return read


def read_mrc(path: Path) -> torch.Tensor:
    """Float32 voxels behind a header of 1024 bytes, whatever the header's stamps say."""
    columns, rows, sections, mode = np.fromfile(path, "<i4", count=4)
    assert mode == 2
    voxels = np.fromfile(path, "<f4", offset=1024).reshape(sections, rows, columns)
    return torch.from_numpy(voxels.astype(np.float64))


def correlation(first, second):
    first, second = (each - each.mean(dim=(-2, -1), keepdim=True) for each in (first, second))
    norms = first.norm(dim=(-2, -1)) * second.norm(dim=(-2, -1))
    return (first * second).sum(dim=(-2, -1)) / norms


@pytest.mark.parametrize("name", ["_centered", "_shifted"])
def test_rotation_and_shift_agree(ribosome, stack, name):
    """The rotation is RELION's matrix, and the content lies at minus its origin."""
    images, euler, origin = stack(name)
    rotation = euler_to_rotation(euler)
    projected = to_real(project_volume(ribosome, Poses(rotation, -origin), GRID))
    assert correlation(projected, images).min() > 0.9995
    scale = (projected * images).sum() / projected.square().sum()
    assert float(scale) == pytest.approx(1, abs=1e-3)  # the line integral, in voxels


def test_the_shifted_stack_is_shifted(stack):
    assert stack("_shifted")[2].abs().min() >= 3
    assert (stack("_centered")[2] == 0).all()


def test_other_conventions_score_clearly_lower(ribosome, stack):
    images, euler, origin = stack("_shifted")
    rotation = euler_to_rotation(euler)
    for wrong in (
        Poses(rotation.mT, -origin),
        Poses(rotation, origin),
        Poses(rotation, -origin.flip(-1)),
    ):
        projected = to_real(project_volume(ribosome, wrong, GRID))
        assert correlation(projected, images).max() < 0.5


def test_a_map_cropped_about_another_center_is_half_a_voxel_off(ribosome, stack):
    """The first stack's map was cropped so that its center moved by half a voxel of the 65."""
    images, euler, _ = stack("")
    rotation = euler_to_rotation(euler)
    offset = torch.full((3,), -0.5 * 64 / 65, dtype=torch.float64)
    at_center, moved = (
        correlation(to_real(project_volume(ribosome, Poses(rotation, shift), GRID)), images)
        for shift in (torch.zeros(5, 2, dtype=torch.float64), (rotation @ offset)[:, :2])
    )
    assert at_center.max() < 0.995
    assert moved.min() > 0.9999
