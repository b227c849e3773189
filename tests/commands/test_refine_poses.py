"""`cryomix refine-poses`: the star file it writes, and what it refuses."""

import numpy as np
import pytest

from cryomix import cli
from cryomix.files.checkpoint import read_csv
from cryomix.files.relion import read_particles, read_poses
from cryomix.files.star import read_star

SYSTEM = ["--particles", "160", "--box", "24", "--pixel-size", "8", "--snr", "2", "--seed", "3"]
QUICK = ["--latent-dim", "1", "--epochs", "2", "--hidden", "16", "--no-grow"]


def call(*arguments):
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """Trained at poses with errors of 5° about each axis."""
    folder = tmp_path_factory.mktemp("poses")
    simulated, neutral, job = folder / "set", folder / "neutral", folder / "job"
    assert call("simulate", "linear", "-o", simulated, *SYSTEM, "--pose-error", 5) == 0
    assert call("neutral", simulated / "consensus.mrc", "-o", neutral, "--gaussians", 64) == 0
    particles = simulated / "particles.star"
    assert call("train", particles, "--neutral", neutral, "-o", job, *QUICK) == 0
    return job


@pytest.fixture(scope="module")
def refined(job):
    out = job.parent / "refined.star"
    assert call("refine-poses", job, "-o", out) == 0
    return out


def test_only_poses_change_and_the_file_is_read_back(job, refined):
    source = job.parent / "set" / "particles.star"
    before, after = read_star(source), read_star(refined)
    assert after.block("optics").lines == before.block("optics").lines
    old, new = before.block("particles"), after.block("particles")
    assert new.labels == old.labels
    changed = {label for label in old.labels if new.column(label) != old.column(label)}
    pose = {"rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"}
    assert changed <= pose
    assert len(read_poses(refined)) == 160
    assert len(read_particles(refined, data_folder=source.parent)) == 160


def test_the_folder_says_what_was_gained(refined):
    folder = refined.with_suffix("")
    rounds = read_csv(folder / "rounds.csv")
    assert rounds["number"].tolist() == list(range(len(rounds["number"])))
    assert np.isfinite(rounds["left_out_score"]).all()
    assert (folder / "run.toml").is_file()
    assert not (folder / "state.safetensors").exists()
    if (rounds["left_out_score"][1:] > rounds["left_out_score"][0] + 1).any():
        assert set(read_csv(folder / "fsc.csv")) == {"shell", "frequency", "given", "refined"}


def test_what_is_there_is_not_overwritten(job, refined, capsys):
    written = refined.read_bytes()
    assert call("refine-poses", job, "-o", refined) == 2
    assert f"{refined}: there is such a file already" in capsys.readouterr().err
    assert call("refine-poses", job, "-o", refined, "--resume") == 0
    assert refined.read_bytes() == written


def test_what_cannot_be_used_is_refused(job, refined, tmp_path, capsys):
    assert call("refine-poses", job, "-o", tmp_path / "refined.mrc") == 2
    assert "refined.mrc: the file to write must end in .star" in capsys.readouterr().err
    assert call("refine-poses", tmp_path / "none", "-o", tmp_path / "refined.star") == 2
    assert "none: there is no such job folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    other = refined.with_name("other.star")
    other.with_suffix("").mkdir()
    (other.with_suffix("") / "mine.txt").touch()
    assert call("refine-poses", job, "-o", other) == 2
    assert "the output folder must be empty, but holds mine.txt" in capsys.readouterr().err
    assert not other.exists()
