"""`cryomix check` names what is wrong in plain words and exits with 1."""

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
