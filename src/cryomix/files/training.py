"""Trained models, and the states from which a training goes on."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from cryomix.errors import CheckpointError
from cryomix.files.checkpoint import (
    read_array,
    read_csv,
    read_number_rows,
    read_tensors,
    write_array,
    write_csv,
    write_tensors,
)
from cryomix.files.job import JobFolder
from cryomix.files.particle_file import write_latents
from cryomix.fitting.descent import part_of
from cryomix.fitting.heterogeneity import Epoch, TrainingState
from cryomix.fitting.posterior import LatentPosterior
from cryomix.fitting.trained_model import ModelSettings, TrainedModel, restore_model


def write_model(path: Path, model: TrainedModel) -> None:
    """Write networks, neutral model, spectrum and settings."""
    write_tensors(path, model.tensors(), {"settings": json.dumps(asdict(model.settings))})


def read_model(path: Path) -> TrainedModel:
    """A trained model.

    Raises
    ------
    CheckpointError
        If the file is missing, or is no trained model.
    """
    return _restore(path, *read_tensors(path))


def _restore(path: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str]) -> TrainedModel:
    try:
        told = json.loads(metadata["settings"])
        settings = ModelSettings(**{**told, "vary": tuple(told["vary"])})
        _require_sizes(settings, tensors)
        return restore_model(settings, tensors)
    except KeyError as error:
        raise CheckpointError(f"{path}: not a trained model: it lacks {error}") from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path}: not a trained model: {_first_line(error)}") from error


def _require_sizes(settings: ModelSettings, tensors: Mapping[str, Tensor]) -> None:
    """Refuse sizes that no tensor of the file has, before networks of these sizes are made."""
    edges = {edge for tensor in tensors.values() for edge in tensor.shape}
    for name in ("latent_size", "hidden"):
        if type(getattr(settings, name)) is not int or getattr(settings, name) not in edges - {0}:
            raise ValueError(f"no tensor has {name} {getattr(settings, name)}")
    if type(settings.groups) is not int or not 1 <= settings.groups <= settings.latent_size:
        raise ValueError(f"groups must be 1 to {settings.latent_size}, got {settings.groups}")
    rings = len(tensors["spectrum.gain"])
    if type(settings.box_size) is not int or settings.box_size // 2 + 1 != rings:
        raise ValueError(f"box size {settings.box_size} does not have {rings} rings")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def write_state(path: Path, state: TrainingState, settings: ModelSettings) -> None:
    """Write a state, and the settings of its model, whole or not at all."""
    told = {
        "history": [asdict(epoch) for epoch in state.history],
        "decays": state.decays,
        "best": state.best,
    }
    metadata = {"state": json.dumps(told), "settings": json.dumps(asdict(settings))}
    write_tensors(path, state.tensors, metadata)


def read_state(path: Path) -> TrainingState:
    """The state that was written last.

    Raises
    ------
    CheckpointError
        If the file is missing, or is no state of a training.
    """
    return _state_of(path, *read_tensors(path))


def _state_of(path: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str]) -> TrainingState:
    try:
        told = json.loads(metadata["state"])
        history = tuple(Epoch(**epoch) for epoch in told["history"])
        return TrainingState(tensors, history, int(told["decays"]), float(told["best"]))
    except KeyError as error:
        raise CheckpointError(f"{path}: not a state of a training: it lacks {error}") from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: not a state of a training: {error}") from error


@dataclass(frozen=True, slots=True)
class UnfinishedTraining:
    """What there is to see of a training that goes on, after its last epoch.

    Attributes
    ----------
    model
        The networks as they are now.
    latent
        What the encoder gave each particle as it went by in that epoch.
    held_out
        Which particles only score.
    state
        The scores; without tensors.
    """

    model: TrainedModel
    latent: Float[np.ndarray, "particles latent"]
    held_out: Bool[np.ndarray, "particles"]
    state: TrainingState


def read_unfinished(path: Path) -> UnfinishedTraining | None:
    """What there is to see of a state; None of one that was written before states held latents.

    Raises
    ------
    CheckpointError
        If the file is missing, or is no state of a training.
    """
    tensors, metadata = read_tensors(path, _is_seen)
    state = _state_of(path, {}, metadata)
    if "latent" not in tensors or "settings" not in metadata:
        return None
    model = _restore(path, part_of(tensors, "model."), metadata)
    latent, size = tensors["latent"], model.settings.latent_size
    if latent.ndim != 2 or latent.shape[1] != size or not len(latent):
        raise CheckpointError(f"{path}: latents must be rows of {size}, got {tuple(latent.shape)}")
    if latent.dtype != torch.float32 or not latent.isfinite().all():
        raise CheckpointError(f"{path}: latents must be finite float32, got {latent.dtype}")
    held_out = tensors.get("held_out")
    if held_out is None or held_out.dtype != torch.bool or held_out.shape != latent.shape[:1]:
        raise CheckpointError(f"{path}: it does not say of each particle whether it was held out")
    return UnfinishedTraining(model, latent.numpy(), held_out.numpy(), state)


def _is_seen(name: str) -> bool:
    return name in ("latent", "held_out") or name.startswith("model.")


def read_history(job: JobFolder) -> dict[str, Float[np.ndarray, "epochs"]]:
    """Scores per epoch by name, of a training that has ended or goes on; empty if none began.

    Raises
    ------
    CheckpointError
        If the table or the state cannot be read.
    """
    if job.history.is_file():
        return read_csv(job.history)
    path = job.training_state
    if not path.is_file():
        return {}
    # Without the tensors, which may be hundreds of MB: pages ask for it again and again.
    _, metadata = read_tensors(path, lambda _: False)
    history = _state_of(path, {}, metadata).history
    if not history:
        return {}
    return {
        field.name: np.array([float(getattr(epoch, field.name)) for epoch in history])
        for field in fields(Epoch)
    }


def write_training(
    job: JobFolder,
    source: Path,
    rows: Int64[Tensor, "particles"],
    model: TrainedModel,
    found: LatentPosterior,
    history: Sequence[Epoch],
) -> None:
    """Write what a training found, then drop its states.

    Parameters
    ----------
    job
        Where to.
    source, rows
        The user's particles, and those of its rows that the latents are added to.
    model, found, history
        The networks, the latents of all particles, and the scores per epoch.
    """
    write_array(job.latents, found.latent.numpy())
    write_array(job.latent_std, found.std.numpy())
    write_array(job.latent_covariance, found.covariance.numpy())
    write_array(job.image_score, found.score.numpy())
    if bool(found.information.isfinite().all()):
        write_array(job.information, found.information.numpy())
        write_array(job.informative, found.informative.numpy())
    write_latents(source, job.particles(source), found.latent.numpy(), rows=rows.numpy())
    write_csv(job.history, [field.name for field in fields(Epoch)], map(astuple, history))
    write_model(job.model, model)
    shutil.rmtree(job.checkpoints, ignore_errors=True)


def read_latents(path: Path, latent_size: int) -> Float[np.ndarray, "rows latent"]:
    """Latents, one per row, float32; of a .npy file, or a .csv table of which row 1 may be names.

    Raises
    ------
    CheckpointError
        If the file is missing, no array of numbers, of another size, or not finite.
    """
    values = read_number_rows(path) if path.suffix == ".csv" else read_array(path)
    if values.ndim != 2 or values.shape[1] != latent_size or not len(values):
        raise CheckpointError(
            f"{path}: latents must be rows of {latent_size}, got an array of shape {values.shape}"
        )
    if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise CheckpointError(f"{path}: latents must be finite numbers")
    return values.astype(np.float32)


def read_informative(job: JobFolder, particles: int) -> Bool[np.ndarray, "particles"] | None:
    """Whether each particle sees the motion; None in a job that does not say.

    Raises
    ------
    CheckpointError
        If the file does not hold true or false for each particle.
    """
    file = job.informative
    if not file.is_file():
        return None
    informative = read_array(file)
    if informative.shape != (particles,) or informative.dtype.kind != "b":
        raise CheckpointError(
            f"{file}: must hold true or false for each of {particles} particles, got "
            f"{informative.dtype} of shape {informative.shape}"
        )
    return informative
