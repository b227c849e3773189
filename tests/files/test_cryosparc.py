"""cryoSPARC files: what they mean, what is written back, and what is refused."""

import struct

import numpy as np
import pytest
import torch
from files_of_others import CryosparcFile, save_table, write_stack_file
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cryomix.errors import (
    BoxMismatchError,
    DataWarning,
    InputFileError,
    MissingColumnError,
    OutputError,
)
from cryomix.files.cryosparc import (
    read_latents,
    read_particles,
    read_poses,
    write_latents,
    write_particles,
    write_poses,
)
from cryomix.files.image_names import open_images
from cryomix.geometry.poses import Poses


@pytest.fixture
def cs(tmp_path):
    return CryosparcFile(tmp_path / "project")


def table(path):
    return np.load(path, allow_pickle=False, max_header_size=100_000)


def refusal(cs, kind=InputFileError):
    with pytest.raises(kind) as caught:
        read_particles(cs.write())
    assert type(caught.value) is kind
    return str(caught.value).removeprefix(f"{cs.path}: ")


def test_rotation_vectors_are_transposed(cs):
    vectors = [(0.0, 0.0, 0.0), (0.3, -1.2, 0.5), (4.0, 0.0, 3.0)]
    cs.set("alignments3D/pose", *vectors)
    rotation = read_poses(cs.write()).rotation
    expected = Rotation.from_rotvec(vectors).inv().as_matrix()
    np.testing.assert_allclose(rotation, expected, atol=1e-6)


def test_shifts_are_pixels_of_the_refinement_that_centre_the_particle(cs):
    """Refined at 4 Å per pixel, extracted at 2: (1.5, −2) px are (6, −8) Å."""
    assert read_poses(cs.write()).shift[0].tolist() == [-6.0, 8.0]


def test_numbers_of_the_microscope_have_their_units(cs):
    cs.set("ctf/phase_shift_rad", np.pi / 2)
    particles = read_particles(cs.write())
    ctf = particles.ctf[torch.tensor([0])]
    values = [ctf.defocus_u, ctf.defocus_v, ctf.defocus_angle_deg, ctf.phase_shift_deg]
    assert [float(value) for value in values] == pytest.approx([12000, 11000, 28.647889, 90])
    assert float(ctf.voltage_kv) == 300
    assert float(ctf.spherical_aberration_mm) == pytest.approx(2.7)
    assert float(ctf.amplitude_contrast) == pytest.approx(0.1)
    assert (particles.pixel_size, particles.box_size) == (2.0, 8)
    assert particles.source_row.tolist() == [0, 1, 2]


def test_a_pixel_size_of_single_precision_is_rounded(cs):
    cs.set("blob/psize_A", 0.6575)
    with pytest.warns(DataWarning, match="its pixel size of 0.6575 Å is used"):
        assert read_particles(cs.write()).pixel_size == 0.6575


def test_images_are_multiplied_by_their_sign(cs):
    cs.set("blob/sign", -1.0, 1.0)
    cs.set("blob/idx", 2, 0, 1)
    images = read_particles(cs.write()).images.read(torch.tensor([2, 0, 1]))
    np.testing.assert_array_equal(images, -cs.images[[1, 2, 0]] * [[[1]], [[1]], [[-1]]])
    del cs.fields["blob/sign"]
    with pytest.warns(DataWarning, match="lacks blob/sign: images are taken as they are"):
        images = read_particles(cs.write()).images.read(torch.tensor([0]))
    np.testing.assert_array_equal(images[0], cs.images[2])


def test_splits_are_half_sets_unless_there_is_one(cs):
    assert read_particles(cs.write()).half_set.tolist() == [1, 2, 1]
    cs.set("alignments3D/split", 1, 1, 0)
    assert read_particles(cs.write()).half_set.tolist() == [2, 2, 1]
    cs.set("alignments3D/split", 1)
    cs.set("blob/idx", 0, 0, 1)
    particles = read_particles(cs.write())
    assert particles.half_set.tolist() == [1, 1, 2]
    assert particles.image.tolist() == [0, 0, 2]


@pytest.mark.parametrize("prefix", ["", ">"])
def test_stacks_lie_in_the_project_or_beside_an_exported_file(cs, prefix):
    cs.set("blob/path", f"{prefix}J3/extract/stack.mrc".encode())
    assert len(read_particles(cs.write()).images) == 3
    exported = cs.project / "exports" / "groups" / "P1_J24_particles"
    write_stack_file(exported / "J3" / "extract" / "stack.mrc", 2 * cs.images)
    cs.path = exported / "P1_J24_particles_exported.cs"
    images = read_particles(cs.write()).images.read(torch.tensor([0]))
    np.testing.assert_array_equal(images[0], -2 * cs.images[0])


def test_stacks_are_found_without_the_number_of_their_import(cs, tmp_path):
    """As they were before cryoSPARC linked them."""
    data = tmp_path / "raw"
    write_stack_file(data / "stack.mrc", cs.images)
    cs.fields["blob/path"] = np.array([b"J1/imported/006172839540111222333_stack.mrc"] * 3)
    assert len(read_particles(cs.write(), data_folder=data).images) == 3
    assert refusal(cs).startswith("1 of 1 image stacks not found: J1/imported/0061728395401112")
    cs.fields["blob/path"] = np.array([f"J9/lost{number}.mrc".encode() for number in range(3)])
    assert refusal(cs).startswith("3 of 3 image stacks not found: J9/lost0.mrc, J9/lost1.mrc, J9/l")


def test_names_do_not_lead_out_of_the_project(cs, tmp_path):
    write_stack_file(tmp_path / "secret.mrc", cs.images)
    cs.fields["blob/path"] = np.array([b">../../secret.mrc"] * 3)
    assert refusal(cs).startswith("image stack ../../secret.mrc leads out of the folder of the ")
    assert len(read_particles(cs.write(), data_folder=tmp_path)) == 3


def test_passthrough_files_are_joined_by_uid(cs):
    cs.set("ctf/df1_A", 10000.0, 20000.0, 30000.0)
    cs.set("ctf/df2_A", 10000.0, 20000.0, 30000.0)
    cs.move("ctf/", "P1_J24_passthrough_particles.cs", order=(2, 0, 1))
    particles = read_particles(cs.write())
    assert particles.ctf.defocus_u.tolist() == [10000, 20000, 30000]


def test_the_passthrough_file_of_the_same_group_goes_first(cs):
    cs.path = cs.path.with_name("particles_selected.cs")
    cs.set("ctf/df1_A", 12000.0)
    group = {name: values for name, values in cs.fields.items() if name.startswith("ctf/")}
    cs.move("ctf/", "J24_passthrough_particles_selected.cs")
    group["ctf/df1_A"] = np.full(3, 9000, "<f4")
    excluded = {"uid": cs.fields["uid"], **group}
    save_table(cs.path.with_name("J24_passthrough_particles_excluded.cs"), excluded)
    assert read_particles(cs.write()).ctf.defocus_u.tolist() == [12000] * 3


def test_a_passthrough_file_of_other_particles_is_not_used(cs):
    file = cs.move("ctf/", "J24_passthrough_particles.cs", order=(0, 2))
    assert refusal(cs, MissingColumnError) == (
        "lacks ctf/df1_A, ctf/df2_A, ctf/df_angle_rad, ctf/accel_kv, ctf/cs_mm, ctf/amp_contrast "
        f"({file.name} lacks 1 of 3 uids)"
    )
    save_table(file, {name: table(file)[name][[0, 1, 1]] for name in table(file).dtype.names})
    with pytest.raises(InputFileError, match=r"passthrough_particles\.cs: a uid must be there onc"):
        read_particles(cs.path)
    file.unlink()
    message = refusal(cs, MissingColumnError)
    assert message.endswith("(no *passthrough_particles*.cs beside it has more)")


def test_a_passthrough_file_alone_is_told_apart(cs):
    file = cs.move("ctf/", "J24_passthrough_particles.cs")
    cs.write()
    with pytest.raises(MissingColumnError) as caught:
        read_particles(file)
    expected = "(it is a passthrough file: give the one of the job's own results)"
    assert str(caught.value).endswith(expected)


def test_written_rows_are_the_same_bytes_in_the_order_asked_for(cs, tmp_path):
    source, out = cs.write(), tmp_path / "out.cs"
    write_particles(source, out, rows=np.array([2, 0]))
    before, after = table(source), table(out)
    assert after.dtype == before.dtype
    assert after.tobytes() == before[[2, 0]].tobytes()
    write_particles(source, out)
    assert out.read_bytes() == source.read_bytes()


def test_written_files_need_no_passthrough_file(cs, tmp_path):
    complete = read_particles(cs.write())
    names = list(cs.fields)
    cs.move("ctf/", "J24_passthrough_particles.cs", order=(1, 2, 0))
    out = tmp_path / "job" / "selection.cs"
    write_particles(cs.write(), out, rows=np.array([1, 2]))
    assert set(table(out).dtype.names) == set(names)
    chosen = read_particles(out, beside=cs.path)
    assert chosen.ctf.defocus_u.tolist() == complete.ctf.defocus_u[1:].tolist()
    assert torch.equal(
        chosen.images.read(torch.tensor([1])), complete.images.read(torch.tensor([2]))
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2), max_size=6), st.integers(1, 5), st.booleans())
def test_latents_are_added_and_read_back(tmp_path_factory, chosen, size, is_clustered):
    folder = tmp_path_factory.mktemp("latents")
    source, rows = CryosparcFile(folder).write(), np.array(chosen, np.int64)
    latent = np.random.default_rng(size).normal(size=(len(rows), size)).astype(np.float32)
    cluster = 1 + np.arange(len(rows)) if is_clustered else None
    out, again = folder / "particles.cs", folder / "again.cs"
    write_latents(source, out, latent, rows=rows, cluster=cluster)
    before, after = table(source), table(out)
    for name in before.dtype.names:
        assert after[name].tobytes() == before[name][rows].tobytes()
    assert after.dtype["cryomix/latent"] == np.dtype(("<f4", (size,)))
    assert ("cryomix/cluster" in after.dtype.names) == is_clustered
    np.testing.assert_array_equal(read_latents(out, size), latent)
    if len(rows):
        write_latents(out, again, np.ones((len(rows), 2), np.float32))
        assert read_latents(again, 2).tolist() == [[1.0, 1.0]] * len(rows)
        with pytest.raises(InputFileError, match="cryomix/latent must hold 3 numbers per particle"):
            read_latents(again, 3)
    with pytest.raises(MissingColumnError, match="lacks cryomix/latent"):
        read_latents(source, size)


def test_poses_are_written_in_the_terms_of_the_file(cs, tmp_path):
    source, out = cs.write(), tmp_path / "refined.cs"
    rotation = Rotation.from_euler("ZYZ", [[0, 0, 0], [10, 170, 30], [80, 90, -70]], degrees=True)
    shift = [[0.0, 0.0], [1.0, -2.5], [30.0, 8.0]]
    poses = Poses(torch.tensor(rotation.as_matrix()).float(), torch.tensor(shift))
    write_poses(source, out, poses)
    back = read_poses(out)
    torch.testing.assert_close(back.rotation, poses.rotation, atol=1e-6, rtol=0)
    torch.testing.assert_close(back.shift, poses.shift)
    before, after = table(source), table(out)
    assert after.dtype == before.dtype
    changed = [name for name in before.dtype.names if (after[name] != before[name]).any()]
    assert changed == ["alignments3D/shift", "alignments3D/pose"]
    with pytest.raises(OutputError, match="the input must not be overwritten"):
        write_poses(source, source, poses)


def test_what_is_not_modelled_is_told(cs):
    cs.fields["ctf/tilt_A"] = np.array([[0, 0], [0, 40], [0, 0]], "<f4")
    cs.fields["ctf/tetra_A"] = np.zeros((3, 4), "<f4")
    cs.fields["ctf/bfactor"] = np.array([0, 0, 50], "<f4")
    cs.set("ctf/anisomag", (1, 0, 0, 1))
    with pytest.warns(DataWarning, match=r"ignored: ctf/tilt_A, ctf/bfactor$"):
        read_particles(cs.write())
    cs.set("ctf/anisomag", (0.01, 0, 0, -0.01))
    with pytest.warns(DataWarning, match=r"ctf/tilt_A, ctf/anisomag, ctf/bfactor$"):
        read_particles(cs.write())


@pytest.mark.parametrize("group", ["alignments3D_multi", "alignments_class_0"])
def test_poses_of_several_classes_are_refused_by_name(cs, group):
    cs.move("alignments3D/", "J24_passthrough_particles.cs")
    cs.fields[f"{group}/pose"] = np.zeros((3, 2, 3), "<f4")
    assert refusal(cs) == (
        f"holds poses of several classes ({group}): give the particles of one class, or of a "
        "refinement"
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("blob/sign", 0.5, "blob/sign must be 1 or -1, got 0.5 in row 2"),
        ("alignments3D/split", 2, "alignments3D/split must be 0 or 1, got 2 in row 2"),
        ("ctf/accel_kv", 0, "ctf/accel_kv must be above 0, got 0 in row 2"),
        ("ctf/amp_contrast", 1, "ctf/amp_contrast must be between -1 and 1, got 1 in row 2"),
        ("ctf/df1_A", np.nan, "ctf/df1_A must be finite, got [nan] in row 2"),
        ("alignments3D/psize_A", 0, "alignments3D/psize_A must be above 0, got 0 in row 2"),
        ("blob/path", b"", "blob/path must name a stack, got ''"),
    ],
)
def test_values_out_of_range_are_refused(cs, name, value, message):
    good = cs.fields[name][0]
    cs.set(name, good, value, good)
    assert refusal(cs) == message


def test_a_signalling_nan_is_refused_as_any_other(cs):
    cs.fields["ctf/df1_A"] = np.array([1e4, np.nan, 1e4], "<f4")
    cs.fields["ctf/df1_A"].view("<u4")[1] = 0x7F800001
    assert refusal(cs) == "ctf/df1_A must be finite, got [nan] in row 2"


def test_fields_of_another_shape_are_refused(cs):
    cs.fields["alignments3D/pose"] = np.zeros((3, 2), "<f4")
    assert refusal(cs).startswith("alignments3D/pose must hold 3 numbers per particle, got (")
    cs.fields["blob/path"] = np.zeros(3)
    assert refusal(cs) == "blob/path must be text, got float64"
    del cs.fields["uid"]
    assert refusal(cs, MissingColumnError).startswith("lacks uid")


def test_images_of_several_pixel_sizes_are_put_on_one_grid(cs):
    cs.set("blob/psize_A", 2.0, 2.0, 2.02)
    with pytest.warns(DataWarning) as caught:
        particles = read_particles(cs.write())
    assert str(caught[0].message) == (
        f"{cs.path}: images of several pixel or box sizes are put on the grid of the first: "
        "2 of 8 px of 2 Å (row 1), 1 of 8 px of 2.02 Å (row 3); detail finer than 4.04 Å, which "
        "not all hold, is set aside"
    )
    assert (particles.pixel_size, particles.box_size, particles.limit) == (2.0, 8, 4.04)


def test_boxes_must_be_those_of_the_stacks(cs):
    cs.set("blob/shape", (8, 8), (16, 16), (8, 8))
    assert refusal(cs, BoxMismatchError).startswith("blob/shape is 16 x 16 px but the images of ")
    cs.set("blob/shape", (8, 8))
    cs.set("blob/idx", 3)
    assert refusal(cs).startswith("row 1 asks for image 4 of ")


def test_files_that_lie_about_their_size_are_refused(cs):
    content = cs.write().read_bytes()
    (length,) = struct.unpack("<H", content[8:10])
    whole = len(content)
    for cut, word in ((whole - 1, "truncated"), (length + 10, "truncated")):
        cs.path.write_bytes(content[:cut])
        with pytest.raises(InputFileError) as caught:
            read_particles(cs.path)
        assert str(caught.value) == (
            f"{cs.path}: {word}: its header promises 3 rows in {whole} bytes, there are {cut}"
        )
    cs.path.write_bytes(content + b"\0")
    with pytest.raises(InputFileError, match="longer than it should be: its header promises 3 r"):
        read_particles(cs.path)
    cs.path.write_bytes(content.replace(b"'shape': (3,), }    ", b"'shape': (3000,), } "))
    with pytest.raises(InputFileError, match="truncated: its header promises 3000 rows"):
        read_particles(cs.path)


def test_other_formats_of_cryosparc_are_refused_by_name(cs):
    cs.path.parent.mkdir(exist_ok=True)
    cs.path.write_bytes(b"\x94CSDAT" + bytes(100))
    with pytest.raises(InputFileError, match=r"cryoSPARC's compressed format.*cryosparc-tools"):
        read_particles(cs.path)
    cs.path.unlink()
    with pytest.raises(InputFileError, match="there is no such file"):
        read_particles(cs.path)
    cs.fields = {name: values[:0] for name, values in cs.fields.items()}
    assert refusal(cs) == "must hold particles, got 0 rows"


def test_the_same_images_by_either_program(cs):
    """What RELION names 000002@stack is 1 in the same stack here."""
    ours = read_particles(cs.write()).images.read(torch.tensor([1]))
    theirs = open_images(["000002@J3/extract/stack.mrc"], cs.path, None)
    assert torch.equal(ours, -theirs.read(torch.tensor([0])))


def test_a_pixel_size_that_rounds_to_nothing_is_refused(tmp_path):
    """Found by fuzzing: sizes are rounded to a millionth, and 0 was then taken for ours."""
    file = CryosparcFile(tmp_path)
    file.set("blob/psize_A", 1e-30)
    with pytest.raises(InputFileError, match="blob/psize_A must be above 1e-06, got 1e-30"):
        read_particles(file.write())
