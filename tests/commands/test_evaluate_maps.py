"""`cryomix evaluate` puts every score between its bounds."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cryomix import cli
from cryomix.commands.bounds import chosen_images, conformation_images
from cryomix.commands.score_table import tabulate
from cryomix.files.run_record import write_run_record
from cryomix.imaging.gaussians import GaussianModel


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate") / "simulated"
    arguments = ["--particles", "400", "--box", "32", "--pixel-size", "8", "--snr", "0.5"]
    assert cli.main(["simulate", "linear", "-o", str(folder), *arguments]) == 0
    return folder


@pytest.fixture
def job(simulated, tmp_path):
    """A job whose latents are the truth, but for a little noise of the size that it says."""
    folder = tmp_path / "job"
    folder.mkdir()
    t = np.load(simulated / "truth.npz")["t"]
    noise = 0.05 * np.random.default_rng(0).normal(size=len(t))
    np.save(folder / "latents.npy", (t + noise).astype(np.float32)[:, None])
    np.save(folder / "latent_std.npy", np.full((len(t), 1), 0.05, np.float32))
    options = {"particles": str(simulated / "particles.star")}
    write_run_record(folder / "run.toml", "train", options, [], 0, "cpu")
    return folder


def evaluate(job, truth, *more):
    code = cli.main(["evaluate", str(job), str(truth / "truth.npz"), *map(str, more)])
    file = job / "evaluation.json"
    return code, json.loads(file.read_text()) if file.is_file() else {}


def test_maps_near_true_latents_come_close_to_the_bound(job, simulated, capsys):
    code, scores = evaluate(job, simulated, "--maps", "reconstruct", "--sample", 200)
    assert code == 0
    assert scores["fsc_auc_maximum"] == 15 / 32
    assert scores["fsc_auc_consensus"] < scores["fsc_auc_true_states"] < 15 / 32
    assert scores["fsc_auc_true_states_alone"] <= scores["fsc_auc_true_states"] + 0.01
    assert 0.5 < scores["fsc_auc_conformation_share"] < 1.1
    assert scores["limit_particles"] == 200
    assert 0.95 < scores["limit_t_knn_R"] <= 1
    assert scores["limit_t_knn_R_error"] < 0.02
    assert 0.9 < scores["imbalance_pose_latent"] < 1.1
    assert 0.5 < scores["coverage_1"] < 0.85
    printed = capsys.readouterr().out
    assert "information limit" in printed
    assert f"{scores['limit_t_knn_R']:.4f} ± {scores['limit_t_knn_R_error']:.4f}" in printed


def test_a_decoder_that_knows_one_state_only_scores_what_that_is_worth(job, simulated, monkeypatch):
    truth = np.load(simulated / "truth.npz")
    center = torch.from_numpy(truth["states"][:1])
    first_state = GaussianModel(
        center, torch.ones(center.shape[:2]), torch.full(center.shape[:2], float(truth["sigma"]))
    )
    model = SimpleNamespace(
        settings=SimpleNamespace(latent_size=1), decode=lambda latent: first_state
    )
    monkeypatch.setattr("cryomix.files.training.read_model", lambda path: model)
    (job / "model.safetensors").touch()
    code, scores = evaluate(job, simulated, "--sample", 0)
    assert code == 0
    assert scores["fsc_auc_conformation"] == pytest.approx(scores["fsc_auc_neutral"], abs=1e-6)
    assert scores["fsc_auc_neutral"] < 15 / 32 - 0.02
    assert scores["fsc_auc_conformation_std"] > 0.01  # the true states differ, the map does not
    assert "limit_t_knn_R" not in scores


def test_a_missing_model_is_told_before_any_work(job, simulated, capsys):
    assert evaluate(job, simulated) == (2, {})
    assert "model.safetensors is missing" in capsys.readouterr().err


def test_a_broken_truth_names_its_file(job, simulated, tmp_path, capsys):
    content = dict(np.load(simulated / "truth.npz"))
    np.savez(tmp_path / "truth.npz", **{**content, "amps": np.ones(3)})
    assert evaluate(job, tmp_path, "--maps", "none")[0] == 2
    error = capsys.readouterr().err
    assert f"{tmp_path / 'truth.npz'}: the truth's amps must be of shape" in error
    assert error.count("\n") == 1


def test_flags_of_another_set_are_refused(job, simulated, capsys):
    np.save(job / "informative.npy", np.ones(399, dtype=bool))
    assert evaluate(job, simulated, "--maps", "none")[0] == 2
    assert "true or false for each of 400 particles, got bool of shape (399,)" in (
        capsys.readouterr().err
    )


def test_flags_are_scored(job, simulated):
    latents, informative = np.load(job / "latents.npy"), np.arange(400) % 5 > 0
    latents[~informative] = np.random.default_rng(0).random((80, 1))
    np.save(job / "latents.npy", latents)
    np.save(job / "informative.npy", informative)
    code, scores = evaluate(job, simulated, "--maps", "none", "--sample", 0)
    assert code == 0
    assert scores["uninformative_share"] == pytest.approx(0.2)
    assert scores["uninformative_error_ratio"] > 2


def test_a_negative_sample_is_refused(job, simulated, capsys):
    assert evaluate(job, simulated, "--sample", -1) == (2, {})
    assert "--sample must be at least 0, got -1" in capsys.readouterr().err


def test_images_are_taken_evenly_and_conformations_at_their_middle():
    state = np.repeat([0, 1, 2], 100)
    index, of_state = chosen_images(state)
    assert index.tolist() == list(range(0, 300, 3))
    assert of_state.tolist() == state[index].tolist()
    latent = np.arange(300.0)[:, None]
    index, of_state = conformation_images(latent, state)
    assert of_state.tolist() == [0, 1, 2]
    assert np.abs(index - [49.5, 149.5, 249.5]).max() == 0.5


def test_a_spread_stands_beside_its_mean_and_nothing_is_lost():
    scores = {"t_cos": 0.5, "limit_t_cos": 0.9, "limit_t_cos_error": 0.01, "error_in_std": 1.1,
              "neighbourhood_k200": 0.3, "other": 2.0, "limit_b_cos": 0.7}  # fmt: skip
    lines = tabulate(scores).splitlines()
    for name in ("t_cos", "limit_t_cos", "error_in_std", "neighbourhood_k200", "other"):
        assert [line.split()[0] for line in lines if line].count(name) == 1
    assert any("0.7000" in line and "the most that t_cos can be" in line for line in lines)
    assert any("0.9000 ± 0.0100" in line for line in lines)
    assert not any("limit_t_cos_error" in line for line in lines)
