import numpy as np
import pytest
import torch

from cryomix.commands import populations as command
from cryomix.commands.populations import populate_into, read_density, read_populations
from cryomix.errors import CheckpointError, InputFileError
from cryomix.files.checkpoint import read_csv
from cryomix.files.job import JobFolder
from cryomix.files.training import read_informative
from cryomix.imaging.gaussians import GaussianModel
from cryomix.options import AnalysisOptions


class _Rod:
    """A model whose Gaussians all move by 10 Å per unit of the first latent, or stay."""

    def __init__(self, reach: float) -> None:
        self.reach = reach

    def decode(self, latent: torch.Tensor) -> GaussianModel:
        center = torch.zeros(len(latent), 4, 3)
        center[..., 0] = self.reach * latent[:, :1]
        return GaussianModel(center, torch.ones(len(latent), 4), torch.ones(len(latent), 4))


@pytest.fixture
def job(tmp_path, monkeypatch) -> JobFolder:
    folder = JobFolder(tmp_path)
    folder.analysis.mkdir()
    generator = np.random.default_rng(0)
    true = np.stack([generator.uniform(-1, 1, 1500), np.zeros(1500)], axis=1)
    latent = (true + 0.1 * generator.normal(size=true.shape)).astype(np.float32)
    np.save(folder.latents, latent)
    np.save(folder.latent_covariance, np.tile(0.01 * np.eye(2, dtype=np.float32), (1500, 1, 1)))
    np.save(folder.latent_std, np.full((1500, 2), 0.1, np.float32))
    monkeypatch.setattr("cryomix.files.training.read_model", lambda path: _Rod(10.0))
    return folder


def _populate(job: JobFolder) -> list[str]:
    latent = torch.from_numpy(np.load(job.latents))
    return populate_into(
        job, latent, torch.ones(len(latent), dtype=torch.bool), is_closed=False,
        options=AnalysisOptions(bootstrap=20),
    )  # fmt: skip


def test_the_table_has_a_length_in_angstrom_and_all_particles(job):
    assert _populate(job) == []
    table = read_csv(job.populations)
    assert table["length"].sum() == pytest.approx(20, rel=0.15)
    assert table["share"].sum() == pytest.approx(1)
    assert table["free_energy_kt"].min() == 0
    inner = slice(3, -3)
    assert np.ptp(table["free_energy_kt"][inner]) < 0.7
    assert (table["share_low"] <= table["share_high"]).all()
    assert table["particle_error"][inner].mean() == pytest.approx(1.0, rel=0.4)


def test_what_was_written_is_read_back(job):
    _populate(job)
    found = read_populations(job, torch.tensor([[-1.0, 0], [0, 0], [1, 0]]))
    assert found.unit == "Å"
    assert sorted(set(found.state.tolist())) == [0, 1, 2]
    assert found.draws.shape == (20, len(found.share))
    plane = read_density(job)
    assert plane.density.shape == (len(plane.y), len(plane.x))
    assert float(plane.x.max()) > 3 * float(plane.y.max()) > 0


def test_a_job_of_before_has_no_populations(job):
    assert read_populations(job, None) is None
    assert read_density(job) is None


def test_without_covariances_the_deviations_are_taken_and_it_is_said(job):
    job.latent_covariance.unlink()
    assert "axis by axis" in _populate(job)[0]


def test_covariances_of_other_particles_are_refused(job):
    np.save(job.latent_covariance, np.zeros((3, 2, 2), np.float32))
    with pytest.raises(InputFileError, match=r"latent_covariance.npy: must be of shape \(1500"):
        _populate(job)


def test_a_path_along_which_nothing_moves_is_measured_in_latent_units(job, monkeypatch):
    monkeypatch.setattr("cryomix.files.training.read_model", lambda path: _Rod(0.0))
    _populate(job)
    assert "latent_distance" in read_csv(job.populations)
    assert read_populations(job, None).unit == "latent units"


def test_files_of_two_analyses_are_refused(job):
    _populate(job)
    np.save(job.population_draws, np.ones((20, 4), np.float32))
    with pytest.raises(CheckpointError, match="must be of the same analysis"):
        read_populations(job, None)


def test_few_particles_have_no_populations(job):
    latent = torch.zeros(command.LEAST_PARTICLES - 1, 2)
    told = populate_into(
        job, latent, torch.ones(len(latent), dtype=torch.bool), is_closed=False,
        options=AnalysisOptions(),
    )  # fmt: skip
    assert "need 100 particles, got 99" in told[0]


def test_flags_of_another_kind_are_refused(job):
    assert read_informative(job, 3) is None
    np.save(job.informative, np.array([True, False, True]))
    assert read_informative(job, 3).sum() == 2
    with pytest.raises(CheckpointError, match="true or false for each of 4 particles"):
        read_informative(job, 4)
