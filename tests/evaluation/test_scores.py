import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cryomix.errors import InputFileError
from cryomix.evaluation.scores import score_latents

_SHARED = Path(os.environ.get("CRYOMIX_SHARED", Path(__file__).parents[3] / "shared"))


def _linear(noise: float) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    generator = np.random.default_rng(0)
    t = np.repeat(np.linspace(0, 1, 20), 60)
    latent = np.stack([2 * t, 0.3 * t**2, 0 * t], axis=1)
    return latent + noise * generator.normal(size=latent.shape), {"t": t}


def _cyclic(noise: float) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    generator = np.random.default_rng(0)
    t = np.repeat(np.arange(36) / 36, 40)
    latent = np.stack([np.cos(2 * np.pi * t), np.sin(2 * np.pi * t)], axis=1)
    latent = latent + noise * generator.normal(size=latent.shape)
    return latent, {"t": t, "cyclic": np.array(True)}


def _mixture(noise: float) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    generator = np.random.default_rng(0)
    t, c = np.tile(np.linspace(0, 1, 20), 80), np.repeat([0, 1], 800)
    latent = np.stack([t, 1.0 * c], axis=1)
    return latent + noise * generator.normal(size=latent.shape), {"t": t, "c": c}


def test_a_perfect_recovery_scores_one():
    linear = score_latents(*_linear(1e-4))
    assert linear["t_knn_R"] > 0.999
    assert linear["t_spearman"] > 0.998  # particles of one state are tied
    assert score_latents(*_cyclic(1e-4))["t_cos"] > 0.999
    mixture = score_latents(*_mixture(1e-2))
    assert mixture["c_knn_accuracy"] == 1
    assert mixture["c_mixture_purity"] == 1


def test_latents_without_truth_score_nothing():
    latent = np.random.default_rng(1).normal(size=(1600, 3))
    scores = score_latents(latent, _mixture(0.0)[1])
    assert abs(scores["t_knn_R"]) < 0.15
    assert scores["t_spearman"] < 0.1
    assert scores["c_knn_accuracy"] == pytest.approx(0.5, abs=0.06)
    assert scores["neighbourhood_similarity"] == pytest.approx(50 / 1600, abs=0.02)
    cyclic = score_latents(latent[:1440], _cyclic(0.0)[1])
    assert abs(cyclic["t_cos"]) < 0.15


def test_more_noise_scores_less():
    low, high = (score_latents(*_linear(noise)) for noise in (0.1, 0.5))
    for name in low:
        assert high[name] < low[name]


def test_a_fold_keeps_neighbors_but_not_rank():
    """Latent |t − ½|: neighbours know the distance from the middle only."""
    t = np.linspace(0, 1, 500)
    scores = score_latents(np.abs(t - 0.5)[:, None], {"t": t})
    assert scores["t_spearman"] < 0.05


def test_one_latent_for_all_scores_zero_without_a_warning():
    scores = score_latents(np.zeros((100, 2)), {"t": np.linspace(0, 1, 100)})
    assert scores["t_spearman"] == 0


@pytest.mark.parametrize("system", [_linear, _cyclic, _mixture])
def test_agreement_with_the_independent_scores(system, tmp_path):
    program = _SHARED / "tools" / "score.py"
    if not program.is_file():
        pytest.skip(reason=f"{program} is not there")
    latent, truth = system(0.15)
    np.save(tmp_path / "latents.npy", latent)
    np.savez(tmp_path / "truth.npz", which=np.zeros(len(latent), dtype=int), **truth)
    command = [sys.executable, program, "latents", "latents.npy", "truth.npz"]
    printed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    expected = dict(line.split() for line in printed.stdout.splitlines())
    ours = score_latents(latent, truth)
    assert set(ours) == set(expected)
    for name, value in ours.items():
        assert value == pytest.approx(float(expected[name]), abs=1e-4), name


def test_truth_of_another_length_is_refused():
    with pytest.raises(InputFileError, match=r"truth's t .* each of 5 latents, got \(4,\)"):
        score_latents(np.eye(5), {"t": np.zeros(4)})
    with pytest.raises(InputFileError, match="one of t, a, b, c"):
        score_latents(np.eye(5), {"other": np.zeros(5)})
    with pytest.raises(InputFileError, match="finite"):
        score_latents(np.full((5, 2), np.nan), {"t": np.zeros(5)})
