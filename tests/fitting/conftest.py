"""A small molecule with a moving arm, seen in a few hundred particles."""

from dataclasses import dataclass

import pytest
import torch

from cryomix.fitting.heterogeneity import build_model
from cryomix.fitting.preparation import PreparedParticles
from cryomix.fitting.trained_model import TrainedModel
from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import random_poses
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.particles import Particles
from cryomix.options import TrainingOptions

RESOLUTION = 10.0
BASE_WIDTH = 3.0


@dataclass(frozen=True)
class MovingArm:
    """Particles, the neutral model, and where along its way the arm of each particle is."""

    particles: Particles
    neutral: GaussianModel
    coordinate: torch.Tensor


@pytest.fixture
def options() -> TrainingOptions:
    return TrainingOptions(latent_size=1, hidden=32, epochs=4, batch_size=32, seed=3)


@pytest.fixture
def arm(make_particles) -> MovingArm:
    """A body of five Gaussians and an arm of one, moving 16 Å along x."""
    generator = torch.Generator().manual_seed(5)
    count = 240
    body = torch.tensor([[0.0, -12, 0], [8, -6, 4], [-9, 1, -5], [3, 5, 9], [-4, -5, -10]])
    coordinate = torch.rand(count, generator=generator) * 2 - 1
    tip = torch.stack([8 * coordinate, torch.full((count,), 16.0), torch.zeros(count)], dim=-1)
    centers = torch.cat([body.expand(count, 5, 3), tip[:, None]], dim=1)
    ones = torch.full((count, 6), 0.5)
    models = GaussianModel(centers, ones, 3.0 * torch.ones(count, 6))
    poses = random_poses(count, generator)
    particles = make_particles(models, poses, FourierGrid(32, 2.5), noise=1.5)
    neutral = GaussianModel(
        torch.cat([body, torch.tensor([[0.0, 16.0, 0.0]])]), ones[0], 3.0 * torch.ones(6)
    )
    return MovingArm(particles, neutral, coordinate)


@pytest.fixture
def untrained(arm: MovingArm, options: TrainingOptions) -> TrainedModel:
    return build_model(arm.particles, arm.neutral, BASE_WIDTH, RESOLUTION, options)


@pytest.fixture
def prepared(arm: MovingArm, untrained: TrainedModel) -> PreparedParticles:
    return PreparedParticles(arm.particles, untrained.decoder, untrained.metric, memory_bytes=1e9)
