"""A map and a mask must have the box and the pixel size of the particles."""

import pytest
import torch

from cryomix.errors import BoxMismatchError, DataWarning, InputFileError
from cryomix.files.agreement import (
    read_consensus,
    read_mask,
    require_matching_mask,
    require_matching_volume,
)
from cryomix.files.mrc import write_volume
from cryomix.files.relion import read_particles
from cryomix.imaging.volume import Volume


@pytest.fixture
def particles(particle_file):
    return read_particles(particle_file.write())


def volume_of(box_size, voxel_size):
    return Volume(torch.ones(box_size, box_size, box_size), voxel_size, (1.0, 2.0, 3.0))


def test_a_map_that_fits_takes_the_pixel_size_of_the_particles(tmp_path, particles):
    path = tmp_path / "map.mrc"
    write_volume(path, volume_of(8, 2.01))
    volume = read_consensus(path, particles)
    assert (volume.box_size, volume.voxel_size) == (8, 2.0)
    assert volume.origin == (1.0, 2.0, 3.0)


def test_other_boxes_and_pixel_sizes_are_refused(tmp_path, particles):
    path = tmp_path / "map.mrc"
    write_volume(path, volume_of(6, 2.0))
    with pytest.raises(BoxMismatchError) as caught:
        read_consensus(path, particles)
    message = f"{path}: the map must have the box of the particles, 8 px, got 6 px"
    assert str(caught.value) == message
    write_volume(path, volume_of(8, 2.05))
    with pytest.raises(BoxMismatchError) as caught:
        read_consensus(path, particles)
    message = f"{path}: the map must have the pixel size of the particles, 2 Å, got 2.05 Å"
    assert str(caught.value) == message
    for wrong in (volume_of(6, 2.0), volume_of(8, 1.9)):
        with pytest.raises(BoxMismatchError, match=r"map\.mrc: the map must have the"):
            require_matching_volume(wrong, path, particles)
        with pytest.raises(BoxMismatchError, match=r"m\.mrc: the mask must have the"):
            require_matching_mask(wrong, tmp_path / "m.mrc", volume_of(8, 2.0))
    require_matching_volume(volume_of(8, 2.0), path, particles)


@pytest.mark.parametrize("header", [0.0, 1.0])
def test_a_header_that_does_not_know_is_overruled_and_the_user_told(
    tmp_path, particles, rewrite_header, header
):
    path = tmp_path / "map.mrc"
    write_volume(path, Volume(torch.ones(8, 8, 8), 2.0))
    rewrite_header(path, header)
    with pytest.warns(DataWarning) as caught:
        volume = read_consensus(path, particles)
    assert volume.voxel_size == 2.0
    (warning,) = caught
    assert str(warning.message) == (
        f"{path}: its header says {header:g} Å per voxel; the 2 Å of the particles are used"
    )
    with pytest.warns(DataWarning, match=r"the 2 Å of the map are used$"):
        assert read_mask(path, volume).voxel_size == 2.0


def test_masks_are_held_against_the_map(tmp_path):
    path, volume = tmp_path / "mask.mrc", volume_of(8, 2.0)
    write_volume(path, volume_of(8, 2.0))
    assert read_mask(path, volume).box_size == 8
    write_volume(path, volume_of(10, 2.0))
    with pytest.raises(BoxMismatchError) as caught:
        read_mask(path, volume)
    assert str(caught.value) == f"{path}: the mask must have the box of the map, 8 px, got 10 px"
    write_volume(path, volume_of(8, 4.0))
    with pytest.raises(BoxMismatchError) as caught:
        read_mask(path, volume)
    assert str(caught.value) == (
        f"{path}: the mask must have the voxel size of the map, 2 Å, got 4 Å"
    )


def test_maps_that_cannot_be_read_are_refused(tmp_path, particles):
    with pytest.raises(InputFileError, match=r"none\.mrc: cannot be read"):
        read_consensus(tmp_path / "none.mrc", particles)
