import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cryomix.errors import InputFileError
from cryomix.evaluation.scores import (
    fsc_auc,
    information_imbalance,
    neighborhood_similarity,
    score_latents,
)
from cryomix.imaging.volume import Volume

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


def test_neighborhood_similarity_of_equal_and_of_reversed_lines():
    line = np.linspace(0, 1, 200)[:, None] ** 1.01
    assert neighborhood_similarity(line, 1 - 3 * line, 10) == 1
    shuffled = np.random.default_rng(0).permutation(line)
    assert neighborhood_similarity(line, shuffled, 10) == pytest.approx(0.05, abs=0.03)


def test_information_imbalance_is_one_sided():
    """A square tells its first coordinate; one coordinate does not tell the square."""
    square = np.random.default_rng(0).random((1500, 2))
    other = np.random.default_rng(1).random((1500, 2))
    assert information_imbalance(square, square) == pytest.approx(31 / 1500, rel=1e-6)
    assert information_imbalance(square, other) == pytest.approx(1, abs=0.03)
    down, up = (
        information_imbalance(square, square[:, :1]),
        information_imbalance(square[:, :1], square),
    )
    assert down < 0.15
    assert 0.25 < up < 0.75


def _volume(seed: int) -> Volume:
    generator = torch.Generator().manual_seed(seed)
    return Volume(torch.randn(32, 32, 32, generator=generator), 3.0)


def test_fsc_auc_of_equal_maps_ends_one_shell_before_nyquist():
    volume = _volume(0)
    assert fsc_auc(volume, volume) == pytest.approx(15 / 32)
    assert fsc_auc(volume, Volume(2.5 * volume.density, 3.0)) == pytest.approx(15 / 32)


def test_fsc_auc_of_noise_is_little_more_than_its_first_point():
    assert fsc_auc(_volume(0), _volume(1)) == pytest.approx(0.5 / 32, abs=0.02)


def test_fsc_auc_of_a_band_is_its_width():
    """Equal below radius 8, unrelated beyond: shells 1 to 8 are 1."""
    first, second = _volume(0).density, _volume(1).density
    axis = torch.fft.fftfreq(32) * 32
    radius = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt()
    mixed = torch.where(radius < 8, torch.fft.fftn(first), torch.fft.fftn(second))
    joined = Volume(torch.fft.ifftn(mixed).real, 3.0)
    assert fsc_auc(_volume(0), joined) == pytest.approx(8.5 / 32, abs=0.01)


def test_fsc_auc_needs_equal_boxes():
    with pytest.raises(ValueError, match="boxes of 32 and 16"):
        fsc_auc(_volume(0), Volume(torch.zeros(16, 16, 16), 3.0))
