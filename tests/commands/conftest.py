"""A job whose decoder is known: it turns an arm about a hinge."""

from types import SimpleNamespace

import numpy as np
import pytest
from turning_arms import BOX, ORIGIN, VOXEL, TurningArm

from cryomix.files.checkpoint import write_gaussians
from cryomix.files.job import JobFolder
from cryomix.files.mrc import write_volume
from cryomix.files.run_record import write_run_record
from cryomix.imaging.gaussians import render_volume
from cryomix.imaging.volume import Volume


@pytest.fixture
def turning_arm() -> TurningArm:
    """The decoder of `turning_job`."""
    return TurningArm(SimpleNamespace(latent_size=2))


@pytest.fixture
def turning_job(tmp_path, monkeypatch, turning_arm) -> JobFolder:
    """Particles in two clusters, at -0.6 and +0.6 rad, and a path `turn` from one to the other."""
    job = JobFolder(tmp_path / "job")
    job.trajectories.mkdir(parents=True)
    latent = np.zeros((40, 2), np.float32)
    latent[:, 0] = np.repeat([-0.6, 0.6], 20) + np.tile([-0.01, 0.01], 20)
    np.save(job.latents, latent)
    np.save(job.clusters, np.repeat([0, 1], 20))
    np.save(job.trajectories / "turn.npy", np.stack([np.linspace(-0.6, 0.6, 5), np.zeros(5)], 1))
    write_run_record(job.run_record, "train", {}, [], 0, "cpu")
    write_gaussians(job.neutral_model, turning_arm.neutral)
    density = render_volume(turning_arm.neutral, BOX, VOXEL).density
    write_volume(job.neutral_map, Volume(density, VOXEL, ORIGIN))
    job.model.write_bytes(b"in its place stands an arm")
    monkeypatch.setattr("cryomix.files.training.read_model", lambda path: turning_arm)
    return job
