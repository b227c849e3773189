"""Symmetry expansion of a .cs file: poses, uids, half sets, and whose copies they are."""

import numpy as np
import pytest
import torch
from files_of_others import CryosparcFile

from cryomix.errors import InputFileError
from cryomix.files.cryosparc import read_particles
from cryomix.files.expansion import write_expanded
from cryomix.geometry.symmetry import expand_poses, point_group


@pytest.fixture
def cs(tmp_path):
    cs = CryosparcFile(tmp_path / "project")
    cs.set("alignments3D/pose", (0.3, -1.2, 0.5), (0, 0, 0), (3.0, 2.0, 1.0))
    cs.move("ctf/", "P1_J24_passthrough_particles.cs", order=(2, 1, 0))
    cs.write()
    return cs


def expand(cs, out):
    write_expanded(cs.path, out, read_particles(cs.path), point_group("D3"))
    return np.load(out)


def test_copies_have_the_poses_of_the_group(cs, tmp_path):
    out = tmp_path / "expanded.cs"
    expand(cs, out)
    copies, particles = read_particles(out, beside=cs.path), read_particles(cs.path)
    expected = expand_poses(particles.poses, point_group("D3"))
    torch.testing.assert_close(copies.poses.rotation, expected.rotation, atol=1e-6, rtol=0)
    assert torch.equal(copies.poses.shift, expected.shift)
    assert copies.image.tolist() == [0] * 6 + [6] * 6 + [12] * 6
    assert copies.half_set.tolist() == [1] * 6 + [2] * 6 + [1] * 6
    assert torch.equal(copies.ctf.defocus_u, particles.ctf.defocus_u.repeat_interleave(6))


def test_cryosparc_can_tell_the_copies_apart(cs, tmp_path):
    rows, given = expand(cs, tmp_path / "expanded.cs"), np.load(cs.path)
    assert len(np.unique(rows["uid"])) == 18
    np.testing.assert_array_equal(rows["sym_expand/src_uid"], np.repeat(given["uid"], 6))
    assert rows["sym_expand/idx"].tolist() == list(range(6)) * 3
    for name in set(given.dtype.names) - {"alignments3D/split"}:
        assert rows[name][::6].tobytes() == given[name].tobytes()
    again = expand(cs, tmp_path / "again.cs")
    assert again.tobytes() == rows.tobytes()


def test_an_expanded_file_is_not_expanded_again(cs, tmp_path):
    out, again = tmp_path / "expanded.cs", tmp_path / "again.cs"
    expand(cs, out)
    with pytest.raises(InputFileError, match="expanded already"):
        write_expanded(out, again, read_particles(out, beside=cs.path), point_group("C3"))
    cs.fields["uid"][:] = 5
    cs.fields |= {
        name: np.load(out)[name][:3] for name in np.load(out).dtype.names if "ctf" in name
    }
    cs.write()
    with pytest.raises(InputFileError, match="a uid must be there once to be expanded"):
        expand(cs, again)
    assert not again.exists()
