"""`cryomix neutral` of particles and of an atomic model, and what it refuses."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from cryomix import cli
from cryomix.errors import DataWarning
from cryomix.files.mrc import open_stack, read_volume, write_stack, write_volume
from cryomix.files.neutral_model import read_neutral
from cryomix.files.run_record import read_run_record
from cryomix.fitting.map_views import validate_model
from cryomix.imaging.correlation import shell_correlation
from cryomix.imaging.volume import Volume

SYSTEM = ["--particles", "600", "--box", "24", "--pixel-size", "8", "--snr", "0.2", "--seed", "3"]
QUICK = ["--start-gaussians", "64", "--steps", "40", "--views", "60", "--batch-size", "12"]


def call(*arguments):
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Particles of a molecule whose domain moves, and the neutral model of them."""
    folder = tmp_path_factory.mktemp("neutral")
    assert call("simulate", "linear", "-o", folder / "set", *SYSTEM) == 0
    star = folder / "set" / "particles.star"
    assert call("neutral", "--particles", star, "-o", folder / "neutral", *QUICK) == 0
    return folder


def test_particles_give_the_model_of_their_mean(folder):
    neutral = read_neutral(folder / "neutral")
    truth = read_volume(folder / "set" / "consensus.mrc")
    frc = validate_model(neutral.model, truth, neutral.resolution)
    assert neutral.box_length == pytest.approx(192)
    assert neutral.resolution < 40
    assert float(frc[1 : int(192 / neutral.resolution) + 1].mean()) > 0.95
    shown = read_volume(folder / "neutral" / "neutral.mrc")
    assert (shown.box_size, shown.voxel_size) == (24, 8.0)
    assert shell_correlation(shown, truth)[1:5].mean() > 0.95
    record = read_run_record(folder / "neutral" / "run.toml")
    assert record.command == "neutral"


def test_training_takes_it(folder):
    particles = folder / "set" / "particles.star"
    flags = ["--latent-dim", "1", "--epochs", "1", "--hidden", "16", "--no-grow"]
    job = folder / "job"
    assert call("train", particles, "--neutral", folder / "neutral", "-o", job, *flags) == 0
    assert np.load(job / "latents.npy").shape == (600, 1)


def test_the_closing_line_tells_frc_and_time(folder, tmp_path, capsys):
    mask = folder / "set" / "consensus.mrc"
    molecule = read_volume(mask)
    density = (molecule.density > 0.02 * molecule.density.max()).float()
    write_volume(tmp_path / "mask.mrc", Volume(density, 8.0))
    star = folder / "set" / "particles.star"
    flags = ["--mask", tmp_path / "mask.mrc", "--resolution", "40", *QUICK]
    assert call("neutral", "--particles", star, "-o", tmp_path / "out", *flags) == 0
    captured = capsys.readouterr()
    assert "half maps of 600 particles agree to" in captured.err
    assert "mean FRC 0.9" in captured.out
    assert captured.out.rstrip().endswith(" s)")


def test_dark_protein_and_noise_are_refused(folder, tmp_path, capsys):
    images = open_stack(folder / "set" / "particles.mrcs").read(torch.arange(600))
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    text = (folder / "set" / "particles.star").read_text()
    for name, stack, message in (
        ("dark", -images, "protein must be positive (white)"),
        ("noise", noise, "half maps of its particles have nothing in common"),
    ):
        (tmp_path / name).mkdir()
        star = tmp_path / name / "particles.star"
        star.write_text(text)
        write_stack(tmp_path / name / "particles.mrcs", [stack], 8.0)
        assert call("neutral", "--particles", star, "-o", tmp_path / name / "out") == 2
        assert f"{star}: {message}" in capsys.readouterr().err


def atom(serial, position):
    x, y, z = position
    return (
        f"ATOM  {serial:5d}  CA  GLY A{serial:4d}    {x:8.3f}{y:8.3f}{z:8.3f}"
        "  1.00  0.00           C"
    )


PLACE = np.array([61.0, -35.0, 140.0])


@pytest.fixture
def model(tmp_path):
    """A left-handed coil of 150 residues, far from the origin."""
    turn = np.arange(150) * 0.35
    radius = 8 + turn / 4
    coil = np.stack([radius * np.cos(turn), -radius * np.sin(turn), turn - 26], axis=1) + PLACE
    path = tmp_path / "model.pdb"
    lines = [atom(number, position) for number, position in enumerate(coil, start=1)]
    path.write_text("\n".join([*lines, "END", ""]))
    return path


GRID = ["--box", "32", "--pixel-size", "4"]


def test_an_atomic_model_is_centred_in_a_box_of_its_own(model, tmp_path):
    out = tmp_path / "out"
    assert call("neutral", model, "-o", out, *GRID, *QUICK) == 0
    neutral = read_neutral(out)
    assert neutral.box_length == pytest.approx(128)
    mass = neutral.model.amplitude * neutral.model.width**3
    mean = (neutral.model.center * (mass / mass.sum())[:, None]).sum(0)
    assert mean.abs().max() < 1
    shown = read_volume(out / "neutral.mrc")
    assert np.allclose(np.array(shown.origin) + 64, PLACE, atol=3)


def test_an_atomic_model_lies_in_the_frame_of_its_map(model, tmp_path):
    """The map is where `simulate` puts it, cut out off the centre of the molecule."""
    assert call("neutral", model, "-o", tmp_path / "own", *GRID, *QUICK) == 0
    own = read_volume(tmp_path / "own" / "neutral.mrc")
    x, y, z = own.origin
    density = own.density.roll((2, -1, 3), (0, 1, 2))
    moved = replace(own, density=density, origin=(x - 12, y + 4, z - 8))
    write_volume(tmp_path / "map.mrc", moved)
    flags = ["--map", tmp_path / "map.mrc", *QUICK]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert call("neutral", model, "-o", tmp_path / "out", *flags) == 0
    shown = read_volume(tmp_path / "out" / "neutral.mrc")
    assert shown.origin == pytest.approx(moved.origin)
    assert shell_correlation(shown, moved)[1:10].mean() > 0.95


def test_a_model_beside_its_map_is_told(model, tmp_path, capsys):
    assert call("neutral", model, "-o", tmp_path / "own", *GRID, *QUICK) == 0
    own = read_volume(tmp_path / "own" / "neutral.mrc")
    x, y, z = own.origin
    write_volume(tmp_path / "map.mrc", replace(own, origin=(x - 30, y, z - 20)))
    with warnings.catch_warnings():
        warnings.simplefilter("always", DataWarning)
        flags = ["--map", tmp_path / "map.mrc", *QUICK]
        assert call("neutral", model, "-o", tmp_path / "out", *flags) == 0
    assert "was it fitted into that map" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "neutral: needs MAP (a map or an atomic model) or --particles, got none"),
        (["MODEL"], "model.pdb: needs a grid: --map, or --box and --pixel-size"),
        (["MODEL", "--box", "32"], "model.pdb: needs a grid"),
        (["MODEL", "--map", "none.mrc", "--box", "32"], "--box: must not be given with --map"),
        (["MODEL", "--map", "none.mrc"], "none.mrc: cannot be read"),
        (["MODEL", "--box", "16", "--pixel-size", "2"], "within 16 Å of the box centre"),
        (["MODEL", "--box", "4", "--pixel-size", "2"], "--box: must be at least 16, got 4"),
        (["MODEL", "--box", "32", "--pixel-size", "-1"], "--pixel-size: must be positive"),
        (["MODEL", *GRID, "--resolution", "6"], "finer than twice the voxel size, 8 Å"),
        (["MODEL", *GRID, "--datadir", "x"], "--datadir: must not be given with an atomic model"),
        (["none.pdb", *GRID], "none.pdb: cannot be read"),
        (["map.mrc", "--box", "32"], "--box: must not be given with a map, got 32"),
        (["map.mrc", "--particles", "x.star"], "MAP: must not be given with --particles"),
        (["--particles", "x.star", "--box", "32"], "--box: must not be given with --particles"),
        (["--particles", "STAR", "--resolution", "9"], "finer than twice the pixel size, 16 Å"),
        (["--particles", "STAR", "--mask", "MASK"], "must have the box of the particles, 24 px"),
    ],
)
def test_a_mistake_gets_one_line_and_leaves_no_files(
    model, folder, tmp_path, capsys, arguments, message
):
    write_volume(tmp_path / "mask.mrc", Volume(torch.ones(32, 32, 32), 8.0))
    files = {
        "MODEL": model,
        "STAR": folder / "set" / "particles.star",
        "MASK": tmp_path / "mask.mrc",
    }
    out = tmp_path / "out"
    assert call("neutral", *(files.get(word, word) for word in arguments), "-o", out) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not out.exists() or not list(out.iterdir())
