"""`cryomix check` names what is wrong in plain words and exits with 1."""

import json
import re
import shutil

import pytest
import torch

from cryomix import cli
from cryomix.files.mrc import open_stack, read_volume, write_stack, write_volume
from cryomix.imaging.volume import Volume

FLAGS = ["--particles", "160", "--box", "32", "--pixel-size", "6", "--snr", "0.3", "--seed", "3"]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("check") / "linear"
    assert cli.main(["simulate", "linear", "-o", str(folder), *FLAGS]) == 0
    return folder


@pytest.fixture
def folder(simulated, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(simulated, tmp_path / "copy")


@pytest.fixture
def check(capsys):
    def check(folder, *more):
        capsys.readouterr()
        arguments = [str(folder / "particles.star"), "--map", str(folder / "consensus.mrc")]
        code = cli.main(["check", *arguments, "--sample", "160", *map(str, more)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return check


def rewrite_stack(folder, change):
    stack = folder / "particles.mrcs"
    images = change(open_stack(stack).read(torch.arange(160)))
    stack.unlink()
    write_stack(stack, [images], 6.0)


def rewrite_rows(folder, change):
    """Pass the values of every particle row through `change`."""
    path = folder / "particles.star"
    lines = [
        " ".join(change(line.split())) if "@" in line else line
        for line in path.read_text().splitlines()
    ]
    path.write_text("\n".join(lines) + "\n")


def test_a_correct_set_agrees(folder, check):
    code, output, error = check(folder, "--mask", folder / "mask.mrc")
    assert (code, error) == (0, "")
    assert "160 particles, 32 px box, 6 Å per pixel" in output
    assert "map                  shows what the particles show" in output
    # So few and so coarse images do not show where the CTF changes its sign.
    assert output.endswith("nothing wrong was found; these images cannot tell: phases\n")


def test_without_a_map_only_the_particles_are_judged(folder, capsys):
    assert cli.main(["check", str(folder / "particles.star")]) == 0
    assert "contrast" not in capsys.readouterr().out


def test_inverted_contrast(folder, check):
    rewrite_stack(folder, lambda images: -images)
    code, output, _ = check(folder)
    assert code == 1
    assert "contrast is inverted" in output
    assert output.count("problem:") == 1


def test_wrong_sign_of_the_shifts(folder, check):
    def negate(row):
        return [*row[:4], *(str(-float(value)) for value in row[4:6]), *row[6:]]

    rewrite_rows(folder, negate)
    code, output, _ = check(folder)
    assert code == 1
    assert "shifts have the wrong sign" in output
    assert output.count("problem:") == 1


def test_transposed_rotations(folder, check):
    def invert(row):
        rot, tilt, psi = (float(value) for value in row[1:4])
        return [row[0], str(-psi), str(-tilt), str(-rot), *row[4:]]

    rewrite_rows(folder, invert)
    code, output, _ = check(folder)
    assert code == 1
    assert "rotations are transposed" in output
    assert output.count("problem:") == 1


def test_a_mirrored_map(folder, check):
    volume = read_volume(folder / "consensus.mrc")
    write_volume(folder / "consensus.mrc", Volume(volume.density.flip(0).roll(1, 0), 6.0))
    code, output, _ = check(folder)
    assert code == 1
    assert "the other hand" in output
    assert output.count("problem:") == 1


def test_a_map_of_something_else(folder, check):
    noise = torch.randn(32, 32, 32, generator=torch.Generator().manual_seed(1))
    write_volume(folder / "consensus.mrc", Volume(noise, 6.0))
    code, output, _ = check(folder)
    assert code == 1
    assert "does not show what the particles show" in output


def test_nan_and_constant_images(folder, check):
    def spoil(images):
        images[7, 3, 3] = torch.nan
        images[99] = 1.0
        return images

    rewrite_stack(folder, spoil)
    code, output, _ = check(folder)
    assert code == 1
    assert "2 are not: rows 8, 100" in output


def test_a_map_of_another_box(folder, check):
    write_volume(folder / "consensus.mrc", Volume(torch.rand(24, 24, 24), 6.0))
    code, output, _ = check(folder)
    assert code == 1
    assert "must have the box of the particles, 32 px, got 24 px" in output


def test_a_mask_beyond_its_range(folder, check):
    volume = read_volume(folder / "mask.mrc")
    write_volume(folder / "mask.mrc", Volume(2 * volume.density, 6.0))
    code, output, _ = check(folder, "--mask", folder / "mask.mrc")
    assert code == 1
    assert "a mask must lie between 0 and 1, got 0 to 2" in output


def test_a_truncated_stack(folder, check):
    stack = folder / "particles.mrcs"
    stack.write_bytes(stack.read_bytes()[:-4000])
    code, output, _ = check(folder)
    assert code == 1
    assert "particles.mrcs" in output
    assert output.count("problem:") == 1


def test_a_missing_file_is_a_mistake_of_the_command_line(folder, check):
    (folder / "consensus.mrc").unlink()
    code, output, error = check(folder)
    assert (code, output) == (2, "")
    assert error == f"cryomix: {folder / 'consensus.mrc'}: there is no such file\n"


def test_what_was_measured_comes_as_json(folder, check):
    code, output, _ = check(folder, "--json")
    told = json.loads(output)
    assert (code, told["problems"]) == (0, 0)
    found = {finding["question"]: finding for finding in told["findings"]}
    assert found["contrast"]["state"] == "ok"
    assert found["phases"]["state"] == "cannot tell"
    rewrite_stack(folder, lambda images: -images)
    code, output, _ = check(folder, "--json")
    assert (code, json.loads(output)["problems"]) == (1, 1)


@pytest.mark.filterwarnings("default:.*pixel size of 7.8")
def test_a_wrong_pixel_size(folder, check):
    """The header of the map still has the true one, which nobody has to believe."""
    path = folder / "particles.star"
    path.write_text(path.read_text().replace(" 6.000000 ", " 7.800000 "))
    code, output, error = check(folder)
    assert code == 1
    assert "its pixel size of 7.8 Å is used" in error
    assert output.count("problem:") == 1
    size = re.search(r"set _rlnImagePixelSize in data_optics to ([\d.]+) Å", output)
    assert float(size[1]) == pytest.approx(6.0, rel=0.03)


def test_a_wrong_voxel_size_of_the_map(folder, check):
    density = read_volume(folder / "consensus.mrc").density
    write_volume(folder / "consensus.mrc", Volume(density, 7.8))
    code, output, _ = check(folder)
    assert code == 1
    assert "says 7.8 Å per voxel, the images 6 Å" in output
    assert "--force_header_angpix 6" in output
    assert output.count("problem:") == 1


@pytest.mark.parametrize(
    ("factor", "words"),
    [(1e-4, "multiply _rlnDefocusU and _rlnDefocusV by 10000"), (-1, "underfocus is positive")],
)
def test_defocus_of_another_unit_or_sign(folder, check, factor, words):
    def scale(row):
        return [*row[:6], *(str(float(value) * factor) for value in row[6:8]), *row[8:]]

    rewrite_rows(folder, scale)
    code, output, _ = check(folder)
    assert code == 1
    assert words in output
    assert output.count("problem:") == 1


def test_one_rotation_for_all(folder, check):
    rewrite_rows(folder, lambda row: [row[0], "0", "0", "0", *row[4:]])
    code, output, _ = check(folder)
    assert code == 1
    assert "all rotations are the same" in output


def test_rows_that_are_there_twice(folder, check):
    path = folder / "particles.star"
    text = path.read_text().rstrip("\n")
    path.write_text(text + "\n" + text.splitlines()[-1] + "\n")
    code, output, _ = check(folder)
    assert code == 1
    assert "1 rows repeat an earlier one, image and pose (rows 161)" in output


def test_uneven_half_sets_are_told_and_are_no_mistake(folder, check):
    rewrite_rows(folder, lambda row: [*row[:-1], "1" if int(row[0][:6]) > 9 else "2"])
    code, output, _ = check(folder)
    assert code == 0
    assert re.search(r"half sets +uneven: half maps will differ +151 and 9\n", output)


def test_images_that_are_not_normalised_are_told_and_are_no_mistake(folder, check):
    rewrite_stack(folder, lambda images: 300 + 20 * images)
    code, output, _ = check(folder)
    assert code == 0
    assert re.search(r"normalisation +not normalised +background 30\d(\.\d+)? ± [12]\d", output)


def test_a_mask_in_the_wrong_place(folder, check):
    volume = read_volume(folder / "mask.mrc")
    write_volume(folder / "mask.mrc", Volume(volume.density.roll(16, 0), 6.0))
    code, output, _ = check(folder, "--mask", folder / "mask.mrc")
    assert code == 1
    assert "the mask lies where the map has no density" in output
    assert output.count("problem:") == 1
