"""The job folder: where each result of a run lies."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryomix.errors import CheckpointError, OutputError
from cryomix.files.atomic import cannot_write, remove_partial_files
from cryomix.files.particle_file import written_suffix

# RELION puts these into the folder of an External job before the job begins.
_RELION_FILES = frozenset(
    {
        "job.star",
        "job_pipeline.star",
        "continue_job.star",
        "default_pipeline.star",
        "note.txt",
        "run.out",
        "run.err",
        "run.job",
        "run_submit.script",
    }
)


@dataclass(frozen=True, slots=True)
class JobFolder:
    """Paths inside one job; none of them need exist."""

    path: Path

    @property
    def run_record(self) -> Path:
        """What was run."""
        return self.path / "run.toml"

    @property
    def neutral_model(self) -> Path:
        """The Gaussians of the neutral structure."""
        return self.path / "neutral" / "gaussians.safetensors"

    @property
    def neutral_map(self) -> Path:
        """Their density."""
        return self.path / "neutral" / "neutral.mrc"

    @property
    def neutral_frc(self) -> Path:
        """How well they fit, ring by ring."""
        return self.path / "neutral" / "frc.csv"

    @property
    def model(self) -> Path:
        """The trained networks."""
        return self.path / "model.safetensors"

    @property
    def checkpoints(self) -> Path:
        """Folder of the states of a training that is under way."""
        return self.path / "checkpoints"

    @property
    def training_state(self) -> Path:
        """The state after the last epoch."""
        return self.checkpoints / "state.safetensors"

    @property
    def latents(self) -> Path:
        """Latent of each particle, rows in the order of the input."""
        return self.path / "latents.npy"

    @property
    def information(self) -> Path:
        """(particles,) float32: what each image tells of its latent, nats."""
        return self.path / "information.npy"

    @property
    def informative(self) -> Path:
        """(particles,) bool: whether that is at least one nat."""
        return self.path / "informative.npy"

    @property
    def image_score(self) -> Path:
        """(particles,) float32: how well the model at its latent explains each image."""
        return self.path / "image_score.npy"

    @property
    def latent_covariance(self) -> Path:
        """Covariance of the error of each particle's latent."""
        return self.path / "latent_covariance.npy"

    @property
    def latent_std(self) -> Path:
        """Its uncertainty."""
        return self.path / "latent_std.npy"

    def particles(self, source: Path) -> Path:
        """The user's rows with latents and clusters, in a file of the kind of `source`."""
        return self.path / f"particles{written_suffix(source)}"

    def selection(self, source: Path) -> Path:
        """Particles of a job that goes on from some of those of another, which `source` holds."""
        return self.path / f"selection{written_suffix(source)}"

    def expanded(self, source: Path) -> Path:
        """The rows of `source`, one for each copy of a particle under the symmetry, if any."""
        return self.path / f"expanded{written_suffix(source)}"

    @property
    def history(self) -> Path:
        """Score per epoch."""
        return self.path / "history.csv"

    @property
    def reproducibility(self) -> Path:
        """What the jobs of two halves of the particles, which lie in this folder, both found."""
        return self.path / "reproducibility.json"

    @property
    def analysis(self) -> Path:
        """Folder of what the latent space was found to hold."""
        return self.path / "analysis"

    @property
    def pca(self) -> Path:
        """Principal components of the latents."""
        return self.analysis / "pca.npy"

    @property
    def umap(self) -> Path:
        """Two-dimensional picture of the latents."""
        return self.analysis / "umap.npy"

    @property
    def clusters(self) -> Path:
        """Cluster of each particle."""
        return self.analysis / "clusters.npy"

    @property
    def groups(self) -> Path:
        """Region of the latent space, with a gap around it, of each particle."""
        return self.analysis / "groups.npy"

    @property
    def trajectories(self) -> Path:
        """Folder of paths through the latent space."""
        return self.analysis / "trajectories"

    @property
    def populations(self) -> Path:
        """Population and free energy of each stretch of the main path."""
        return self.analysis / "populations.csv"

    @property
    def population_path(self) -> Path:
        """Latents along that path."""
        return self.analysis / "population_path.npy"

    @property
    def population_draws(self) -> Path:
        """Populations of the particles drawn anew, from which their errors come."""
        return self.analysis / "population_draws.npy"

    @property
    def density(self) -> Path:
        """Density over the plane of the first two principal components."""
        return self.analysis / "density.npy"

    def localized(self, mask_name: str) -> Path:
        """Latent directions that move the domain of a mask, strongest first."""
        return self.analysis / f"localized_{mask_name}.npy"

    def localized_path(self, name: str) -> Path:
        """The particles' path along the motion of a domain, or of two."""
        return self.trajectories / f"localized_{name}.npy"

    def domain_coordinate(self, mask_name: str) -> Path:
        """How far each particle has gone along the motion of a domain, Å."""
        return self.analysis / f"coordinate_{mask_name}.npy"

    def domain_members(self, name: str) -> Path:
        """Which Gaussians are in a domain: true or false for each."""
        return self.analysis / f"domain_{name}.npy"

    @property
    def domain_motions(self) -> Path:
        """Motions of the domains in numbers."""
        return self.analysis / "domains.json"

    @property
    def parts(self) -> Path:
        """Number of the rigid part that each Gaussian belongs to, where parts were found."""
        return self.analysis / "parts.npy"

    @property
    def selections(self) -> Path:
        """Folder of the particles that were chosen in the explorer, by name."""
        return self.path / "selections"

    @property
    def volumes(self) -> Path:
        """Folder of the maps."""
        return self.path / "volumes"

    @property
    def volume_fsc(self) -> Path:
        """Folder of their Fourier shell correlations."""
        return self.volumes / "fsc"

    @property
    def explorer_address(self) -> Path:
        """Port and token of the explorer; nobody but its user may read it."""
        return self.path / ".view.json"

    @property
    def report(self) -> Path:
        """The page that shows all of it."""
        return self.path / "report.html"


def create_job(path: Path, *, resume: bool) -> JobFolder:
    """A folder that can be written to, for a new job or to go on with one.

    Parameters
    ----------
    path
        Made if missing; what RELION puts into a job's folder beforehand may be there.
    resume
        Whether a job may be there already.

    Raises
    ------
    OutputError
        If the folder is in use, holds something else, or cannot be written.
    """
    job = JobFolder(path)
    try:
        held = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
        foreign = [name for name in held if not _may_be_there(name)]
        if foreign and not job.run_record.is_file():
            raise OutputError(f"{path}: the output folder must be empty, but holds {foreign[0]}")
        if foreign and not resume:
            raise OutputError(f"{path}: the output folder already holds a job (run.toml)")
        remove_partial_files(path)
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".writable.{os.getpid()}.part"
        probe.touch()
        probe.unlink()
    except OutputError:
        raise
    except OSError as error:
        raise cannot_write(path, error) from error
    return job


def require_folder(job: JobFolder) -> None:
    """Refuse to go on in a folder that was taken away: what is written next would make it anew.

    Raises
    ------
    OutputError
        If there is no run.toml any more, which is the first file of every job.
    """
    if not job.run_record.is_file():
        raise OutputError(
            f"{job.path}: the job folder was removed or emptied while the job ran: run.toml is gone"
        )


def open_job(path: Path, *, needs: Sequence[str] = ()) -> JobFolder:
    """A job that is there.

    Parameters
    ----------
    path
        Its folder.
    needs
        Properties of `JobFolder` whose files must exist, such as ``"model"``.

    Raises
    ------
    CheckpointError
        Naming what is missing.
    """
    job = JobFolder(path)
    if not path.is_dir():
        raise CheckpointError(f"{path}: there is no such job folder")
    for need in ("run_record", *needs):
        file: Path = getattr(job, need)
        if not file.exists():
            name = file.relative_to(path)
            raise CheckpointError(f"{path}: not a job that can be used: {name} is missing")
    return job


def find_trajectory(job: JobFolder, name: str) -> Path:
    """The file of a path of `job`, by its name, or a file of that name elsewhere.

    Raises
    ------
    CheckpointError
        Naming the paths that there are.
    """
    inside = job.trajectories / f"{name}.npy"
    if inside.is_file():
        return inside
    if Path(name).is_file():
        return Path(name)
    known = ", ".join(sorted(path.stem for path in job.trajectories.glob("*.npy"))) or "none"
    raise CheckpointError(f"{job.trajectories}: no trajectory {name!r}; there is {known}")


def _may_be_there(name: str) -> bool:
    return name in _RELION_FILES or name.startswith((".", "RELION_"))
