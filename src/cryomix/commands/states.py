"""Maps of states at latents from all particles: kernels chosen from the data, then the maps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryomix.errors import CheckpointError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from cryomix.files.job import JobFolder
    from cryomix.imaging.particles import Particles
    from cryomix.reconstruction.resolution import HalfMaps

_AT_ONCE = 32  # states whose maps are held at once


@dataclass(frozen=True, slots=True)
class StateMap:
    """The map of one state.

    Attributes
    ----------
    halves
        Unfiltered.
    effective
        Number of particles that it is worth, in each shell.
    is_weighted
        Whether particles count differently.
    """

    halves: "HalfMaps"
    effective: "Tensor"
    is_weighted: bool


def rebuild_states(
    job: "JobFolder",
    particles: "Particles",
    latent: "np.ndarray",
    points: "np.ndarray",
    padding: float,
) -> Iterator[StateMap]:
    """A map at each of `points`, from all particles, each weighted by how near its latent is.

    Of many processes only the first gets maps; all must ask for them to the end.
    """
    import torch

    from cryomix.commands.progress import counting
    from cryomix.latent.kernel import fit_kernel, kernel_sizes
    from cryomix.reconstruction.states import choose_kernels, reconstruct_states

    covariance = require_covariance(job, latent)
    kernel = fit_kernel(torch.from_numpy(latent), torch.from_numpy(covariance))
    point = torch.from_numpy(points)
    fits = [kernel.fit_sizes(row, kernel_sizes(len(particles))) for row in point]
    sharpness = torch.stack([fit.sharpness for fit in fits])
    effective = torch.stack([fit.effective for fit in fits])

    def distance(state: "Tensor", index: "Tensor") -> "Tensor":
        return kernel.square_distance(point[state], index)

    with counting("particles inserted to choose kernels") as report:
        chosen = choose_kernels(particles, distance, sharpness, padding=padding, report=report)
    for part in torch.arange(len(point)).split(_AT_ONCE):
        with counting(f"states {int(part[0]) + 1} to {int(part[-1]) + 1}: inserted") as report:
            maps = reconstruct_states(
                particles, distance, part, sharpness[part][:, chosen],
                padding=padding, report=report,
            )  # fmt: skip
        for number, halves in zip(part.tolist(), maps, strict=False):
            yield StateMap(halves, effective[number, chosen], is_weighted=True)


def require_covariance(job: "JobFolder", latent: "np.ndarray") -> "np.ndarray":
    """As `read_covariance`, of a job that must say."""
    covariance = read_covariance(job, latent)
    if covariance is None:
        raise CheckpointError(f"{job.path}: not a job that can be used: latent_std.npy is missing")
    return covariance


def read_covariance(job: "JobFolder", latent: "np.ndarray") -> "np.ndarray | None":
    """Covariance of the error of each latent; None where the job does not say.

    Errors of different axes go together; their standard deviations alone do not say how, and
    are taken only where there is nothing else.
    """
    from cryomix.evaluation.calibration import as_covariance, require_spread
    from cryomix.files.checkpoint import read_array

    whole = job.latent_covariance
    source = whole if whole.is_file() else job.latent_std
    if not source.is_file():
        return None
    spread = read_array(source)
    require_spread(str(source), spread, latent)
    return spread if spread.ndim == 3 else as_covariance(spread)
