"""A job whose decoder is known: it turns an arm about a hinge."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cryomix.files.checkpoint import write_gaussians
from cryomix.files.job import JobFolder
from cryomix.files.mrc import write_volume
from cryomix.files.run_record import write_run_record
from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.volume import Volume

ORIGIN = (-31.5, 12.0, 40.25)  # of voxel (0, 0, 0) of the maps, Å
VOXEL, BOX = 4.0, 32
HINGE = torch.tensor([6.0, 0.0, 0.0])


def _ball(count: int, middle: float, seed: int) -> torch.Tensor:
    point = torch.randn(4 * count, 3, generator=torch.Generator().manual_seed(seed))
    return 14 * point[point.norm(dim=1) < 1.3][:count] + torch.tensor([middle, 0.0, 0.0])


@dataclass
class TurningArm:
    """A core, and an arm that latent 1 turns about z through the hinge, in rad; latent 2 fades it.

    The first 80 Gaussians are the core, the others the arm.
    """

    settings: SimpleNamespace

    @property
    def neutral(self) -> GaussianModel:
        center = torch.cat([_ball(80, -14.0, 0), _ball(80, 26.0, 1)])
        amplitude = torch.linspace(0.2, 0.9, len(center))
        return GaussianModel(center, amplitude, torch.full_like(amplitude, 4.5))

    def decode(self, latent: torch.Tensor) -> GaussianModel:
        neutral = self.neutral
        zero, one = torch.zeros(len(latent)), torch.ones(len(latent))
        cos, sin = latent[:, 0].cos(), latent[:, 0].sin()
        turn = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], dim=1)
        arm = (neutral.center[80:] - HINGE) @ turn.reshape(-1, 3, 3).mT + HINGE
        core = neutral.center[:80].expand(len(latent), -1, -1)
        kept = (1 - latent[:, 1:]) * neutral.amplitude[80:]
        amplitude = torch.cat([neutral.amplitude[:80].expand(len(latent), -1), kept], dim=1)
        width = neutral.width.expand(len(latent), -1)
        return GaussianModel(torch.cat([core, arm], dim=1), amplitude, width)


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
