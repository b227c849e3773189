"""A domain that the map does not show is found from the particles, once, and kept in the job."""

import numpy as np
import pytest
import torch

from cryomix import cli
from cryomix.files import training
from cryomix.files.checkpoint import read_array, read_gaussians, read_tensors, write_gaussians
from cryomix.files.mrc import read_volume
from cryomix.imaging.gaussians import render_volume, select_inside

SYSTEM = ["--particles", "300", "--box", "24", "--pixel-size", "8", "--snr", "1", "--seed", "3"]
QUICK = ["--latent-dim", "1", "--epochs", "2", "--hidden", "16", "--threads", "1"]
QUICK += ["--batch-size", "32", "--posterior-steps", "0"]


def call(*arguments):
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """Particles, the whole neutral model, and in `lacking` that without the moving domain."""
    folder = tmp_path_factory.mktemp("growth")
    assert call("simulate", "linear", "-o", folder / "set", *SYSTEM) == 0
    neutral = ["neutral", folder / "set" / "consensus.mrc", "-o", folder / "whole"]
    assert call(*neutral, "--steps", "40", "--gaussians", "64", "--threads", "1") == 0
    whole = read_gaussians(folder / "whole" / "gaussians.safetensors")
    _, metadata = read_tensors(folder / "whole" / "gaussians.safetensors")
    still = ~select_inside(whole, read_volume(folder / "set" / "mask.mrc"))
    assert 20 < int(still.sum()) < 55
    write_gaussians(folder / "lacking" / "gaussians.safetensors", whole.subset(still), metadata)
    return folder


def train_arguments(folder, neutral, job, *more):
    particles = folder / "set" / "particles.star"
    return ["train", particles, "--neutral", folder / neutral, "-o", job, *QUICK, *more]


@pytest.fixture(scope="module")
def job(simulated):
    job = simulated / "job"
    assert call(*train_arguments(simulated, "lacking", job)) == 0
    return job


def test_gaussians_are_added_where_the_domain_is(job, simulated):
    before = read_gaussians(simulated / "lacking" / "gaussians.safetensors")
    after = read_gaussians(job / "neutral" / "gaussians.safetensors")
    added = len(after) - len(before)
    assert added > 3
    assert torch.equal(after.center[: len(before)], before.center)
    new = after.subset(torch.arange(len(before), len(after)))
    mass = new.amplitude * new.width**3
    inside = select_inside(new, read_volume(simulated / "set" / "mask.mrc"))
    assert float(mass[inside].sum() / mass.sum()) > 0.8
    _, metadata = read_tensors(job / "neutral" / "gaussians.safetensors")
    assert metadata["added"] == str(added)


def test_the_job_describes_the_model_that_was_used(job):
    after = read_gaussians(job / "neutral" / "gaussians.safetensors")
    tensors, _ = read_tensors(job / "model.safetensors")
    assert any(values.shape == after.center.shape for values in tensors.values())
    shown = read_volume(job / "neutral" / "neutral.mrc").density
    torch.testing.assert_close(shown, render_volume(after, 24, 8.0).density)


def test_the_motion_is_recovered(job, simulated):
    truth = np.load(simulated / "set" / "truth.npz")["t"]

    def recovered(folder):
        return abs(np.corrcoef(read_array(folder / "latents.npy")[:, 0], truth)[0, 1])

    plain = simulated / "plain"
    assert call(*train_arguments(simulated, "lacking", plain, "--no-grow")) == 0
    before = read_gaussians(simulated / "lacking" / "gaussians.safetensors")
    assert len(read_gaussians(plain / "neutral" / "gaussians.safetensors")) == len(before)
    assert recovered(job) > 0.7
    assert recovered(job) > recovered(plain) + 0.1


def test_a_complete_model_stays_as_it_is(simulated, capsys):
    job = simulated / "complete"
    assert call(*train_arguments(simulated, "whole", job)) == 0
    assert "no density over 5 % that the neutral model lacks" in capsys.readouterr().err
    before = read_gaussians(simulated / "whole" / "gaussians.safetensors")
    after = read_gaussians(job / "neutral" / "gaussians.safetensors")
    for name in ("center", "amplitude", "width"):
        assert torch.equal(getattr(after, name), getattr(before, name))


@pytest.mark.parametrize("epochs", [0, 1])
def test_a_job_that_goes_on_ends_the_same(job, simulated, tmp_path, monkeypatch, capsys, epochs):
    """Also where the model had grown but no epoch was done."""
    write_state = training.write_state

    def stop(*arguments):
        if epochs:
            write_state(*arguments)
        raise KeyboardInterrupt

    again = tmp_path / "job"
    monkeypatch.setattr(training, "write_state", stop)
    assert call(*train_arguments(simulated, "lacking", again)) == 130
    assert "Gaussians added" in capsys.readouterr().err
    monkeypatch.undo()
    assert call(*train_arguments(simulated, "lacking", again, "--resume")) == 0
    assert "Gaussians added" not in capsys.readouterr().err
    for name in ("latents.npy", "history.csv", "neutral/gaussians.safetensors"):
        assert (again / name).read_bytes() == (job / name).read_bytes()
