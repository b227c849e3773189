"""`cryomix simulate` of an atomic model writes what other commands and scorers read."""

import tomllib
import warnings

import numpy as np
import pytest
import torch

from cryomix import cli
from cryomix.errors import DataWarning
from cryomix.evaluation.scores import score_latents
from cryomix.files.mrc import read_volume
from cryomix.files.relion import read_particles
from cryomix.files.truth import read_truth

FLAGS = ["--particles", "60", "--box", "24", "--pixel-size", "4"]


def atom(serial, chain, number, position):
    x, y, z = position
    return (
        f"ATOM  {serial:5d}  CA  GLY {chain}{number:4d}    {x:8.3f}{y:8.3f}{z:8.3f}"
        "  1.00  0.00           C"
    )


def atoms(shift=0.0):
    """A helix of 30 residues in chain A; 10 beside it in B, shifted along z."""
    turn = np.arange(30) * 1.7
    helix = np.stack([5 * np.cos(turn), 5 * np.sin(turn), np.arange(30) - 15.0], axis=1)
    beside = np.stack([np.full(10, 12.0), np.arange(10) - 5.0, np.full(10, shift)], axis=1)
    lines = [atom(i, "A", i + 1, position) for i, position in enumerate(helix)]
    return lines + [atom(30 + i, "B", i + 1, position) for i, position in enumerate(beside)]


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.pdb"
    path.write_text("\n".join([*atoms(), "END", ""]))
    return path


@pytest.fixture
def ensemble(tmp_path):
    path = tmp_path / "ensemble.pdb"
    lines = []
    for number, shift in enumerate((0.0, 3.0, 6.0, 9.0), start=1):
        lines += [f"MODEL     {number:4d}", *atoms(shift), "ENDMDL"]
    path.write_text("\n".join([*lines, "END", ""]))
    return path


def simulate(*arguments, snr=0.5):
    return cli.main(["simulate", *map(str, arguments), *FLAGS, "--snr", str(snr)])


def test_a_rigid_motion_with_composition(model, tmp_path):
    out = tmp_path / "out"
    flags = ("--motion", "shift /B by 0,0,8", "--states", 3, "--without", "/A:1-5")
    assert simulate(model, *flags, "-o", out) == 0
    particles = read_particles(out / "particles.star")
    assert (len(particles), particles.box_size, particles.pixel_size) == (60, 24, 4.0)
    truth = read_truth(out / "truth.npz")
    assert np.bincount(truth["which"]).tolist() == [10] * 6
    assert truth["t"] == pytest.approx(truth["which"] % 3 / 2)
    assert truth["c"].tolist() == (truth["which"] >= 3).tolist()
    lacking = truth["amps"][0] == 0
    assert truth["amps"][5][lacking].sum() == pytest.approx(5 * 6)
    way = truth["states"][2] - truth["states"][0]
    assert way[truth["moving"]] == pytest.approx(np.tile([0, 0, 8], (len(truth["moving"]), 1)))
    record = tomllib.loads((out / "run.toml").read_text())
    assert record["options"]["motion"] == ["shift /B by 0,0,8"]
    assert [entry["path"] for entry in record["inputs"]] == [str(model)]


def test_maps_lie_on_the_model(model, tmp_path):
    """The map is densest where the file's atoms are, by its own origin."""
    assert simulate(model, "--motion", "shift /B by 0,0,8", "-o", tmp_path / "out") == 0
    consensus = read_volume(tmp_path / "out" / "consensus.mrc")
    mask = read_volume(tmp_path / "out" / "mask.mrc")
    assert consensus.origin == mask.origin
    place = np.array([[float(line[at : at + 8]) for at in (30, 38, 46)] for line in atoms()[:30]])
    voxel = np.rint((place - consensus.origin) / 4.0).astype(int)
    here = consensus.density.numpy()[voxel[:, 2], voxel[:, 1], voxel[:, 0]]
    assert here.min() > 0.1 * consensus.density.max()
    assert here.mean() > 20 * consensus.density.mean()


def test_two_motions_have_two_coordinates(model, tmp_path):
    flags = ("--motion", "shift /B by 0,0,8", "--motion", "rotate /A:1-9 by 40 about /A:10")
    assert simulate(model, *flags, "--states", 3, "-o", tmp_path / "out") == 0
    truth = read_truth(tmp_path / "out" / "truth.npz")
    assert truth["a"] == pytest.approx(truth["which"] // 3 / 2)
    assert truth["b"] == pytest.approx(truth["which"] % 3 / 2)
    assert np.array_equal(truth["t"], truth["a"])
    noise = np.random.default_rng(0).normal(size=(60, 2)) * 1e-3
    latent = np.stack([truth["a"], truth["b"]], axis=1) + noise
    assert {"a_knn_R", "b_knn_R"} <= score_latents(latent, truth).keys()


def test_a_full_turn_is_cyclic(model, tmp_path):
    flags = ("--motion", "rotate /B by 360 about 0,0,1 through /A", "--states", 6)
    assert simulate(model, *flags, "-o", tmp_path / "out") == 0
    truth = read_truth(tmp_path / "out" / "truth.npz")
    assert bool(truth["cyclic"])
    assert np.unique(truth["t"]) == pytest.approx(np.arange(6) / 6)


def test_composition_alone_has_no_coordinate(model, tmp_path):
    assert simulate(model, "--without", "/B", "-o", tmp_path / "out") == 0
    truth = read_truth(tmp_path / "out" / "truth.npz")
    assert "t" not in truth
    assert truth["c"].sum() == 30


def test_an_ensemble_is_a_motion(ensemble, tmp_path):
    assert simulate(ensemble, "-o", tmp_path / "all") == 0
    assert simulate(ensemble, "--states", 2, "-o", tmp_path / "two") == 0
    every = read_truth(tmp_path / "all" / "truth.npz")
    ends = read_truth(tmp_path / "two" / "truth.npz")
    assert every["states"].shape[0] == 4
    assert np.unique(every["t"]) == pytest.approx(np.arange(4) / 3)
    way = np.linalg.norm(ends["states"][1] - ends["states"][0], axis=1)
    assert way.max() == pytest.approx(9, abs=1e-3)


def test_a_motion_moves_the_first_model_and_says_so(ensemble, tmp_path, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert simulate(ensemble, "--motion", "shift /B by 0,0,8", "-o", tmp_path / "out") == 0
    assert f"warning: {ensemble}: only its first model is used, of 4" in capsys.readouterr().err


def test_noise_can_have_a_spectrum(model, tmp_path):
    """Noise of the first rings only leaves the last ones without any."""
    spectrum = tmp_path / "noise.csv"
    spectrum.write_text("\n".join(["100"] * 7 + ["0.0001"] * 6))
    flags = ("--motion", "shift /B by 0,0,8", "--noise-spectrum", spectrum)
    power = []
    for name, more in (("white", flags[:2]), ("colored", flags)):
        assert simulate(model, *more, "-o", tmp_path / name, snr=0.01) == 0
        images = read_particles(tmp_path / name / "particles.star").images
        image = images.read(torch.arange(60)).numpy()
        transform = np.abs(np.fft.rfft2(image)) ** 2
        power.append(transform[:, 0, 10:].mean() / transform[:, 0, 1:5].mean())
    assert power[0] > 0.5
    assert power[1] < 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["MODEL"], "something must vary"),
        (["MODEL", "--motion", "spin /A"], "--motion 'spin /A': must be 'rotate SELECTION by"),
        (["MODEL", "--motion", "shift /Q by 1,0,0"], "no atom is in /Q; it holds /A:1-30, /B:1-10"),
        (["MODEL", "--without", "/B", "--pixel-size", "1"], "--box 24: the molecule, 3"),
        (["MODEL", "--without", "/B", "--noise-spectrum", "none.csv"], "none.csv: cannot be read"),
        (["MODEL", *["--motion", "shift /A by 1,0,0"] * 3], "once or twice, got 3 times"),
        (["MODEL", "--trajectory", "none.dcd"], "none.dcd: cannot be read"),
        (["MODEL", "--motion", "shift /A by 1,0,0", "--trajectory", "x"], "one or the other"),
        (["none.pdb", "--without", "/B"], "none.pdb: cannot be read: No such file"),
        (["linear", "--without", "/B"], "need an atomic model, got the system linear"),
        (["spiral.mrc"], "or a file .pdb, .ent, .cif or .mmcif, got 'spiral.mrc'"),
    ],
)
def test_a_mistake_gets_one_line_and_leaves_no_files(model, tmp_path, capsys, arguments, message):
    words = [str(model) if word == "MODEL" else word for word in arguments]
    out = tmp_path / "out"
    assert cli.main(["simulate", *FLAGS[:4], *words, "-o", str(out)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not out.exists() or not list(out.iterdir())


def test_a_trajectory_of_other_atoms_is_refused(model, tmp_path, capsys, shared_folder):
    trajectory = shared_folder / "data" / "models" / "adk" / "adk_dims.dcd"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        assert simulate(model, "--trajectory", trajectory, "-o", tmp_path / "out") == 2
    assert f"must have the atoms of {model}, 40, got 3341" in capsys.readouterr().err
