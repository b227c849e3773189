"""RELION files: what each column means, and each way in which a file is refused."""

import warnings

import numpy as np
import pytest
import torch

from cryomix.errors import (
    BoxMismatchError,
    DataWarning,
    InputFileError,
    MissingColumnError,
    OutputError,
)
from cryomix.files.relion import (
    read_particles,
    read_poses,
    write_particle_set,
    write_particles,
    write_poses,
)
from cryomix.files.star import read_star
from cryomix.geometry.poses import Poses, random_poses
from cryomix.imaging.particles import read_batch


def test_a_file_of_relion_3_1(particle_file):
    particle_file.set("rlnAngleRot", 0.0, 10.0, 90.0)
    particle_file.set("rlnAngleTilt", 0.0, 20.0, 90.0)
    particle_file.set("rlnAnglePsi", 0.0, 30.0, 0.0)
    particles = read_particles(particle_file.write())
    assert len(particles) == 3
    assert (particles.pixel_size, particles.box_size) == (2.0, 8)
    assert particles.poses.shift.tolist() == [[-3.0, 4.0]] * 3
    assert torch.equal(particles.poses.rotation[0], torch.eye(3))
    # The view axes in the model's frame, after turning by 90 about z and then about the new y.
    expected = torch.tensor([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    torch.testing.assert_close(particles.poses.rotation[2], expected, atol=1e-6, rtol=0)
    ctf = particles.ctf
    assert ctf.defocus_u.tolist() == [12000.0] * 3
    assert ctf.defocus_v.tolist() == [11000.0] * 3
    assert ctf.defocus_angle_deg.tolist() == [45.0] * 3
    assert ctf.voltage_kv.tolist() == [300.0] * 3
    assert ctf.spherical_aberration_mm.tolist() == pytest.approx([2.7] * 3)
    assert ctf.amplitude_contrast.tolist() == pytest.approx([0.1] * 3)
    assert ctf.phase_shift_deg.tolist() == [0.0] * 3
    assert particles.half_set.tolist() == [1, 2, 1]
    assert particles.source_row.tolist() == [0, 1, 2]
    assert not particles.has_flipped_phases
    images = particles.images.read(torch.tensor([2, 0])).numpy()
    np.testing.assert_array_equal(images, particle_file.images[[2, 0]])
    assert len(read_batch(particles, torch.tensor([1]), particles.grid)) == 1


def test_a_file_of_relion_3_0(particle_file):
    for label, value in {**particle_file.optics[0], "rlnDetectorPixelSize": 4.0}.items():
        if label in ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast"):
            particle_file.set(label, value)
    particle_file.optics = []
    particle_file.drop("rlnOriginXAngst", "rlnOriginYAngst", "rlnOpticsGroup")
    particle_file.set("rlnOriginX", 1.5)
    particle_file.set("rlnOriginY", -2.0)
    particle_file.set("rlnDetectorPixelSize", 4.0)
    particle_file.set("rlnMagnification", 20000)
    particle_file.set("rlnRandomSubset", 2, 2, 1)
    particle_file.set("rlnPhaseShift", 90.0)
    particles = read_particles(particle_file.write())
    assert particles.pixel_size == 2.0
    assert particles.poses.shift.tolist() == [[-3.0, 4.0]] * 3
    assert particles.half_set.tolist() == [2, 2, 1]
    assert particles.ctf.phase_shift_deg.tolist() == [90.0] * 3
    particle_file.drop("rlnDetectorPixelSize", "rlnMagnification")
    particle_file.set("rlnPixelSize", 1.99)
    particles = read_particles(particle_file.write())
    assert particles.pixel_size == 1.99
    assert particles.poses.shift[0].tolist() == pytest.approx([-2.985, 3.98])


def test_origins_in_angstrom_go_before_those_in_pixels(particle_file):
    particle_file.set("rlnOriginX", 100.0)
    particle_file.set("rlnOriginY", 100.0)
    assert read_particles(particle_file.write()).poses.shift[0].tolist() == [-3.0, 4.0]
    particle_file.drop("rlnOriginXAngst", "rlnOriginYAngst")
    assert read_particles(particle_file.write()).poses.shift[0].tolist() == [-200.0, -200.0]


def test_optics_groups_may_differ_in_microscope(particle_file):
    second = {
        "rlnOpticsGroup": 7,
        "rlnVoltage": 200.0,
        "rlnSphericalAberration": 1.4,
        "rlnAmplitudeContrast": 0.07,
    }
    particle_file.optics = [particle_file.optics[0] | second, *particle_file.optics]
    particle_file.set("rlnOpticsGroup", 7, 1, 7)
    ctf = read_particles(particle_file.write()).ctf
    assert ctf.voltage_kv.tolist() == [200.0, 300.0, 200.0]
    assert ctf.spherical_aberration_mm.tolist() == pytest.approx([1.4, 2.7, 1.4])
    assert ctf.amplitude_contrast.tolist() == pytest.approx([0.07, 0.1, 0.07])


def test_a_particle_goes_before_its_optics_group(particle_file):
    particle_file.set("rlnVoltage", 100.0, 120.0, 80.0)
    assert read_particles(particle_file.write()).ctf.voltage_kv.tolist() == [100.0, 120.0, 80.0]


def test_flipped_phases_are_known(particle_file):
    particle_file.optics[0]["rlnCtfDataArePhaseFlipped"] = 1
    assert read_particles(particle_file.write()).has_flipped_phases


def test_images_must_have_the_box_that_the_file_says(particle_file):
    particle_file.optics = [particle_file.optics[0] | {"rlnImageSize": 10}]
    path = particle_file.write()
    with pytest.raises(BoxMismatchError) as caught:
        read_particles(path)
    stack = path.parent / "stack.mrcs"
    assert str(caught.value) == (
        f"{path}: _rlnImageSize is 10 px but the images of {stack} have 8 px"
    )


def test_a_group_that_no_particle_uses_may_differ(particle_file):
    first = particle_file.optics[0]
    particle_file.optics = [first, first | {"rlnOpticsGroup": 2, "rlnImagePixelSize": 9.0}]
    assert read_particles(particle_file.write()).pixel_size == 2.0


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        (("rlnAngleRot",), "_rlnAngleRot"),
        (("rlnAngleTilt", "rlnAnglePsi"), "_rlnAngleTilt, _rlnAnglePsi"),
        (
            ("rlnOriginYAngst",),
            "_rlnOriginXAngst with _rlnOriginYAngst (or _rlnOriginX with _rlnOriginY)",
        ),
        (("rlnDefocusU",), "_rlnDefocusU"),
        (("rlnDefocusV", "rlnDefocusAngle"), "_rlnDefocusV, _rlnDefocusAngle"),
        (("rlnVoltage",), "_rlnVoltage"),
        (("rlnSphericalAberration",), "_rlnSphericalAberration"),
        (("rlnAmplitudeContrast",), "_rlnAmplitudeContrast"),
        (
            ("rlnImagePixelSize",),
            "_rlnImagePixelSize (or _rlnPixelSize, or _rlnDetectorPixelSize with "
            "_rlnMagnification)",
        ),
    ],
)
def test_missing_columns_are_named(particle_file, labels, named):
    particle_file.drop(*labels)
    path = particle_file.write()
    with pytest.raises(MissingColumnError) as caught:
        read_particles(path)
    assert str(caught.value) == f"{path}: data_particles (with data_optics) lacks {named}"


def test_a_file_without_images_or_groups_is_refused(particle_file):
    particle_file.drop("rlnImageName")
    with pytest.raises(MissingColumnError, match=r"no block has _rlnImageName, so it lists no"):
        read_particles(particle_file.write())
    particle_file.set("rlnImageName", "1@stack.mrcs")
    particle_file.optics.append(particle_file.optics[0] | {"rlnOpticsGroup": 2})
    for row in particle_file.particles:
        del row["rlnOpticsGroup"]
    with pytest.raises(MissingColumnError, match="data_particles lacks _rlnOpticsGroup"):
        read_particles(particle_file.write())


@pytest.mark.parametrize(
    ("label", "value", "message"),
    [
        ("rlnAngleRot", "nan", "_rlnAngleRot must be finite, got nan in row 2"),
        ("rlnDefocusU", "inf", "_rlnDefocusU must be finite, got inf in row 2"),
        ("rlnAnglePsi", "abc", "_rlnAnglePsi must be a number, got 'abc' in row 2"),
        ("rlnOpticsGroup", 5, "optics group 5 of row 2 of data_particles is not in data_optics"),
        ("rlnRandomSubset", 0, "_rlnRandomSubset must be 1 or 2, got 0 in row 2"),
        ("rlnVoltage", 0, "_rlnVoltage must be above 0, got 0 in row 2"),
        ("rlnAmplitudeContrast", 7, "_rlnAmplitudeContrast must be between -1 and 1, got 7 in row"),
        ("rlnImagePixelSize", -2, "_rlnImagePixelSize must be above 0, got -2 in row 2"),
        ("rlnImageName", "stack.mrcs", "an image name must be number@stack counted from 1, got "),
        ("rlnImageName", "0@stack.mrcs", "an image name must be number@stack counted from 1, got "),
        ("rlnImageName", "4@stack.mrcs", "row 2 asks for image 4 of "),
        ("rlnImageDimensionality", 3, "images must be two-dimensional: _rlnImageDimensionality"),
        (
            "rlnCtfDataAreCtfPremultiplied",
            1,
            "images must not be multiplied by their CTF: _rlnCtfDataAreCtfPremultiplied must be 0",
        ),
        (
            "rlnCtfDataArePhaseFlipped",
            1,
            "_rlnCtfDataArePhaseFlipped must be the same for all particles, got 1 for 1 of 3",
        ),
    ],
)
def test_values_that_make_no_sense_are_refused(particle_file, label, value, message):
    usual = particle_file.particles[0].get(label, particle_file.optics[0].get(label, 0))
    if label == "rlnRandomSubset":
        usual = 1
    particle_file.set(label, usual, value, usual)
    path = particle_file.write()
    with pytest.raises(InputFileError) as caught:
        read_particles(path)
    assert type(caught.value) is InputFileError
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_tomograms_are_refused(particle_file):
    path = particle_file.write()
    general = "\ndata_general\n\n_rlnTomoSubTomosAre2DStacks 1\n"
    path.write_text(general + path.read_text())
    with pytest.raises(
        InputFileError, match="data_general has _rlnTomoSubTomosAre2DStacks: tomography is not"
    ):
        read_particles(path)


def test_a_file_without_particles_is_refused(particle_file):
    path = particle_file.write()
    lines = [line for line in path.read_text().splitlines() if "@" not in line]
    path.write_text("\n".join(lines))
    with pytest.raises(InputFileError, match="data_particles must hold particles, got 0 rows"):
        read_particles(path)


def test_what_is_ignored_is_said(particle_file):
    particle_file.optics[0] |= {
        "rlnBeamTiltX": 0.1,
        "rlnBeamTiltY": 0.0,
        "rlnMagMat00": 1.01,
        "rlnMagMat11": 1.0,
        "rlnOddZernike": "[0.1,0,0]",
        "rlnEvenZernike": "[0,0.0,0]",
    }
    path = particle_file.write()
    with pytest.warns(DataWarning) as caught:
        read_particles(path)
    (warning,) = caught
    expected = f"{path}: ignored: _rlnMagMat00, _rlnBeamTiltX, _rlnOddZernike"
    assert str(warning.message) == expected


def test_optics_groups_of_what_is_ignored_are_said(particle_file):
    """But not those that no particle has."""
    first = particle_file.optics[0]
    names = ("plain", "tilted", "both", "unused")
    particle_file.optics = [
        first | {"rlnOpticsGroup": number, "rlnOpticsGroupName": name} | other
        for number, (name, other) in enumerate(
            zip(
                names,
                (
                    {"rlnBeamTiltX": 0.0, "rlnEvenZernike": "[0,0,-0.0]", "rlnMagMat01": 0.0},
                    {"rlnBeamTiltX": -0.2, "rlnEvenZernike": "[0,0,0.0]", "rlnMagMat01": 0.0},
                    {"rlnBeamTiltX": 0.1, "rlnEvenZernike": "[0,2e-3,0]", "rlnMagMat01": 0.0},
                    {"rlnBeamTiltX": 0.0, "rlnEvenZernike": "[0,0,0]", "rlnMagMat01": 0.5},
                ),
                strict=True,
            ),
            start=1,
        )
    ]
    particle_file.set("rlnOpticsGroup", 1, 2, 3)
    path = particle_file.write()
    with pytest.warns(DataWarning) as caught:
        read_particles(path)
    assert [str(warning.message) for warning in caught] == [
        f"{path}: ignored: _rlnBeamTiltX (optics group tilted, optics group both), "
        "_rlnEvenZernike (optics group both)"
    ]


@pytest.mark.parametrize(("header", "warned"), [(0.0, 0), (1.0, 0), (2.01, 0), (3.0, 1)])
def test_the_pixel_size_of_the_metadata_wins(particle_file, rewrite_header, header, warned):
    rewrite_header(particle_file.path.parent / "stack.mrcs", header)
    path = particle_file.write()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert read_particles(path).pixel_size == 2.0
    assert len(caught) == warned
    if warned:
        assert caught[0].category is DataWarning
        assert str(caught[0].message) == (
            f"{path}: its pixel size of 2 Å is used, although the header of "
            f"{path.parent / 'stack.mrcs'} says 3 Å"
        )


def test_poses_need_neither_ctf_nor_images(particle_file):
    particle_file.drop("rlnDefocusU", "rlnVoltage", "rlnImagePixelSize")
    path = particle_file.write()
    (path.parent / "stack.mrcs").unlink()
    poses = read_poses(path)
    assert poses.shift.tolist() == [[-3.0, 4.0]] * 3
    particle_file.drop("rlnOriginXAngst")
    particle_file.set("rlnOriginX", 1.0)
    particle_file.set("rlnOriginY", 1.0)
    with pytest.raises(MissingColumnError, match="lacks _rlnImagePixelSize"):
        read_poses(particle_file.write())


def test_written_particles_keep_all_of_the_users_text(particle_file, tmp_path):
    particle_file.set("rlnMicrographName", "0001", "'my mic.mrc'", "é.mrc")
    source, out = particle_file.write(), tmp_path / "job" / "out.star"
    write_particles(source, out)
    assert out.read_bytes() == source.read_bytes()
    latents = np.array([[0.25, -1e-8], [3.0, 1 / 3]], np.float32)
    added = {"cryomixLatent1": latents[:, 0], "cryomixLatent2": latents[:, 1]}
    added |= {"cryomixCluster": np.array([2, 1])}
    write_particles(source, out, rows=np.array([2, 0]), added=added)
    before, after = read_star(source), read_star(out)
    assert after.block("optics").lines == before.block("optics").lines
    old, new = before.block("particles"), after.block("particles")
    assert new.labels == (*old.labels, "cryomixLatent1", "cryomixLatent2", "cryomixCluster")
    assert new.rows[0] == old.rows[2] + b" 0.25 -1e-08 2"
    assert new.rows[1] == old.rows[0] + b" 3.0 0.33333334 1"
    assert np.float32(new.floats("cryomixLatent2")).tolist() == latents[:, 1].tolist()
    again = tmp_path / "job" / "again.star"
    write_particles(out, again, added={"cryomixCluster": np.array([5, 6])})
    assert read_star(again).block("particles").column("cryomixCluster") == ["5", "6"]
    assert read_star(again).block("particles").labels == new.labels


@pytest.mark.parametrize("unit", ["Å", "px", "both"])
def test_other_poses_leave_everything_else_as_it_was(particle_file, tmp_path, unit):
    """Columns, their order, rows, optics groups and the unit of the origins."""
    particle_file.set("rlnMicrographName", "0001", "'my mic.mrc'", "é.mrc")
    particle_file.optics += [particle_file.optics[0] | {"rlnOpticsGroup": 2}]
    particle_file.set("rlnOpticsGroup", 2, 1, 2)
    if unit != "Å":
        particle_file.set("rlnOriginX", 1.0)
        particle_file.set("rlnOriginY", -1.0)
    if unit == "px":
        particle_file.drop("rlnOriginXAngst", "rlnOriginYAngst")
    source, out = particle_file.write(), tmp_path / "refined.star"
    poses = random_poses(3, torch.Generator().manual_seed(0))
    poses = Poses(poses.rotation, torch.tensor([[1.0, -2.0], [0.5, 7.25], [-3.0, 0.0]]))
    write_poses(source, out, poses)
    again = read_particles(out)
    torch.testing.assert_close(again.poses.rotation, poses.rotation, atol=1e-6, rtol=0)
    torch.testing.assert_close(again.poses.shift, poses.shift)
    before, after = read_star(source), read_star(out)
    assert after.block("optics").lines == before.block("optics").lines
    old, new = before.block("particles"), after.block("particles")
    assert new.labels == old.labels
    placed = {label for label in old.labels if label.startswith(("rlnAngle", "rlnOrigin"))}
    for label in set(old.labels) - placed:
        assert new.column(label) == old.column(label)
    if unit != "Å":  # pixels of 2 Å
        torch.testing.assert_close(
            torch.tensor(new.floats("rlnOriginX")).float(), -poses.shift[:, 0] / 2
        )


def test_poses_are_one_per_row_and_never_replace_the_input(particle_file, tmp_path):
    source = particle_file.write()
    poses = random_poses(3, torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="3 rows but 2 poses"):
        write_poses(source, tmp_path / "out.star", poses[:2])
    with pytest.raises(OutputError, match="the input must not be overwritten"):
        write_poses(source, source, poses)


def test_the_input_is_never_overwritten(particle_file, tmp_path):
    source = particle_file.write()
    before = source.read_bytes()
    link = tmp_path / "link.star"
    link.symlink_to(source)
    for out in (source, link):
        with pytest.raises(OutputError, match=r"\.star: the input must not be overwritten"):
            write_particles(source, out, rows=np.array([0]))
    assert source.read_bytes() == before
    with pytest.raises(ValueError, match="3 rows, got -1 to 0"):
        write_particles(source, tmp_path / "out.star", rows=np.array([0, -1]))


def test_a_new_set_comes_back(particle_file, tmp_path):
    particle_file.set("rlnVoltage", 300, 200, 300)
    particle_file.set("rlnRandomSubset", 2, 1, 1)
    particle_file.set("rlnPhaseShift", 10, 20, 30)
    particles = read_particles(particle_file.write())
    path = tmp_path / "new" / "set.star"
    write_particle_set(path, particles)
    again = read_particles(path)
    torch.testing.assert_close(again.poses.rotation, particles.poses.rotation)
    torch.testing.assert_close(again.poses.shift, particles.poses.shift)
    for field in ("defocus_u", "defocus_v", "defocus_angle_deg", "voltage_kv", "phase_shift_deg"):
        assert torch.equal(getattr(again.ctf, field), getattr(particles.ctf, field))
    torch.testing.assert_close(again.ctf.amplitude_contrast, particles.ctf.amplitude_contrast)
    assert torch.equal(again.half_set, particles.half_set)
    assert (again.pixel_size, again.box_size) == (2.0, 8)
    every = torch.arange(3)
    assert torch.equal(again.images.read(every), particles.images.read(every))
