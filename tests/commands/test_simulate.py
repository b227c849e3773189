"""`cryomix simulate` writes what other commands and scorers read."""

import numpy as np
import pytest
import torch

from cryomix import cli
from cryomix.files.mrc import read_volume
from cryomix.files.relion import read_particles
from cryomix.geometry.poses import euler_to_rotation
from cryomix.simulation import simulate_particles

FLAGS = ["--particles", "48", "--box", "16", "--pixel-size", "8", "--snr", "0.5", "--seed", "3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulate") / "mixture"
    assert cli.main(["simulate", "mixture", "-o", str(folder), *FLAGS]) == 0
    return folder


@pytest.fixture(scope="module")
def simulation():
    return simulate_particles("mixture", 48, 16, 8.0, 0.5, seed=3)


def test_particles_come_back(folder, simulation):
    read, made = read_particles(folder / "particles.star"), simulation.particles
    index = torch.arange(48)
    torch.testing.assert_close(read.images.read(index), made.images.read(index))
    torch.testing.assert_close(read.poses.rotation, made.poses.rotation, atol=1e-5, rtol=0)
    torch.testing.assert_close(read.poses.shift, made.poses.shift, atol=1e-5, rtol=0)
    torch.testing.assert_close(read.ctf.defocus_v, made.ctf.defocus_v, atol=0.01, rtol=0)
    assert (read.pixel_size, read.box_size) == (8.0, 16)


def test_maps_come_back(folder, simulation):
    for name, volume in (("consensus", simulation.consensus), ("mask", simulation.mask)):
        read = read_volume(folder / f"{name}.mrc")
        torch.testing.assert_close(read.density, volume.density)
        assert read.voxel_size == pytest.approx(8.0)


def test_truth_has_the_keys_that_scorers_read(folder, simulation):
    with np.load(folder / "truth.npz", allow_pickle=False) as truth:
        assert set(truth.files) == {
            "cyclic", "which", "t", "c", "euler", "origin", "states", "amps", "sigma", "apix",
            "box", "moving",
        }  # fmt: skip
        assert truth["states"].shape == (40, 570, 3)
        assert truth["c"].tolist() == (truth["amps"][truth["which"], -1] == 1).tolist()
        assert truth["t"] == pytest.approx((truth["which"] % 20) / 19)
        rotation = euler_to_rotation(torch.from_numpy(truth["euler"])).float()
        torch.testing.assert_close(rotation, simulation.poses.rotation, atol=1e-5, rtol=0)
        assert truth["origin"] == pytest.approx(-simulation.poses.shift.numpy())
        assert (float(truth["apix"]), float(truth["sigma"]), int(truth["box"])) == (8, 8, 16)


def test_a_used_folder_is_refused_and_left_alone(folder, capsys):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert cli.main(["simulate", "linear", "-o", str(folder)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
