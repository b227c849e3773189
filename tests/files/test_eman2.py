"""EMAN2 particles: what each value means, and each way in which a file is refused."""

import json

import numpy as np
import pytest
import torch
from files_of_eman2 import CTF, Eman2Set, as_json, transform_of, write_hdf, write_lst
from files_of_others import write_stack_file

from cryomix.errors import (
    BoxMismatchError,
    DataWarning,
    InputFileError,
    MissingColumnError,
    OutputError,
)
from cryomix.files import relion
from cryomix.files.particle_file import read_particles, write_particles, write_poses
from cryomix.geometry.poses import Poses, euler_to_rotation, random_poses
from cryomix.imaging.particles import Particles


@pytest.fixture
def project(tmp_path):
    return Eman2Set(tmp_path / "project")


def records(path):
    return [json.loads(line.split("\t")[2]) for line in path.read_text().splitlines()[3:]]


def test_a_list_that_points_into_a_stack(project):
    particles = read_particles(project.write())
    assert (len(particles), particles.pixel_size, particles.box_size) == (3, 2.0, 8)
    assert particles.poses.shift.tolist() == [[3.0, -4.0]] * 3
    rotation = np.stack([matrix[:, :3] for matrix in project.matrices])
    np.testing.assert_allclose(particles.poses.rotation.numpy(), rotation, atol=2e-6)
    ctf = particles.ctf
    assert ctf.defocus_u.tolist() == [12000.0] * 3
    assert ctf.defocus_v.tolist() == [11000.0] * 3
    assert ctf.defocus_angle_deg.tolist() == [45.0] * 3
    assert ctf.voltage_kv.tolist() == [300.0] * 3
    assert ctf.spherical_aberration_mm.tolist() == pytest.approx([2.7] * 3)
    assert ctf.amplitude_contrast.tolist() == pytest.approx([0.1] * 3)
    assert ctf.phase_shift_deg.tolist() == [0.0] * 3
    assert particles.half_set.tolist() == [1, 2, 1]
    assert not particles.has_flipped_phases
    images = particles.images.read(torch.tensor([2, 0])).numpy()
    np.testing.assert_array_equal(images, project.images[[2, 0]])


def test_a_row_as_eman2_wrote_it(project):
    """Of the format; the numbers are those of a list that EMAN2 wrote for a tilt series."""
    matrix = (
        "[0.994593,-0.0657139,-0.0804149,1.01098,-0.0332251,-0.934989,0.353117,-3.19245,"
        "-0.0983923,-0.348536,-0.932117,5.92621]"
    )
    values = (
        '{"class":0,"defocus":0,"dxf":{"__class__":"Transform","matrix":"[1,0,0,-0.345638,-0,1,0,'
        '0.0120683,0,-0,1,0]"},"ptcl3d_id":0,"score":-0.727735565517016,"tilt_id":0,'
        '"xform.projection":{"__class__":"Transform","matrix":"' + matrix + '"}}'
    )
    project.rows = [[0, "particles/micro__ctf.hdf", values]]
    particles = read_particles(project.write())
    assert particles.half_set.tolist() == [1]
    assert particles.poses.shift[0].tolist() == pytest.approx([2 * 1.01098, 2 * -3.19245])
    assert float(torch.linalg.det(particles.poses.rotation[0])) == pytest.approx(1, abs=1e-5)


def test_the_same_set_as_of_relion(tmp_path, particle_file):
    """By RELION's Euler angles as EMAN2's, az = rot + 90, alt = tilt, phi = psi − 90."""
    generator = np.random.default_rng(1)
    euler = generator.uniform((-180, 0, -180), (180, 180, 180), size=(3, 3)).round(3)
    origin = generator.uniform(-6, 6, size=(3, 2)).round(3)
    for column, label in enumerate(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")):
        particle_file.set(label, *euler[:, column])
    for column, label in enumerate(("rlnOriginXAngst", "rlnOriginYAngst")):
        particle_file.set(label, *origin[:, column])
    particle_file.set("rlnRandomSubset", 2, 1, 1)
    expected = relion.read_particles(particle_file.write())

    project = Eman2Set(tmp_path / "project")
    project.images = particle_file.images
    matrices = [
        transform_of(rot + 90, tilt, psi - 90, -x / 2.0, -y / 2.0)
        for (rot, tilt, psi), (x, y) in zip(euler, origin, strict=True)
    ]
    for row, matrix, subset in zip(project.rows, matrices, (1, 0, 0), strict=True):
        row[2] = {"class": subset, "xform.projection": as_json(matrix)}
    found = read_particles(project.write())
    torch.testing.assert_close(found.poses.rotation, expected.poses.rotation, atol=3e-6, rtol=0)
    torch.testing.assert_close(found.poses.shift, expected.poses.shift, atol=1e-5, rtol=0)
    for name in Particles.__dataclass_fields__:
        if name == "ctf":
            for field in expected.ctf.__dataclass_fields__:
                assert torch.equal(getattr(found.ctf, field), getattr(expected.ctf, field)), field
        elif name not in ("images", "poses"):
            one, other = getattr(found, name), getattr(expected, name)
            same = torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
            assert same, name
    every = torch.arange(3)
    assert torch.equal(found.images.read(every), expected.images.read(every))


def test_a_stack_by_itself(project):
    for header, matrix in zip(project.headers, project.matrices, strict=True):
        header["xform.projection"] = matrix
        header["ctf_phase_flipped"] = 1
    project.write()
    particles = read_particles(project.stack)
    assert particles.poses.shift.tolist() == [[3.0, -4.0]] * 3
    assert particles.has_flipped_phases
    listed = read_particles(project.list)
    torch.testing.assert_close(particles.poses.rotation, listed.poses.rotation, atol=2e-6, rtol=0)


@pytest.mark.parametrize("value", [True, 1])
def test_flipped_phases_are_known_by_the_header(project, value):
    for header in project.headers:
        header["ctf_phase_flipped"] = value
    assert read_particles(project.write()).has_flipped_phases
    del project.headers[1]["ctf_phase_flipped"]
    with pytest.raises(InputFileError, match="flipped in all images or in none, got 2 of 3"):
        read_particles(project.write())


@pytest.mark.parametrize("name", ["a__ctf_flip.hdf", "a__flip.hdf", "a__ctf_flip_bin2.hdf:6"])
def test_flipped_phases_are_known_by_the_name(project, name):
    project.stack = project.folder / "particles" / name.partition(":")[0]
    for row in project.rows:
        row[1] = f"particles/{name}"
    assert read_particles(project.write()).has_flipped_phases
    for header in project.headers:
        header["ctf_phase_flipped"] = 0
    with pytest.warns(DataWarning, match="named like a flipped stack"):
        particles = read_particles(project.write())
    assert not particles.has_flipped_phases


def test_the_list_goes_before_the_header(project):
    for header in project.headers:
        header["xform.projection"] = transform_of(0, 0, 0)
    project.rows[1][2]["apix_x"] = 2.0
    keys = ("defocus", "dfdiff", "dfang", "ampcont", "voltage", "cs", "apix", "bfactor")
    ctf = dict(zip(keys, (2.0, 0.0, 0.0, 7.0, 200.0, 1.4, 2.0, 50.0), strict=True))
    project.rows[1][2]["ctf"] = {"__class__": "EMAN2Ctf", **ctf, "background": [1.0], "snr": []}
    particles = read_particles(project.write())
    assert particles.poses.shift.tolist() == [[3.0, -4.0]] * 3
    assert particles.ctf.defocus_u.tolist() == [12000.0, 20000.0, 12000.0]
    assert particles.ctf.amplitude_contrast.tolist() == pytest.approx([0.1, 0.07, 0.1])


@pytest.mark.parametrize("key", ["ctf", "ctf_frame"])
def test_the_ctf_of_the_micrograph_is_taken_where_images_have_none(project, key):
    for header in project.headers:
        del header["ctf"]
    path = project.write()
    with pytest.raises(MissingColumnError, match="3 of 3 images have no ctf"):
        read_particles(path)
    info = project.folder / "info" / "micro_info.json"
    info.parent.mkdir()
    info.write_text(json.dumps({key: [CTF, CTF, [256, 256]]}))
    assert read_particles(path).ctf.defocus_v.tolist() == [11000.0] * 3
    info.write_text(json.dumps({key: [7]}))
    with pytest.raises(InputFileError, match=r"micro_info.json: malformed CTF"):
        read_particles(path)


@pytest.mark.parametrize(
    ("percent", "phase"),
    [(10, 5.739), (-50, -30), (100, 90), (150, 150), (200, 180), (-150, -150), (-200, -180)],
)
def test_a_phase_plate_is_part_of_the_amplitude_contrast(project, percent, phase):
    for header in project.headers:
        header["ctf"] = CTF.replace(" 10 300", f" {percent} 300")
    ctf = read_particles(project.write()).ctf
    angle = torch.rad2deg(ctf.amplitude_contrast.asin()) + ctf.phase_shift_deg
    assert angle.tolist() == pytest.approx([phase] * 3, abs=2e-3)


def test_amplitude_contrast_that_looks_like_a_fraction_is_told(project):
    project.headers[1]["ctf"] = CTF.replace(" 10 300", " 0.1 300")
    with pytest.warns(DataWarning, match=r"contrast of 0.1 % .* looks like a fraction"):
        read_particles(project.write())


def test_half_sets_of_classes_lists_and_turns(project):
    for row, value in zip(project.rows, (1, 1, 0), strict=True):
        row[2]["class"] = value
    assert read_particles(project.write()).half_set.tolist() == [2, 2, 1]
    project.rows[0][2]["class"] = 2
    with pytest.warns(DataWarning, match="'class' is not 0 or 1"):
        particles = read_particles(project.write())
    assert particles.half_set.tolist() == [1, 2, 1]
    for row in project.rows:
        del row[2]["class"]
    project.write()
    write_lst(project.folder / "sets" / "all__even.lst", project.rows[1:])
    write_lst(project.folder / "sets" / "all__odd.lst", project.rows[:1])
    assert read_particles(project.list).half_set.tolist() == [2, 1, 1]
    assert read_particles(project.folder / "sets" / "all__even.lst").half_set.tolist() == [1, 1]
    assert read_particles(project.folder / "sets" / "all__odd.lst").half_set.tolist() == [2]
    write_lst(project.folder / "sets" / "all__odd.lst", project.rows[:2])
    with pytest.raises(InputFileError, match=r"row 2: .* one of all__even.lst and all__odd.lst"):
        read_particles(project.list)


def test_copies_of_an_image_share_their_half_set(project):
    project.rows = [project.rows[0], project.rows[0], project.rows[1]]
    particles = read_particles(project.write())
    assert particles.half_set.tolist() == [1, 1, 2]
    assert particles.same_image.tolist() == [0, 0, 2]


def test_images_may_lie_in_mrc_stacks(project):
    path = project.write()
    write_stack_file(project.folder / "particles" / "a.mrcs", project.images, pixel_size=2.0)
    for row in project.rows:
        row[1] = "particles/a.mrcs"
        row[2]["ctf"] = CTF
    write_lst(path, project.rows)
    particles = read_particles(path)
    assert particles.pixel_size == 2.0
    images = particles.images.read(torch.tensor([1])).numpy()
    np.testing.assert_array_equal(images, project.images[[1]])
    project.rows[1][1] = "particles/micro__ctf.hdf"
    write_lst(path, project.rows)
    with pytest.raises(
        InputFileError, match=r"all lie in HDF or all in MRC stacks, got .hdf, .mrcs"
    ):
        read_particles(path)


def test_pixel_sizes_that_differ_or_are_none(project):
    project.headers[2]["apix_x"] = 2.1
    with pytest.raises(BoxMismatchError, match=r"one pixel size, got 2 Å in row 1 and 2.1 Å"):
        read_particles(project.write())
    for header in project.headers:
        header["apix_x"] = 1.0
    with pytest.warns(DataWarning, match="pixel size of 1 Å is used"):
        assert read_particles(project.write()).pixel_size == 1.0
    for header in project.headers:
        del header["apix_x"]
    assert read_particles(project.write()).pixel_size == 2.0
    project.headers[0]["apix_x"] = -1.0
    with pytest.raises(InputFileError, match="row 1: the pixel size must be above 0, got -1"):
        read_particles(project.write())


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.diag([1, 1, -1, 0])[:3], "without mirror or scale"),
        (2 * transform_of(1, 2, 3), "without mirror or scale"),
        (np.zeros(11), "Transform of 12 numbers"),
        (np.full(12, np.nan), "must be a finite number"),
    ],
)
def test_transforms_that_are_no_pose_are_refused(project, matrix, message):
    project.rows[1][2]["xform.projection"] = as_json(matrix)
    with pytest.raises(InputFileError, match=rf"all.lst: row 2: .*{message}"):
        read_particles(project.write())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("O1.15 0.1", "begins with E"),
        ("E1.15 0.1", "begins with E"),
        ("Ea b c d e f g h i", "must hold numbers"),
        ({"defocus": 1.0}, "must be that of EMAN2"),
        (CTF.replace("300", "0"), "voltage of ctf must be above 0"),
        (CTF.replace(" 10 ", " 201 "), "between -200 and 200 %, got 201"),
        (CTF.replace("1.15", "1e999"), "defocus of ctf must be a finite number"),
    ],
)
def test_a_ctf_that_is_none_is_refused(project, value, message):
    project.rows[1][2]["ctf"] = value
    with pytest.raises(InputFileError, match=rf"all.lst: row 2: .*{message}"):
        read_particles(project.write())


def test_poses_are_needed(project):
    del project.rows[1][2]["xform.projection"]
    path = project.write()
    with pytest.raises(MissingColumnError, match=r"1 of 3 images have no xform.projection.*row 2"):
        read_particles(path)


def test_rows_come_back_with_all_that_was_said_of_them(project, tmp_path):
    path, out = project.write(), tmp_path / "chosen.lst"
    write_particles(path, out)
    assert out.read_bytes() == path.read_bytes()
    latents = {"cryomixLatent1": np.array(["0.250000", "-1.000000"]), "cluster": np.array([3, 1])}
    write_particles(path, out, rows=np.array([2, 0]), added=latents)
    before, after = records(path), records(out)
    assert after == [
        before[2] | {"cryomixLatent1": 0.25, "cluster": 3},
        before[0] | {"cryomixLatent1": -1.0, "cluster": 1},
    ]
    assert out.read_text().splitlines()[1] == "# of my own"
    lines = out.read_bytes().splitlines(keepends=True)
    assert {len(line) for line in lines[3:]} == {int(lines[2][1:])}
    assert read_particles(out, beside=path).source_row.tolist() == [0, 1]


def test_latents_of_another_job_are_replaced(project, tmp_path):
    for row in project.rows:
        row[2] |= {"cryomixLatent1": 1.0, "cryomixLatent2": 2.0}
    path, out = project.write(), tmp_path / "out.lst"
    write_particles(path, out, added={"cryomixLatent1": np.array(["5"] * 3)})
    assert [row.get("cryomixLatent1") for row in records(out)] == [5.0] * 3
    assert not any("cryomixLatent2" in row for row in records(out))


@pytest.mark.filterwarnings("ignore:.*lies outside of the folders")  # the name is absolute
def test_a_stack_is_selected_from_by_a_list(project, tmp_path):
    for header, matrix in zip(project.headers, project.matrices, strict=True):
        header["xform.projection"] = matrix
    project.write()
    out = tmp_path / "elsewhere" / "chosen.lst"
    write_particles(project.stack, out, rows=np.array([2, 1]))
    with pytest.warns(DataWarning, match="outside of the folders of this file"):
        read_particles(out)
    particles = read_particles(out, beside=project.stack)
    np.testing.assert_array_equal(
        particles.images.read(torch.arange(2)).numpy(), project.images[[2, 1]]
    )
    with pytest.raises(OutputError, match=r"ends in .lst"):
        write_particles(project.stack, tmp_path / "out.hdf")


def test_nothing_overwrites_the_input(project):
    path = project.write()
    with pytest.raises(OutputError, match="must not be overwritten"):
        write_particles(path, path)


@pytest.mark.parametrize("as_numbers", [False, True])
def test_poses_are_written_and_read_again(project, tmp_path, as_numbers):
    if as_numbers:
        for row, matrix in zip(project.rows, project.matrices, strict=True):
            row[2]["xform.projection"]["matrix"] = matrix.flatten().tolist()
    path, out = project.write(), tmp_path / "refined.lst"
    poses = Poses(random_poses(3, torch.Generator().manual_seed(0)).rotation, torch.rand(3, 2))
    write_poses(path, out, poses, pixel_size=2.0)
    found = read_particles(out, beside=path).poses
    torch.testing.assert_close(found.rotation, poses.rotation, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.shift, poses.shift, atol=1e-6, rtol=0)
    for before, after in zip(records(path), records(out), strict=True):
        transform = after.pop("xform.projection")
        old = before.pop("xform.projection")
        assert before == after
        assert type(transform["matrix"]) is type(old["matrix"])
        numbers = transform["matrix"]
        numbers = numbers if as_numbers else json.loads(numbers)
        assert numbers[11] == 0.5  # along the beam


def test_angles_at_the_poles_are_plain_matrices(project):
    project.rows[0][2]["xform.projection"] = as_json(transform_of(25, 180, 0))
    rotation = read_particles(project.write()).poses.rotation[0]
    expected = euler_to_rotation(torch.tensor([[115.0, 180.0, -90.0]], dtype=torch.float64))[0]
    torch.testing.assert_close(rotation, expected.float(), atol=2e-6, rtol=0)


def test_a_file_that_is_not_there(tmp_path):
    for name in ("no.lst", "no.hdf"):
        with pytest.raises(InputFileError, match=f"{name}: cannot be read"):
            read_particles(tmp_path / name)


def test_boxes_that_differ_are_refused(project):
    project.write()
    write_hdf(project.folder / "particles" / "b.hdf", np.zeros((1, 6, 6)), project.headers[:1])
    project.rows[1][:2] = [0, "particles/b.hdf"]
    write_lst(project.list, project.rows)
    with pytest.raises(
        BoxMismatchError, match=r"b.hdf: images must have the box .* 8 px, got 6 px"
    ):
        read_particles(project.list)
