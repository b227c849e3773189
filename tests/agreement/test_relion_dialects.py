"""Every star file among the shared inputs: RELION 2 to 5, and what others make of its syntax."""

import shutil
import warnings
from dataclasses import dataclass, field

import gemmi
import mrcfile
import numpy as np
import pytest
import torch

from cryomix.errors import DataWarning, MissingColumnError
from cryomix.files.relion import read_particles, read_poses, write_particles
from cryomix.files.star import read_star


@pytest.fixture(scope="module")
def data(shared_folder):
    return shared_folder / "data"


@dataclass(frozen=True)
class Expected:
    """Read off the file by eye; `added` is what it lacks, `warned` what must be told."""

    count: int
    pixel_size: float
    box_size: int
    euler: tuple[float, float, float]
    origin: tuple[float, float]  # Å, as in the file
    defocus: tuple[float, float, float]
    microscope: tuple[float, float, float]
    added: dict[str, float] = field(default_factory=dict)
    warned: tuple[str, ...] = ()


_POSED = dict.fromkeys(
    ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginX", "rlnOriginY"), 0.0
)
_DEFOCI = {"rlnDefocusU": 9e3, "rlnDefocusV": 8e3, "rlnDefocusAngle": 7.0}
_MICROSCOPE = {"rlnVoltage": 300.0, "rlnSphericalAberration": 2.7, "rlnAmplitudeContrast": 0.1}
_CENTERED = "stacks/aspire_relionproj/rln_proj_64_centered.star"
FILES = {
    "stacks/empiar10076_7/empiar_10076_7.star": Expected(
        7, 5e4 / 38168, 320, (0, 0, 0), (0, 0), (15301.1, 14916.4, 5.28), (300, 2.7, 0.07), _POSED
    ),
    "metadata/relion/cryodrgn_FinalRefinement-OriginalParticles-PfCRT.star": Expected(
        5, 1.035, 32, (16.093530, 86.352776, 98.225690), (-0.14063 * 1.035, -0.04688 * 1.035),
        (15686.0, 17521.4, 87.62907), (300, 0.001, 0.1), {"rlnAmplitudeContrast": 0.1},
    ),
    "metadata/relion/isecc_rln3.1_aberrations.star": Expected(
        1, 1.1, 300, (-23.43405, 23.114279, -69.18217), (-0.73605, 0.363950),
        (30876.811323, 28722.607179, 161.590835), (300, 0.0, 0.1), {},
        ("ignored: _rlnMagMat00, _rlnMagMat01, _rlnMagMat10, _rlnMagMat11, _rlnOddZernike, ",),
    ),
    "metadata/relion/cryodrgn_relion5.star": Expected(
        17, 0.89, 448, (111.508618, 36.742536, 141.158035), (-3.12578, -1.41031),
        (11949.06133, 11800.493288, 49.059993), (100, 1.6, 0.1), {},
        ("ignored: _rlnMagMat00, _rlnMagMat01, _rlnMagMat10, _rlnMagMat11, _rlnBeamTiltX, ",),
    ),
    "stacks/cryodrgn_relion31/relion31.6opticsgroups.star": Expected(
        139, 1.25, 196, (-128.10516, 37.06892, -82.17809), (13.284554, -3.21701),
        (10352.805929, 8905.919375, 60.88937), (200, 2.7, 0.1), {},
        (
            "84 of 196 px of 1.25 Å (optics group opticsGroup6), "
            "55 of 196 px of 1.24 Å (optics group opticsGroup4)",
            "ignored: _rlnMagMat00, ",
        ),
    ),
    _CENTERED: Expected(
        4, 1.0, 64, (235.820138, 113.08603, 50.468981), (0, 0), (9e3, 8e3, 7), (300, 2.7, 0.1),
        {**_DEFOCI, "rlnAmplitudeContrast": 0.1},
    ),
    _CENTERED.replace("centered", "shifted"): Expected(
        4, 1.0, 64, (235.820138, 113.08603, 50.468981), (6, 10), (9e3, 8e3, 7), (300, 2.7, 0.1),
        {**_DEFOCI, "rlnAmplitudeContrast": 0.1},
    ),
    _CENTERED.replace("_centered", ""): Expected(
        5, 1.0, 64, (275.167758, 67.327105, 47.970504), (0, 0), (9e3, 8e3, 7), (300, 2.7, 0.1),
        {**_DEFOCI, **_MICROSCOPE, "rlnPixelSize": 1.0},
    ),
}  # fmt: skip


def with_stacks(source, folder, expected):
    """The file with what it lacks, beside stacks; those that are not there hold zeros."""
    path = folder / source.name
    rows = {label: np.full(expected.count, value) for label, value in expected.added.items()}
    write_particles(source, path, added=rows)
    names = next(b for b in read_star(path).blocks if b.has("rlnImageName")).column("rlnImageName")
    most: dict[str, int] = {}
    for name in names:
        number, stack = name.split("@")
        most[stack] = max(most.get(stack, 0), int(number))
    for stack, images in most.items():
        place = folder / stack
        place.parent.mkdir(parents=True, exist_ok=True)
        if (source.parent / stack).is_file():
            shutil.copyfile(source.parent / stack, place)
            continue
        shape = (images, expected.box_size, expected.box_size)
        with mrcfile.new_mmap(place, shape, mrc_mode=2, overwrite=True) as file:
            file.set_image_stack()
    return path


def test_all_files_are_in_the_table(data):
    """Those of `star_syntax` hold no particles that could be read."""
    found = {str(path.relative_to(data)) for path in data.glob("*/*/*.star")}
    assert {name for name in found if "star_syntax" not in name} == set(FILES)
    for path in data.glob("metadata/star_syntax/*.star"):
        with pytest.raises(MissingColumnError, match=r"lists no particles|data_\w* lacks _rln"):
            read_particles(path)


@pytest.mark.parametrize("name", FILES)
def test_a_particle_file_is_read_with_its_values(data, tmp_path, name):
    expected = FILES[name]
    path = with_stacks(data / name, tmp_path, expected)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        particles = read_particles(path)
    told = [str(warning.message) for warning in caught]
    assert all(warning.category is DataWarning for warning in caught)
    assert len(told) == len(expected.warned)
    assert all(part in text for part, text in zip(expected.warned, told, strict=True))
    assert (len(particles), particles.box_size) == (expected.count, expected.box_size)
    assert particles.pixel_size == pytest.approx(expected.pixel_size)
    assert particles.limit is None
    assert particles.images.read(torch.tensor([expected.count - 1])).isfinite().all()
    ctf = particles.ctf
    defocus = (ctf.defocus_u[0], ctf.defocus_v[0], ctf.defocus_angle_deg[0])
    assert [float(value) for value in defocus] == pytest.approx(expected.defocus, rel=1e-5)
    microscope = (ctf.voltage_kv[0], ctf.spherical_aberration_mm[0], ctf.amplitude_contrast[0])
    assert [float(value) for value in microscope] == pytest.approx(expected.microscope, abs=1e-6)
    poses = read_poses(path)
    assert torch.equal(poses.rotation, particles.poses.rotation)
    assert (-poses.shift[0]).tolist() == pytest.approx(expected.origin, abs=1e-4)
    rotation = euler_matrix(*expected.euler)
    np.testing.assert_allclose(poses.rotation[0], rotation, atol=2e-6)


def euler_matrix(rot, tilt, psi):
    """Three turns of the frame, about z, the new y and the new z."""

    def about(axis, degrees):
        c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        turn = np.eye(3)
        first, second = [(1, 2), (2, 0), (0, 1)][axis]
        turn[[first, second], [first, second]] = c
        turn[first, second], turn[second, first] = s, -s
        return turn

    return about(2, psi) @ about(1, tilt) @ about(2, rot)


def test_what_a_file_lacks_is_named(data):
    lacking = {
        "stacks/empiar10076_7/empiar_10076_7.star": "_rlnAngleRot, _rlnAngleTilt, _rlnAnglePsi, ",
        _CENTERED: "_rlnDefocusU, _rlnDefocusV, _rlnDefocusAngle, _rlnAmplitudeContrast",
        "metadata/relion/cryodrgn_FinalRefinement-OriginalParticles-PfCRT.star": (
            "data_images lacks _rlnAmplitudeContrast"
        ),
    }
    for name, message in lacking.items():
        with pytest.raises(MissingColumnError, match=message):
            read_particles(data / name)


def test_every_value_is_that_of_another_reader(data):
    """gemmi, where a file has no leading number sign, which it takes for a comment."""
    compared = 0
    for path in sorted(data.glob("*/*/*.star")):
        ours, theirs = read_star(path).blocks, gemmi.cif.read(str(path))
        assert [block.name or " " for block in ours] == [block.name for block in theirs]
        for block, other in zip(ours, theirs, strict=True):
            for label in block.labels:
                expected = [gemmi.cif.as_string(value) for value in other.find_values(f"_{label}")]
                assert block.column(label) == expected, (path, label)
                compared += len(expected)
    assert compared > 4000
