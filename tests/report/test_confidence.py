"""How sure it is, in words: each sentence where there is reason for it, and only there."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import norm

from cryomix.evaluation.calibration import PredictedCoordinate, score_calibration
from cryomix.evaluation.neighborhoods import information_imbalance
from cryomix.latent.reduction import fit_pca
from cryomix.report.confidence import assess, share_of_uncertain
from cryomix.report.content import EpochScore, HalvesAnswer, InputFacts, ReportContent


def _history(training: float, held_out: float) -> ReportContent:
    row = EpochScore(epoch=1, training=training, held_out=held_out)
    facts = InputFacts(particles=100, box_size=64, pixel_size=2.0, latents=4)
    return ReportContent(title="x", facts=facts, history=(row,), score_unit="nats")


def test_a_gain_of_held_out_particles_beyond_that_of_noise_is_good():
    good = assess(_history(9.0, 8.0))
    assert [finding.tone for finding in good] == ["good"]
    assert "by 8 nats" in good[0].text
    assert "Four latents gain about 2 nats by fitting noise" in good[0].text
    for held_out in (0.0, 2.1, 3.9):  # homogeneous particles score 1.6 to 2.1 with four latents
        bad = assess(_history(held_out, held_out))
        assert [finding.tone for finding in bad] == ["bad"]
        assert "No variation has been shown" in bad[0].text


def test_halves_that_were_not_compared_are_told_as_missing(content):
    """Unless the truth is known, which says more."""
    known = assess(content)
    unknown = assess(replace(content, scores={}))
    assert not any("not tested" in finding.text for finding in known)
    assert any("each half" in f.text and "cryomix reproduce" in f.text for f in unknown)


def test_of_a_gain_in_frc_nothing_is_claimed():
    (found,) = assess(replace(_history(0.02, 0.02), score_unit="FRC"))
    assert found.tone == "plain"
    assert "cryomix reproduce" in found.text


def test_a_gain_of_the_trained_alone_is_called_noise():
    found = assess(_history(24.0, 8.0))
    assert [finding.tone for finding in found] == ["good", "bad"]
    assert "3.0 times" in found[1].text


def test_uncertain_particles_are_counted_along_the_main_axis():
    latent = torch.stack([torch.linspace(-3, 3, 101), torch.zeros(101)], dim=1)
    std = torch.full((101, 2), 0.1)
    std[:, 1] = 50.0  # across the main axis: does not count
    std[:25, 0] = 4.0
    share, ratio = share_of_uncertain(std, fit_pca(latent))
    assert share == pytest.approx(25 / 101)
    assert ratio == pytest.approx(float(latent[:, 0].std()) / 0.1, rel=1e-3)


def test_hidden_motion_is_bad_news(content):
    latent_map = replace(content.latent_map, std=10 * content.latent_map.std)
    tones = [
        finding.tone for finding in assess(replace(content, latent_map=latent_map, history=()))
    ]
    assert tones[0] == "bad"


def _judged(scores: dict[str, float]):
    """What is said beside that the truth is known."""
    known, *rest = assess(ReportContent(title="x", scores=scores))
    assert "The truth is known" in known.text
    return rest


@pytest.mark.parametrize(
    ("said", "tone", "words"),
    [(1.0, "good", "about right"), (0.7, "bad", "too small"), (1.4, "plain", "larger than need")],
)
def test_error_bars_are_judged_by_how_many_truths_they_hold(said, tone, words):
    """Errors of deviation 1, of which it is said that their deviation is `said`."""
    error = norm.ppf((np.arange(2000) + 0.5) / 2000)
    scores = score_calibration(PredictedCoordinate(np.arange(2000), error, np.full(2000, said)))
    (found,) = _judged(scores)
    assert (found.tone, words in found.text) == (tone, True)
    inside = 100 * (norm.cdf(said) - norm.cdf(-said))
    assert found.text.startswith(f"{inside:.0f} % of the truths lie within one standard deviation")
    assert "68 % and 95 % should" in found.text


def test_far_errors_show_error_bars_too_small_where_near_ones_do_not():
    (found,) = _judged({"coverage_1": 0.68, "coverage_2": 0.85})
    assert found.tone == "bad"


def _leaks(share: float) -> dict[str, float]:
    """Of latents of which a part is the defocus, and none the pose."""
    generator = np.random.default_rng(5)
    ctf, pose = generator.normal(size=(1000, 3)), generator.normal(size=(1000, 9))
    latent = share * ctf[:, :1] + (1 - share**2) ** 0.5 * generator.normal(size=(1000, 1))
    return {
        f"imbalance_{first}_{second}": information_imbalance(a, b)
        for first, second, a, b in (
            ("pose", "latent", pose, latent), ("latent", "pose", latent, pose),
            ("ctf", "latent", ctf, latent), ("latent", "ctf", latent, ctf),
        )
    }  # fmt: skip


def test_latents_that_know_the_defocus_are_told():
    (found,) = _judged(_leaks(0.6))
    assert found.tone == "bad"
    assert found.text.startswith("The latents tell something of the defocus (")
    assert "pose" not in found.text
    lowest = min(_leaks(0.6).values())
    assert f"information imbalance {lowest:.2f};" in found.text


def test_latents_that_know_nothing_else_are_told():
    (found,) = _judged(_leaks(0.0))
    assert found.tone == "good"
    assert found.text.startswith("The latents tell nothing of the pose or the defocus (")
    (poses_only,) = _judged({"imbalance_pose_latent": 1.0, "imbalance_latent_pose": 0.6})
    assert poses_only.text.startswith("The latents tell something of the pose (")


def test_what_was_not_measured_is_not_judged():
    for part in ({"coverage_1": 0.2}, {"imbalance_pose_latent": 0.1}, {"t_spearman": 0.9}):
        assert _judged(part) == []
    assert assess(ReportContent(title="x")) == []


@pytest.mark.parametrize("is_reproducible", [True, False])
def test_the_answer_of_both_halves_is_repeated(is_reproducible):
    answer = HalvesAnswer(
        is_reproducible=is_reproducible, verdict="An answer.", page="../twice/report.html"
    )
    (found,) = assess(ReportContent(title="x", halves=answer))
    assert found.tone == ("good" if is_reproducible else "bad")
    assert found.text.endswith("(../twice/report.html): An answer.")
