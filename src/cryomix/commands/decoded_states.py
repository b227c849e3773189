"""Gaussian models of the states that a user asks for, in the frame of the job's maps."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryomix.errors import CheckpointError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from cryomix.files.job import JobFolder
    from cryomix.imaging.gaussians import GaussianModel
    from cryomix.imaging.map_frame import MapFrame
    from cryomix.options import StatesOptions


@dataclass(frozen=True, slots=True)
class DecodedStates:
    """Models of some states.

    Attributes
    ----------
    source
        What the states are, in a word: the name of a path, `clusters`, or `neutral`.
    map_names
        How `reconstruct` names their maps; None where it makes none.
    models
        One per state.
    frame
        Of the job's maps.
    """

    source: str
    map_names: tuple[str, ...] | None
    models: "GaussianModel"
    frame: "MapFrame"

    def __len__(self) -> int:
        """Number of states."""
        return len(self.models.center)


def decode_states(job: "JobFolder", options: "StatesOptions") -> DecodedStates:
    """The models that `options` ask for: along a path, at latents, of clusters, or the neutral one.

    Raises
    ------
    CheckpointError
        If the job lacks the path, the clusters or the model, or latents do not fit it.
    """
    import torch

    from cryomix.files.job import find_trajectory
    from cryomix.files.mrc import read_volume
    from cryomix.files.training import read_latents, read_model
    from cryomix.imaging.gaussians import GaussianModel
    from cryomix.imaging.map_frame import frame_of

    _require(job, "neutral_map")
    frame = frame_of(read_volume(job.neutral_map))
    if options.along is None and options.at is None and not options.clusters:
        return DecodedStates("neutral", None, _alone(decode_neutral(job)), frame)
    _require(job, "model")
    model = read_model(job.model)
    if options.clusters:
        latent = _cluster_centers(job)
        source, names = "clusters", [f"cluster{number + 1:02d}" for number in range(len(latent))]
    else:
        file = find_trajectory(job, options.along) if options.along else Path(options.at or "")
        latent = read_latents(file, model.settings.latent_size)
        source, names = file.stem, [f"{file.stem}{number + 1:03d}" for number in range(len(latent))]
    rows = [model.decode(row[None])[0] for row in torch.from_numpy(latent)]
    models = GaussianModel(*(torch.stack([getattr(row, name) for row in rows]) for name in _FIELDS))
    return DecodedStates(source, tuple(names), models, frame)


def decode_neutral(job: "JobFolder") -> "GaussianModel":
    """The neutral structure, to which latent 0 is decoded."""
    from cryomix.files.checkpoint import read_gaussians

    _require(job, "neutral_model")
    return read_gaussians(job.neutral_model)


def _require(job: "JobFolder", *needs: str) -> None:
    from cryomix.files.job import open_job

    open_job(job.path, needs=needs)


def _alone(model: "GaussianModel") -> "GaussianModel":
    from cryomix.imaging.gaussians import GaussianModel

    return GaussianModel(*(getattr(model, name)[None] for name in _FIELDS))


def _cluster_centers(job: "JobFolder") -> "Float[np.ndarray, 'clusters latent']":
    import numpy as np

    from cryomix.files.checkpoint import read_array

    _require(job, "latents", "clusters")
    latent, label = read_array(job.latents), read_array(job.clusters)
    if label.shape != latent.shape[:1] or label.dtype.kind not in "iu":
        raise CheckpointError(
            f"{job.clusters}: must hold a number for each of {len(latent)} particles, got "
            f"{label.dtype} of shape {label.shape}"
        )
    centers: np.ndarray = np.stack(
        [latent[label == number].mean(axis=0) for number in np.unique(label)]
    )
    return centers.astype(np.float32)


_FIELDS = ("center", "amplitude", "width")
