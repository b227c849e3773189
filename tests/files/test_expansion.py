"""Symmetry expansion of a star file: rows, columns, angles, half sets, who is a copy of whom."""

import pytest
import torch

from cryomix.errors import InputFileError
from cryomix.files.expansion import COPY, SOURCE, write_expanded
from cryomix.files.mrc import write_stack
from cryomix.files.relion import read_particles
from cryomix.files.relion_table import particle_block
from cryomix.files.star import read_star
from cryomix.geometry.symmetry import expand_poses, point_group

OPTICS = """# of somebody
data_optics

loop_
_rlnOpticsGroup #1
_rlnVoltage #2
_rlnSphericalAberration #3
_rlnAmplitudeContrast #4
_rlnImagePixelSize #5
1 300 2.7 0.1 2.5

data_particles

loop_
_rlnImageName #1
_rlnAngleRot #2
_rlnAngleTilt #3
_rlnAnglePsi #4
_rlnOriginXAngst #5
_rlnOriginYAngst #6
_rlnDefocusU #7
_rlnDefocusV #8
_rlnDefocusAngle #9
_rlnMicrographName #10
_rlnOpticsGroup #11
"""
ROWS = [
    "2@stack.mrcs 10.5 33.25 -120.125 1.5 -2 12000 11800 30 'a b.mrc' 1",
    "1@stack.mrcs -170 0 12 0 0 9000 9000 0 second.mrc 1",
    "3@stack.mrcs 77 180 5 3 4 15000 14000 -20 third.mrc 1",
]
ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")


@pytest.fixture
def source(tmp_path):
    """Three particles without half sets; a name with a blank, and poses at both poles."""
    folder = tmp_path / "project"
    folder.mkdir()
    image = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0))
    write_stack(folder / "stack.mrcs", [image], 2.5)
    path = folder / "particles.star"
    path.write_text(OPTICS + "\n".join(ROWS) + "\n")
    return path


@pytest.fixture
def expanded(source, tmp_path):
    out = tmp_path / "job" / "expanded.star"
    write_expanded(source, out, read_particles(source), point_group("D3"))
    return out


def test_every_column_of_the_user_comes_back_in_each_copy(source, expanded):
    before, after = (particle_block(read_star(path)) for path in (source, expanded))
    assert after.labels == (*before.labels, "rlnRandomSubset", SOURCE, COPY)
    for label in before.labels:
        if label not in ANGLES:
            repeated = [value for value in before.column(label) for _ in range(6)]
            assert after.column(label) == repeated
    assert read_star(expanded).block("optics").rows == read_star(source).block("optics").rows
    assert after.column(SOURCE) == [number for number in "123" for _ in range(6)]
    assert after.column(COPY) == list("123456") * 3


def test_the_first_copy_keeps_its_angles_as_they_were_written(source, expanded):
    before, after = (particle_block(read_star(path)) for path in (source, expanded))
    for label in ANGLES:
        assert after.column(label)[::6] == before.column(label)


def test_the_copies_have_the_poses_of_the_group(source, expanded):
    particles, copies = read_particles(source), read_particles(expanded, beside=source)
    expected = expand_poses(particles.poses, point_group("D3"))
    torch.testing.assert_close(copies.poses.rotation, expected.rotation, atol=1e-6, rtol=0)
    assert torch.equal(copies.poses.shift, expected.shift)


def test_all_copies_show_the_image_of_their_particle(source, expanded):
    particles, copies = read_particles(source), read_particles(expanded, beside=source)
    images = copies.images.read(torch.arange(18))
    assert torch.equal(images, particles.images.read(torch.arange(3)).repeat_interleave(6, dim=0))


def test_copies_share_half_set_and_source_row(source, expanded):
    copies = read_particles(expanded, beside=source)
    assert copies.image.tolist() == [0] * 6 + [6] * 6 + [12] * 6
    assert copies.half_set.tolist() == [1] * 6 + [2] * 6 + [1] * 6
    assert read_particles(source).image.tolist() == [0, 1, 2]


def test_half_sets_of_the_user_stay(source, tmp_path):
    text = OPTICS + "_rlnRandomSubset #12\n" + "\n".join(f"{row} 2" for row in ROWS) + "\n"
    source.write_text(text)
    out = tmp_path / "expanded.star"
    write_expanded(source, out, read_particles(source), point_group("C2"))
    assert read_particles(out, beside=source).half_set.tolist() == [2] * 6


def test_a_file_of_another_program_that_lists_images_again_keeps_their_halves(source):
    """Without half sets and without cryomix's columns: by image."""
    source.write_text(OPTICS + "\n".join(row for row in ROWS for _ in range(2)) + "\n")
    particles = read_particles(source)
    assert particles.half_set.tolist() == [1, 1, 2, 2, 1, 1]
    assert particles.image.tolist() == [0, 0, 2, 2, 4, 4]


def test_an_expanded_file_is_not_expanded_again(source, expanded, tmp_path):
    copies = read_particles(expanded, beside=source)
    again = tmp_path / "again.star"
    with pytest.raises(InputFileError, match=r"expanded already.*rows 1 and 2"):
        write_expanded(expanded, again, copies, point_group("C3"))
    assert not again.exists()
