"""Models as text of e2gmm: their frame and their kernel, written out here once more."""

import warnings

import numpy as np
import pytest
import torch

from cryomix.errors import CheckpointError, DataWarning
from cryomix.files.eman2_gaussians import read_gaussian_text, write_gaussian_text
from cryomix.files.job import JobFolder
from cryomix.files.neutral_model import read_neutral_for, store_neutral
from cryomix.fitting.units import to_network_units
from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses
from cryomix.imaging.projection_reference import project_gaussians_reference

LENGTH = 60.0


@pytest.fixture
def text(tmp_path):
    """Rows of x, y, z, amplitude, width as a file."""

    def write(rows):
        path = tmp_path / "model.txt"
        np.savetxt(path, rows)
        return path

    return write


def some_rows(count=20):
    generator = np.random.default_rng(0)
    columns = [
        generator.uniform(-0.3, 0.3, (count, 3)),
        generator.uniform(0.2, 1, (count, 1)),
        generator.uniform(4, 8, (count, 1)),
    ]
    return np.concatenate(columns, axis=1)


def test_a_projection_is_that_of_e2gmm(text, poses):
    """In its own terms: the frame turned about x, y negated in the image, the box one long."""
    rows, grid = some_rows(), FourierGrid(24, LENGTH / 24)
    model = read_gaussian_text(text(rows), LENGTH)
    found = project_gaussians_reference(
        model, Poses(poses.rotation.float(), poses.shift.float()), grid
    )
    flip = np.diag([1.0, -1.0, -1.0])
    k_y, k_x = np.meshgrid(np.fft.fftfreq(24, 1 / 24), np.arange(13), indexing="ij")
    decay = np.exp(-0.001 * rows[:, 4, None, None] * (k_x**2 + k_y**2))
    for one, rotation, shift in zip(
        found, poses.rotation.numpy(), poses.shift.numpy(), strict=True
    ):
        turned = rows[:, :3] @ (flip @ rotation @ flip).T
        x = turned[:, 0] + shift[0] / LENGTH
        y = -turned[:, 1] + shift[1] / LENGTH
        phase = np.exp(-2j * np.pi * (k_x * x[:, None, None] + k_y * y[:, None, None]))
        expected = (rows[:, 3, None, None] ** 2 * decay * phase).sum(0)
        ratio = one.numpy()[1:12, 1:6] / expected[1:12, 1:6]
        np.testing.assert_allclose(ratio, ratio[0, 0].real, rtol=2e-3)


def test_a_model_comes_back_up_to_the_scale_of_amplitudes(tmp_path, model):
    path = tmp_path / "model.txt"
    write_gaussian_text(path, model, LENGTH)
    found = read_gaussian_text(path, LENGTH)
    torch.testing.assert_close(found.center, model.center.float(), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.width, model.width.float(), rtol=1e-6, atol=0)
    scaled = model.amplitude / model.amplitude.max()
    torch.testing.assert_close(found.amplitude, scaled.float(), rtol=1e-6, atol=0)
    table = np.loadtxt(path)
    assert table.shape == (6, 5)
    assert table[:, 3].max() == 1
    # The first lies at (9, 2, −4) Å.
    np.testing.assert_allclose(table[0, :3], [9 / 60, -2 / 60, 4 / 60], atol=1e-9)


def test_gaussians_that_show_nothing_are_passed_over(text):
    rows = some_rows(4)
    rows[1, 3], rows[2, 3] = 0, -1
    assert len(read_gaussian_text(text(rows), LENGTH)) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "positive amplitude, but none has"),
        ("0 0 0 0 1\n", "positive amplitude, but none has"),
        ("# of mine\n\n0 0 0 1\n", "line 3 must hold x, y, z, amplitude and width"),
        ("0 0 0 1 1 2\n", "line 1 must hold"),
        ("0 0 0 nan 1\n", "line 1 must hold"),
        ("0 0 a 1 1\n", "line 1 must hold .* got '0 0 a 1 1'"),
        ("0 0 0.6 1 1\n", "between -0.5 and 0.5 of the box, got 0.6"),
        ("0 0 0 1 0\n", "widths must be positive, got 0"),
        (b"\xff\xfe", "not a text of numbers"),
    ],
)
def test_malformed_models_are_refused(tmp_path, content, message):
    path = tmp_path / "model.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CheckpointError, match=message):
        read_gaussian_text(path, LENGTH)
    with pytest.raises(CheckpointError, match=r"other.txt: cannot be read"):
        read_gaussian_text(tmp_path / "other.txt", LENGTH)


def test_a_model_begins_a_training_of_the_particles_box(text, particles, tmp_path):
    path = text(some_rows() * [1, 1, 1, 1, 1])
    (tmp_path / "frc.csv").write_text("of something else")
    neutral = read_neutral_for(particles, path)
    assert neutral.box_length == particles.grid.box_length == 60
    assert neutral.resolution == 10
    unit = to_network_units(neutral.model, neutral.box_length, neutral.base_width)
    assert unit.shape == (20, 5)
    assert float(neutral.model.amplitude.mean()) <= 0.3 + 1e-6
    job = JobFolder(tmp_path / "job")
    store_neutral(job, neutral, particles)
    again = read_neutral_for(particles, job.neutral_model)
    assert torch.equal(again.model.center, neutral.model.center)
    assert not job.neutral_frc.exists()


def test_widths_out_of_reach_keep_their_mass(text, particles):
    rows = some_rows()
    rows[:, 4] = 5
    rows[0, 4], rows[1, 4] = 50, 0.05
    path = text(rows)
    with pytest.warns(DataWarning, match="2 of 20 widths are brought to between 0.6 and 1.4"):
        found = read_neutral_for(particles, path).model
    given = read_gaussian_text(path, LENGTH)
    mass = [one.amplitude * one.width**3 for one in (found, given)]
    torch.testing.assert_close(mass[0] / mass[0].sum(), mass[1] / mass[1].sum())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows[:2, 4] = 5
        read_neutral_for(particles, text(rows))
