"""`cryomix evaluate` scores latents against a truth, and trusts no file."""

import json
import pickle

import numpy as np
import pytest

from cryomix import cli
from cryomix.files.run_record import write_run_record


@pytest.fixture
def job(tmp_path):
    """A job whose one latent is the truth with a little noise."""
    folder = tmp_path / "job"
    truth = np.linspace(0, 1, 300, dtype=np.float32)
    noise = np.random.default_rng(1).normal(scale=0.02, size=300)
    folder.mkdir()
    np.save(folder / "latents.npy", (truth + noise).astype(np.float32)[:, None])
    write_run_record(folder / "run.toml", "train", {}, [], 0, "cpu")
    np.savez(tmp_path / "truth.npz", t=truth, cyclic=np.array(False))
    return folder


def evaluate(job, truth, *more):
    return cli.main(["evaluate", str(job), str(truth), *map(str, more)])


def test_scores_are_printed_and_written(job, tmp_path, capsys):
    assert evaluate(job, tmp_path / "truth.npz") == 0
    scores = json.loads((job / "evaluation.json").read_text())
    assert scores["t_spearman"] > 0.99
    assert scores["t_knn_R"] > 0.98
    assert f"{scores['t_spearman']:.4f}" in capsys.readouterr().out


def test_shuffled_latents_score_nothing(job, tmp_path):
    latents = np.load(job / "latents.npy")
    np.save(job / "latents.npy", np.random.default_rng(2).permutation(latents))
    assert evaluate(job, tmp_path / "truth.npz", "-o", tmp_path / "scores.json") == 0
    assert abs(json.loads((tmp_path / "scores.json").read_text())["t_spearman"]) < 0.2
    assert not (job / "evaluation.json").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file"),
        (b"", "truth.npz"),
        (b"PK\x03\x04 but not a zip file", "not an .npz file"),
        (pickle.dumps({"t": [1.0]}), "not an .npz file"),
    ],
)
def test_a_bad_truth_gets_one_line(job, tmp_path, capsys, content, message):
    truth = tmp_path / "truth.npz"
    truth.unlink()
    if content is not None:
        truth.write_bytes(content)
    assert evaluate(job, truth) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_an_array_of_objects_is_refused(job, tmp_path, capsys):
    np.savez(tmp_path / "truth.npz", t=np.array([{"a": 1}], dtype=object))
    assert evaluate(job, tmp_path / "truth.npz") == 2
    assert "not an .npz file of numbers" in capsys.readouterr().err


def test_a_truth_of_another_length_is_refused(job, tmp_path, capsys):
    np.savez(tmp_path / "truth.npz", t=np.zeros(299))
    assert evaluate(job, tmp_path / "truth.npz") == 2
    assert "each of 300 latents" in capsys.readouterr().err
