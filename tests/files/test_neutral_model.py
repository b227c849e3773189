"""The neutral model that a job keeps lies where the map lay that it was fitted to."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryomix.files.job import JobFolder
from cryomix.files.mrc import read_volume, write_volume
from cryomix.files.neutral_model import read_neutral, store_neutral, write_neutral
from cryomix.fitting.neutral import NeutralFit
from cryomix.imaging.gaussians import GaussianModel

ORIGIN = (-11.0, 4.5, 30.0)


@pytest.fixture
def neutral_folder(tmp_path, model):
    """A neutral model on 30 voxels of 2 Å."""
    small = GaussianModel(model.center.float(), model.amplitude.float() / 2, model.width.float())
    fit = NeutralFit(small, 3.0, 60.0, 10.0, torch.ones(13), 1.0)
    write_neutral(tmp_path / "neutral", fit, 30, 2.0, ORIGIN)
    return tmp_path / "neutral"


def test_density_of_a_job_lies_on_the_map(neutral_folder, particles, tmp_path):
    """On the particles' grid of 24 pixels of 2.5 Å: the box centre stays where it was."""
    job = JobFolder(tmp_path / "job")
    store_neutral(job, read_neutral(neutral_folder), particles)
    volume = read_volume(job.neutral_map)
    assert volume.box_size == 24
    assert volume.origin == pytest.approx(np.array(ORIGIN) + 15 * 2.0 - 12 * 2.5, abs=1e-4)


def test_without_a_density_it_lies_at_the_origin(neutral_folder, particles, tmp_path):
    (neutral_folder / "neutral.mrc").unlink()
    job = JobFolder(tmp_path / "job")
    store_neutral(job, read_neutral(neutral_folder), particles)
    assert read_volume(job.neutral_map).origin == (0.0, 0.0, 0.0)


def test_an_origin_is_taken_over_exactly_on_the_same_grid(neutral_folder, particles, tmp_path):
    volume = read_volume(neutral_folder / "neutral.mrc")
    size = torch.zeros(24, 24, 24)
    write_volume(neutral_folder / "neutral.mrc", replace(volume, density=size, voxel_size=2.5))
    job = JobFolder(tmp_path / "job")
    store_neutral(job, read_neutral(neutral_folder), particles)
    assert read_volume(job.neutral_map).origin == pytest.approx(ORIGIN, abs=1e-5)
