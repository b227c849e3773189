import numpy as np
import pytest

from cryomix.errors import InputFileError
from cryomix.evaluation.calibration import (
    as_covariance,
    predict_coordinate,
    require_spread,
    score_calibration,
    score_flags,
)


def _curve(particles: int = 4000, noise: float = 0.05):
    """Latents on a bent line in two dimensions with errors that are as large as they say."""
    generator = np.random.default_rng(0)
    t = generator.random(particles)
    clean = np.stack([2 * t + 0.3 * t**2, 0.5 * t**2], axis=1)
    std = noise * generator.uniform(0.5, 1.5, (particles, 2))
    return clean + std * generator.normal(size=clean.shape), std, t


def test_right_deviations_cover_what_they_should():
    latent, std, t = _curve()
    scores = score_calibration(predict_coordinate(latent, as_covariance(std), t))
    assert scores["coverage_1"] == pytest.approx(0.683, abs=0.04)
    assert scores["coverage_2"] == pytest.approx(0.954, abs=0.03)
    assert scores["error_in_std"] == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_wrong_deviations_show(factor):
    latent, std, t = _curve()
    scores = score_calibration(predict_coordinate(latent, as_covariance(factor * std), t))
    assert scores["error_in_std"] == pytest.approx(1 / factor, rel=0.1)
    assert abs(scores["coverage_1"] - 0.683) > 0.2


def test_round_a_circle_nothing_is_lost_at_the_seam():
    generator = np.random.default_rng(0)
    t = generator.random(3000)
    angle = 2 * np.pi * t + 0.1 * generator.normal(size=3000)
    latent = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    # Error of 0.1 rad along the circle, none across it.
    along = np.stack([-np.sin(angle), np.cos(angle)], axis=1)
    covariance = 0.01 * along[:, :, None] * along[:, None, :]
    predicted = predict_coordinate(latent, covariance, t, cyclic=True)
    scores = score_calibration(predicted)
    assert np.abs(predicted.error).max() < 0.1
    assert scores["coverage_1"] == pytest.approx(0.683, abs=0.04)
    assert scores["coverage_2"] == pytest.approx(0.954, abs=0.03)


def test_the_coordinate_may_be_bent_and_scaled():
    latent, std, t = _curve(noise=0.02)
    scores = [
        score_calibration(predict_coordinate(scale * latent, as_covariance(scale * std), t))
        for scale in (1.0, 40.0)
    ]
    assert scores[0] == pytest.approx(scores[1])


def test_correlated_errors_need_their_covariance():
    """Both axes hold the same error but show t in opposite ways: together they know t exactly."""
    generator = np.random.default_rng(0)
    t, common = generator.random(3000), 0.1 * generator.normal(size=3000)
    latent = np.stack([t + common, -t + common], axis=1)
    latent += 0.01 * generator.normal(size=latent.shape)
    covariance = np.full((3000, 2, 2), 0.01) + 1e-4 * np.eye(2)
    std = np.sqrt(np.full((3000, 2), 0.0101))
    whole = score_calibration(predict_coordinate(latent, covariance, t))
    axes = score_calibration(predict_coordinate(latent, as_covariance(std), t))
    assert whole["coverage_1"] == pytest.approx(0.683, abs=0.04)
    assert axes["coverage_1"] > 0.99


def test_flagged_particles_are_wrong_more():
    latent, std, t = _curve()
    blind = np.arange(len(t)) % 10 == 0
    latent[blind] += np.random.default_rng(1).normal(size=(blind.sum(), 2))
    scores = score_flags(predict_coordinate(latent, as_covariance(std), t), ~blind)
    assert scores["uninformative_share"] == pytest.approx(0.1)
    assert scores["uninformative_error_ratio"] > 3


def test_spreads_of_other_latents_are_refused():
    latent = np.zeros((40, 2))
    with pytest.raises(InputFileError, match=r"s.npy: must be of shape \(40, 2\) .* got \(40, 3\)"):
        require_spread("s.npy", np.zeros((40, 3)), latent)
    with pytest.raises(InputFileError, match=r"must be of shape \(40, 2, 2\)"):
        require_spread("s.npy", np.zeros((40, 3, 3)), latent)
    with pytest.raises(InputFileError, match="finite"):
        require_spread("s.npy", np.full((40, 2), np.nan), latent)
    with pytest.raises(InputFileError, match=r"not be negative, got -1"):
        require_spread("s.npy", np.full((40, 2), -1.0), latent)
