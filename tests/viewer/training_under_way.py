"""A job whose training goes on: states of epochs that were never trained."""

from dataclasses import dataclass

import numpy as np
import torch

from cryomix.files.checkpoint import write_array
from cryomix.files.job import JobFolder
from cryomix.files.run_record import write_run_record
from cryomix.files.training import write_model, write_state
from cryomix.fitting.heterogeneity import Epoch, TrainingState
from cryomix.fitting.trained_model import ModelSettings, TrainedModel
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.noise import Spectrum

PARTICLES = 500
SETTINGS = ModelSettings(24, 8.0, 20.0, 4.0, 3, 8, "snr", ("centers",), "shared")


@dataclass
class TrainingUnderWay:
    """A job folder, and the training that writes into it epoch by epoch."""

    job: JobFolder
    model: TrainedModel
    history: tuple[Epoch, ...] = ()

    def end_epoch(self, turn: float = 0.0, decays: int = 0) -> np.ndarray:
        """Move the decoder and the latents on, and write the state as `cryomix train` does.

        `turn` is an angle about the last latent. The latents come back.
        """
        number = len(self.history) + 1
        with torch.no_grad():
            for weight in self.model.decoder.parameters():
                weight.add_(0.1 * torch.randn(weight.shape, generator=seeded(number)))
        scores = (0.5 * number, 0.4 * number)
        self.history = (*self.history, Epoch(number, *scores, 5e-4))
        latent = number * self.latents(turn)
        tensors = {f"model.{name}": value for name, value in self.model.tensors().items()}
        tensors |= {"latent": torch.from_numpy(latent), "held_out": torch.arange(PARTICLES) < 40}
        state = TrainingState(tensors, self.history, decays, scores[1])
        write_state(self.job.training_state, state, SETTINGS)
        return latent

    def end(self) -> np.ndarray:
        """Write what `cryomix train` writes at its end, in its order; the latents come back."""
        latent = 10 * self.latents(0.0)
        write_array(self.job.latents, latent)
        write_array(self.job.latent_std, np.full_like(latent, 0.1))
        write_model(self.job.model, self.model)
        self.job.training_state.unlink()
        self.job.checkpoints.rmdir()
        return latent

    def latents(self, turn: float) -> np.ndarray:
        spread = np.random.default_rng(1).normal(size=(PARTICLES, 3)) * [1, 0.5, 0.2]
        about = [[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
        return (spread @ np.array(about)).astype(np.float32)


def begin_training(folder: JobFolder) -> TrainingUnderWay:
    """A job of `cryomix train --epochs 4` that has not done an epoch yet."""
    folder.path.mkdir()
    options = {"particles": "a.star", "epochs": 4}
    write_run_record(folder.run_record, "train", options, [], 0, "cpu")
    center = 20 * torch.randn(60, 3, generator=seeded(0))
    neutral = GaussianModel(center, torch.full((60,), 0.5), torch.full((60,), 4.0))
    rings = torch.ones(SETTINGS.grid.n_rings)
    spectrum = Spectrum(rings, rings, rings, torch.ones(()))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TrainingUnderWay(folder, TrainedModel(SETTINGS, neutral, spectrum))


def seeded(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)
