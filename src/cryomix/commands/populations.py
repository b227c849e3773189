"""Populations along the main path and over the principal plane: found, written, read back."""

from typing import TYPE_CHECKING

from cryomix.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

    from cryomix.files.job import JobFolder
    from cryomix.imaging.gaussians import GaussianModel
    from cryomix.latent.density import PlaneDensity
    from cryomix.latent.populations import PathPopulation
    from cryomix.options import AnalysisOptions
    from cryomix.report.content import Populations

LEAST_PARTICLES = 100
_LEAST_MOTION = 0.1  # Å along the whole path; below, nothing moves that a path could be long by
_COLUMNS = (
    "length", "share", "share_low", "share_high", "free_energy_kt", "free_energy_low_kt",
    "free_energy_high_kt", "counted", "particle_error",
)  # fmt: skip


def populate_into(
    job: "JobFolder",
    latent: "Tensor",
    inside: "Tensor",
    *,
    is_closed: bool,
    options: "AnalysisOptions",
) -> list[str]:
    """Find the populations of `job`, write them, and say in a few lines what was done.

    Those along the path are of the particles `inside`, the density is of all.
    """
    import torch

    from cryomix.commands.progress import say
    from cryomix.commands.states import require_covariance
    from cryomix.files.checkpoint import write_array
    from cryomix.files.training import read_model
    from cryomix.latent.density import estimate_density
    from cryomix.latent.populations import populate_path
    from cryomix.latent.reduction import fit_pca

    if (count := int(inside.sum())) < LEAST_PARTICLES:
        return [f"no populations, which need {LEAST_PARTICLES} particles, got {count}"]
    covariance = torch.from_numpy(require_covariance(job, latent.numpy()))
    lines = []
    if not job.latent_covariance.is_file():
        lines = [f"{job.path}: without latent_covariance.npy, errors of latents count axis by axis"]
    say("finding populations")
    found = populate_path(
        latent[inside],
        covariance[inside],
        is_closed=is_closed,
        draws=options.bootstrap,
        seed=options.seed,
    )
    models = read_model(job.model).decode(found.outline)
    write_array(job.population_path, found.path.numpy())
    write_array(job.population_draws, found.draws.numpy())
    _write_table(job, found, models)
    job.density.unlink(missing_ok=True)
    if latent.shape[1] > 1:
        plane = estimate_density(covariance, fit_pca(latent))
        x, y = torch.meshgrid(plane.x, plane.y, indexing="xy")
        write_array(job.density, torch.stack([x, y, plane.density], dim=2).numpy())
    return lines


def read_populations(job: "JobFolder", states: "Tensor | None") -> "Populations | None":
    """The populations of `job`, or None if it has none.

    Parameters
    ----------
    job
        Analyzed, maybe before there were populations.
    states
        (steps, latent) latents of the states that the report shows along the same path.
    """
    import torch

    from cryomix.files.checkpoint import read_array, read_csv
    from cryomix.latent.populations import middles
    from cryomix.report.content import Populations

    files = (job.populations, job.population_path, job.population_draws)
    if not all(file.is_file() for file in files):
        return None
    table = {name: torch.from_numpy(column) for name, column in read_csv(job.populations).items()}
    in_angstrom = "distance" in table
    draws, path = (torch.from_numpy(read_array(file)).double() for file in files[:0:-1])
    if len(draws.mT) != len(table["share"]):
        raise CheckpointError(f"{job.populations}: must be of the same analysis as {files[2].name}")
    near = None if states is None else torch.cdist(middles(path), states.double()).argmin(dim=1)
    return Populations(
        distance=table["distance" if in_angstrom else "latent_distance"],
        draws=draws,
        state=near,
        unit="Å" if in_angstrom else "latent units",
        is_closed=(job.trajectories / "loop.npy").is_file(),
        **{name: table[name] for name in _COLUMNS},
    )


def read_density(job: "JobFolder") -> "PlaneDensity | None":
    """The density over the principal plane, or None if the job has none."""
    import torch

    from cryomix.files.checkpoint import read_array
    from cryomix.latent.density import PlaneDensity

    if not job.density.is_file():
        return None
    x, y, density = torch.from_numpy(read_array(job.density)).unbind(dim=2)
    return PlaneDensity(x[0], y[:, 0], density)


def _write_table(job: "JobFolder", found: "PathPopulation", models: "GaussianModel") -> None:
    """One row per stretch; `models` are those of the path's outline."""
    import torch

    from cryomix.files.checkpoint import write_csv
    from cryomix.latent.motion import displacement_along
    from cryomix.latent.populations import (
        POINTS,
        STRETCHES,
        free_energy,
        middles,
        stretch_lengths,
    )

    position, name = displacement_along(models).double(), "distance"
    if float(position[-1]) < _LEAST_MOTION:
        step = found.outline.double().diff(dim=0).norm(dim=1)
        position, name = torch.cat([step.new_zeros(1), step.cumsum(0)]), "latent_distance"
    length = stretch_lengths(position)
    energy, drawn = (
        free_energy(share.double(), length, found.particles) for share in (found.share, found.draws)
    )
    bottom = energy.min()
    columns = (
        middles(position), length, found.share, *_interval(found.draws.double()), energy - bottom,
        *_interval(drawn - bottom), found.counted,
        found.particle_error * length * STRETCHES / POINTS,
    )  # fmt: skip
    write_csv(job.populations, (name, *_COLUMNS), torch.stack(columns, dim=1).tolist())


def _interval(draws: "Tensor") -> "tuple[Tensor, Tensor]":
    """Between these lie 95 % of the draws."""
    low, high = draws.quantile(draws.new_tensor([0.025, 0.975]), dim=0)
    return low, high
