"""A training that goes on, as the explorer reads it: latents, decoder, columns, and its end."""

import asyncio

import numpy as np
import pytest
import torch
from training_under_way import PARTICLES, SETTINGS, begin_training

from cryomix.commands.exploration import read_exploration
from cryomix.errors import CheckpointError
from cryomix.files.checkpoint import read_tensors, write_array, write_tensors
from cryomix.files.job import JobFolder
from cryomix.files.run_record import write_run_record
from cryomix.files.training import read_unfinished, write_state
from cryomix.fitting.heterogeneity import TrainingState
from cryomix.viewer.exploration import Progress
from cryomix.viewer.session import Session

PLACE = torch.tensor([[0.4, -0.9, 0.3]])


@pytest.fixture
def training(tmp_path):
    return begin_training(JobFolder(tmp_path / "job"))


def test_before_the_first_epoch_there_is_nothing(training):
    seen = read_exploration(training.job)
    assert seen.progress == Progress(0, has_ended=False, written=0.0)
    assert seen.decoding is None
    assert seen.columns == ()


def test_the_latents_and_the_decoder_are_those_of_the_last_epoch(training):
    training.end_epoch()
    old = training.model.decode(PLACE)
    latent = training.end_epoch()
    seen = read_exploration(training.job)
    written = training.job.training_state.stat().st_mtime
    assert seen.progress == Progress(2, has_ended=False, written=written)
    np.testing.assert_array_equal(seen.decoding.latent, latent)
    now = seen.decoding.decode(PLACE)
    assert torch.equal(now.center, training.model.decode(PLACE).center)
    assert not torch.allclose(now.center, old.center, atol=0.01)
    names = ["pca1", "pca2", "pca3", "latent1", "latent2", "latent3", "held_out"]
    assert [column.name for column in seen.columns] == names
    assert np.flatnonzero(seen.column("held_out").read() == 2).tolist() == list(range(40))
    np.testing.assert_allclose(seen.column("latent2").read(), latent[:, 1])


def test_columns_of_the_users_file_are_there_but_for_halves(training, tmp_path):
    training.end_epoch()
    star = tmp_path / "a.star"
    head = ["data_particles", "", "loop_", "_rlnImageName #1", "_rlnDefocusU #2"]
    rows = [f"{i + 1:06d}@a.mrcs {9000 + i}" for i in range(PARTICLES)]
    star.write_text("\n".join([*head, *rows, ""]))
    for half, there in ((None, True), ("even", False)):
        options = {"particles": str(star), "half": half, "epochs": 4}
        write_run_record(training.job.run_record, "train", options, [], 0, "cpu")
        column = read_exploration(training.job).column("rlnDefocusU")
        assert (column is not None) == there
        if column is not None:
            np.testing.assert_array_equal(column.read(), 9000 + np.arange(PARTICLES))
    star.unlink()
    assert read_exploration(training.job).column("rlnDefocusU") is None


@pytest.mark.parametrize(("epochs", "decays", "ends"), [(3, 0, False), (3, 4, True), (4, 0, True)])
def test_the_last_epoch_is_told(training, epochs, decays, ends):
    for _ in range(epochs):
        training.end_epoch(decays=decays)
    progress = read_exploration(training.job).progress
    assert (progress.epoch, progress.has_ended) == (epochs, ends)


def test_components_do_not_turn_round_between_epochs(training):
    """Where two entries of a component are alike, which one is the largest decides its sign."""
    training.end_epoch(3 * np.pi / 4 - 0.1)
    seen = read_exploration(training.job)
    training.end_epoch(3 * np.pi / 4 + 0.1)
    alone = read_exploration(training.job).decoding.axes.direction[3:]
    after = seen.again().decoding.axes
    before = seen.decoding.axes.direction[3:]
    assert ((after.direction[3:] * before).sum(axis=1) > 0.9).all()
    assert ((alone * before).sum(axis=1) < -0.9).any()
    np.testing.assert_allclose(
        after.direction @ after.mean + after.offset, [*after.mean, 0, 0, 0], atol=1e-5
    )


def test_the_end_of_the_training_takes_its_place(training):
    training.end_epoch()
    seen = read_exploration(training.job)
    assert seen.look() == seen.traces
    latent = training.end()
    assert seen.look().results != seen.traces.results
    after = seen.again()
    assert after.progress is None
    np.testing.assert_array_equal(after.decoding.latent, latent)
    names = [column.name for column in after.columns]
    assert "uncertainty" in names
    assert "held_out" not in names


def test_pages_are_told_of_every_epoch_and_of_the_end(training):
    session = Session(read_exploration(training.job), lambda task: None)
    told = [session.describe()]
    for step in (training.end_epoch, training.end_epoch, training.end):
        assert not asyncio.run(session.renew())
        step()
        assert asyncio.run(session.renew())  # at once, though the next epoch may follow as soon
        told.append(session.describe())
    assert len({each["version"] for each in told}) == 4
    epochs = [each["training"] and each["training"]["epoch"] for each in told]
    assert epochs == [0, 1, 2, None]
    assert [each["particles"] for each in told] == [0, *3 * [PARTICLES]]


def test_results_that_are_not_the_last_are_not_looked_at(training):
    session = Session(read_exploration(training.job), lambda task: None)
    write_array(training.job.latents, training.latents(0))  # `train` is about to end
    assert not asyncio.run(session.renew())


def test_selections_wait_for_the_end(training):
    training.end_epoch()
    session = Session(read_exploration(training.job), lambda task: None)
    told = session.describe()["training"]
    assert (told["epoch"], told["has_ended"]) == (1, False)
    asked = {"do": "keep", "name": "some", "rows": "AQAA" + "A" * 80}
    assert asyncio.run(session.act(asked)) == {
        "error": "selections can be written once the job is trained"
    }
    assert not training.job.selections.exists()


def test_a_state_of_an_older_version_shows_its_scores_only(training):
    training.end_epoch()
    path = training.job.training_state
    tensors, metadata = read_tensors(path)
    del tensors["latent"]
    write_tensors(path, tensors, metadata)
    assert read_unfinished(path) is None
    seen = read_exploration(training.job)
    assert seen.decoding is None
    assert seen.history()["held_out_score"].tolist() == [0.4]


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("latent", torch.zeros(PARTICLES, 2), r"latents must be rows of 3, got \(500, 2\)"),
        ("latent", torch.full((PARTICLES, 3), torch.nan), "latents must be finite float32"),
        ("held_out", torch.zeros(3, dtype=torch.bool), "whether it was held out"),
    ],
)
def test_what_does_not_fit_is_refused(training, name, wrong, message):
    training.end_epoch()
    path = training.job.training_state
    tensors, _ = read_tensors(path)
    write_state(path, TrainingState(tensors | {name: wrong}, training.history, 0, 1.0), SETTINGS)
    with pytest.raises(CheckpointError, match=message):
        read_unfinished(path)
