"""`cryomix reconstruct --improved`: what it writes, what it says, and what it refuses."""

import shutil

import numpy as np
import pytest
import torch

from cryomix import cli
from cryomix.files.checkpoint import read_array, read_csv
from cryomix.files.mrc import read_volume
from cryomix.files.relion import read_particles
from cryomix.files.training import read_model, write_model
from cryomix.files.volume_list import read_volume_list
from cryomix.fitting.trained_model import TrainedModel
from cryomix.imaging.gaussians import GaussianModel
from cryomix.reconstruction.backprojection import reconstruct

SYSTEM = ["--particles", "150", "--box", "24", "--pixel-size", "8", "--snr", "1", "--seed", "3"]
QUICK = ["--latent-dim", "1", "--hidden", "16", "--threads", "1", "--epochs", "1"]


def call(*arguments):
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("improved")
    assert call("simulate", "linear", "-o", folder / "set", *SYSTEM) == 0
    neutral = ["neutral", folder / "set" / "consensus.mrc", "-o", folder / "neutral"]
    assert call(*neutral, "--gaussians", "64", "--steps", "40") == 0
    particles = folder / "set" / "particles.star"
    inputs = ["train", particles, "--neutral", folder / "neutral", "-o", folder / "job", *QUICK]
    assert call(*inputs) == 0
    return folder / "job"


@pytest.fixture
def job(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "job")


def still(job):
    """A decoder whose models do not depend on the latent."""
    model = read_model(job / "model.safetensors")
    with torch.no_grad():
        model.decoder.last.weight.zero_()
    write_model(job / "model.safetensors", model)


def slide(model, latent):
    """Models whose upper third is up to 32 Å to the left or to the right; the rest stays."""
    neutral = model.decoder.neutral
    upper = neutral.center[:, 1] > neutral.center[:, 1].quantile(0.67)
    center = neutral.center.repeat(len(latent), 1, 1)
    center[:, upper, 0] += 32 * latent
    shape = (len(latent), len(neutral))
    return GaussianModel(center, neutral.amplitude.expand(shape), neutral.width.expand(shape))


def test_without_motion_the_map_is_the_consensus_and_the_command_says_so(job, capsys):
    still(job)
    assert call("reconstruct", job, "--improved", "--no-flatten", "--threads", "1") == 0
    assert "did not help: nothing moves" in capsys.readouterr().out
    assert read_array(job / "volumes" / "improved_latent.npy").shape == (1, 1)
    assert not (job / "volumes" / "fsc" / "improved_moving.csv").exists()


def test_half_maps_without_motion_are_those_of_all_particles(job, trained):
    still(job)
    assert call("reconstruct", job, "--improved", "--threads", "1") == 0
    particles = read_particles(trained.parent / "set" / "particles.star")
    plain = reconstruct(particles, torch.arange(150), padding=1.5)
    for number, volume in ((1, plain.first), (2, plain.second)):
        written = read_volume(job / "volumes" / f"improved_half{number}.mrc")
        assert torch.equal(written.density, volume.density)


def test_motion_is_followed_and_judged(job, capsys, monkeypatch):
    monkeypatch.setattr(TrainedModel, "decode", slide)
    np.save(job / "latents.npy", np.linspace(-1, 1, 150, dtype=np.float32)[:, None])
    assert call("reconstruct", job, "--improved", "--threads", "1") == 0
    said = capsys.readouterr().out
    # The latents are not the particles' own, so carrying back cannot help.
    assert "improved: did not help; use the consensus: inside what moves" in said
    columns = read_csv(job / "volumes" / "fsc" / "improved_moving.csv")
    assert list(columns) == ["shell", "frequency", "before", "after"]
    assert len(columns["before"]) == 13
    assert read_volume_list(job / "volumes")["improved"].particles == 150
    for name in ("improved.mrc", "improved_half1.mrc", "improved_half2.mrc", "fsc/improved.csv"):
        assert (job / "volumes" / name).is_file()


def test_no_clusters_are_needed_but_a_model_is(job, capsys):
    (job / "model.safetensors").unlink()
    assert call("reconstruct", job, "--improved") == 2
    assert "model.safetensors is missing" in capsys.readouterr().err


def test_latents_of_another_model_are_refused(job, capsys):
    np.save(job / "latents.npy", np.zeros((150, 2), np.float32))
    assert call("reconstruct", job, "--improved") == 2
    assert "latents.npy: latents must be rows of 1" in capsys.readouterr().err
