"""Files that cryoSPARC wrote, from the shared inputs, read, written and held against others."""

import mrcfile
import numpy as np
import pytest
import torch

from cryomix.errors import InputFileError, MissingColumnError
from cryomix.files.cryosparc import (
    read_particles,
    read_poses,
    write_latents,
    write_particles,
    write_poses,
)
from cryomix.files.cryosparc_table import read_rows, with_fields, write_rows
from cryomix.files.relion import read_particles as read_relion
from cryomix.files.relion import write_particles as write_relion

REFINED = "metadata/cryosparc/cryosparc_P12_J24_001_particles.cs"


@pytest.fixture(scope="module")
def data(shared_folder):
    return shared_folder / "data"


def sparse_stack(path, images, box_size):
    """A stack of zeros that takes no room on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mrcfile.new_mmap(path, (images, box_size, box_size), mrc_mode=2, overwrite=True) as file:
        file.set_image_stack()


def test_every_file_comes_out_as_it_went_in(data, tmp_path):
    files = sorted(data.rglob("*.cs"))
    assert len(files) >= 3
    for path in files:
        rows = read_rows(path)
        expected = np.load(path, allow_pickle=False, max_header_size=100_000)
        assert (rows.dtype, rows.tobytes()) == (expected.dtype, expected.tobytes())
        write_rows(tmp_path / "out.cs", rows)
        again = np.load(tmp_path / "out.cs", allow_pickle=False, max_header_size=100_000)
        assert (again.dtype, again.tobytes()) == (expected.dtype, expected.tobytes())


def test_a_refinement_of_version_2(data, tmp_path):
    own = np.load(data / REFINED, allow_pickle=False)
    names, count = np.unique(own["blob/path"], return_counts=True)
    for name, images in zip(names, count, strict=True):
        last = int(own["blob/idx"][own["blob/path"] == name].max()) + 1
        sparse_stack(tmp_path / name.decode(), max(last, int(images)), 180)
    particles = read_particles(data / REFINED, data_folder=tmp_path)
    assert (len(particles), particles.pixel_size, particles.box_size) == (2019, 2.95, 180)
    assert particles.half_set.tolist() == (own["alignments3D/split"] + 1).tolist()
    golden = np.load(data / REFINED.replace("particles.cs", "golden.npz"), allow_pickle=False)
    _, _, u, v, angle, voltage, aberration, contrast, phase = golden["cryodrgn_ctf"].T
    ctf = particles.ctf
    for ours, theirs in (
        (ctf.defocus_u, u), (ctf.defocus_v, v), (ctf.defocus_angle_deg, angle),
        (ctf.voltage_kv, voltage), (ctf.spherical_aberration_mm, aberration),
        (ctf.amplitude_contrast, contrast), (ctf.phase_shift_deg, phase),
    ):  # fmt: skip
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6, atol=1e-5)


def test_rows_of_a_refinement_are_selected_and_refined(data, tmp_path):
    own = np.load(data / REFINED, allow_pickle=False)
    chosen = np.random.default_rng(0).permutation(len(own))[:700]
    write_latents(data / REFINED, tmp_path / "some.cs", np.ones((700, 3), "f4"), rows=chosen)
    some = np.load(tmp_path / "some.cs", allow_pickle=False)
    for name in own.dtype.names:
        assert some[name].tobytes() == own[name][chosen].tobytes()
    poses = read_poses(tmp_path / "some.cs")
    write_poses(tmp_path / "some.cs", tmp_path / "refined.cs", poses)
    again = read_poses(tmp_path / "refined.cs")
    torch.testing.assert_close(again.rotation, poses.rotation, atol=1e-6, rtol=0)
    torch.testing.assert_close(again.shift, poses.shift)
    assert np.load(tmp_path / "refined.cs")["cryomix/latent"].tolist() == [[1.0] * 3] * 700


def test_version_4_without_rows_and_an_import_without_poses_are_refused(data):
    with pytest.raises(InputFileError, match=r"4k_dataset_0rows\.cs: must hold particles, got 0 r"):
        read_particles(data / "metadata/cryosparc/4k_dataset_0rows.cs")
    with pytest.raises(MissingColumnError, match="lacks alignments3D/pose, alignments3D/shift"):
        read_particles(data / "stacks/empiar10076_7/empiar_10076_7.cs")


def test_star_and_cs_of_the_same_particles_agree(data, tmp_path):
    """Seven images of EMPIAR-10076; only cryoSPARC's file says that they are dark."""
    source = data / "stacks/empiar10076_7/empiar_10076_7"
    labels = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginX", "rlnOriginY")
    write_relion(
        source.with_suffix(".star"),
        tmp_path / "posed.star",
        added={label: np.zeros(7) for label in labels},
    )
    rows = read_rows(source.with_suffix(".cs"))
    posed = {
        "alignments3D/pose": np.zeros((7, 3), "<f4"),
        "alignments3D/shift": np.zeros((7, 2), "<f4"),
        "alignments3D/psize_A": np.full(7, 1.31, "<f4"),
    }
    write_rows(tmp_path / "given.cs", with_fields(rows, posed))
    write_particles(tmp_path / "given.cs", tmp_path / "posed.cs", rows=np.arange(7))
    theirs = read_relion(tmp_path / "posed.star", data_folder=source.parent)
    ours = read_particles(tmp_path / "posed.cs", data_folder=source.parent)
    assert ours.pixel_size == pytest.approx(theirs.pixel_size, rel=1e-5)
    index = torch.arange(7)
    assert torch.equal(ours.images.read(index), -theirs.images.read(index))
    for name in ("defocus_u", "defocus_v", "defocus_angle_deg", "voltage_kv",
                 "spherical_aberration_mm", "amplitude_contrast", "phase_shift_deg"):  # fmt: skip
        torch.testing.assert_close(
            getattr(ours.ctf, name), getattr(theirs.ctf, name), rtol=1e-5, atol=1e-3
        )
    assert torch.equal(ours.poses.rotation, theirs.poses.rotation)
