"""A job of two domains that turn about axes that are known, one per latent."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from cryomix.files.checkpoint import write_array
from cryomix.files.domain_motions import write_domain_motions
from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.localized_path import DomainMotion
from cryomix.latent.screw_motion import ScrewMotion

GAUSSIANS = 100
PARTS = {"arm": slice(40, 70), "foot": slice(70, 100), "rest": slice(0, 40)}
AXIS = {"arm": np.array([2.0, -1, 2]) / 3, "foot": np.array([0.0, 0, 1])}
HINGE = {"arm": np.array([12.0, 4, -3]), "foot": np.array([-11.0, 0, 0])}
SHIFT = {"arm": 5.0, "foot": 0.0}  # Å along the axis per radian


@dataclass
class Hinged:
    """Latents 1 and 2 turn arm and foot, in radians; latent 3 lets each Gaussian of both stray."""

    settings: SimpleNamespace
    decoder: SimpleNamespace
    stray: np.ndarray

    def decode(self, latent: torch.Tensor) -> GaussianModel:
        still = self.decoder.neutral
        center = torch.from_numpy(np.stack([self._place(one) for one in latent.double().numpy()]))
        count = (len(latent), len(still))
        fading = 1 - 0.3 * latent[:, :1].abs().clamp(max=1)
        parts = (still.amplitude.expand(count) * fading, still.width.expand(count))
        return GaussianModel(center.float(), *parts)

    def _place(self, latent):
        place = self.decoder.neutral.center.double().numpy().copy()
        for (name, axis), angle in zip(AXIS.items(), latent, strict=False):
            part = PARTS[name]
            turn, hinge = Rotation.from_rotvec(angle * axis), HINGE[name]
            place[part] = turn.apply(place[part] - hinge) + hinge + angle * SHIFT[name] * axis
            place[part] += latent[2] * self.stray[part]
        return place


def make_hinged() -> Hinged:
    generator = np.random.default_rng(0)
    middle = np.repeat([[0, 0, 0], [35, 0, 0], [-30, 10, 0]], [40, 30, 30], axis=0)
    place = torch.from_numpy(middle + 6 * generator.normal(size=(GAUSSIANS, 3))).float()
    amplitude = torch.from_numpy(generator.uniform(0.6, 1, GAUSSIANS)).float()
    neutral = GaussianModel(place, amplitude, torch.full((GAUSSIANS,), 4.0))
    settings = SimpleNamespace(latent_size=3, grid=SimpleNamespace(box_length=200.0))
    stray = generator.normal(size=(GAUSSIANS, 3))
    return Hinged(settings, SimpleNamespace(neutral=neutral), stray)


def members(name):
    """Which Gaussians are in a domain."""
    chosen = np.zeros(GAUSSIANS, bool)
    chosen[PARTS[name]] = True
    return chosen


def write_domains(job):
    """What `cryomix analyze --domain` says of arm and foot, as far as the explorer reads it."""
    nothing = torch.zeros(3, dtype=torch.float64)
    rigid = ScrewMotion(0.0, 0.0, nothing, 0.0, nothing, 0.0, 0.0, 0.0, 1.0)
    motions = [DomainMotion(name, 30, 0.0, 0.0, 1.0, rigid) for name in AXIS]
    write_domain_motions(job.domain_motions, motions)
    for name in AXIS:
        write_array(job.domain_members(name), members(name))
