from dataclasses import replace

import pytest
import torch

from cryomix.latent.clusters import Clusters
from cryomix.latent.reduction import fit_pca
from cryomix.report.content import EpochScore, InputFacts, ReportContent
from cryomix.report.findings import (
    assess,
    describe_motion,
    describe_score,
    find_motion,
    list_key_numbers,
    list_limits,
    share_of_uncertain,
    summarize,
)


def _told(findings) -> str:
    return " ".join(finding.text for finding in findings)


def _history(training: float, held_out: float) -> ReportContent:
    row = EpochScore(epoch=1, training=training, held_out=held_out)
    facts = InputFacts(particles=100, box_size=64, pixel_size=2.0, latents=4)
    return ReportContent(title="x", facts=facts, history=(row,), score_unit="nats")


def test_the_summary_tells_what_the_content_holds(content):
    text = _told(summarize(content, [find_motion(content.paths[0])]))
    assert "one continuous group" in text
    assert "four clusters" in text
    assert "two axes hold 9" in text
    assert "12.5 to 14.0 Å" in text


def test_separate_groups_are_told_with_their_shares():
    label = torch.tensor([0, 0, 0, 1])
    clusters = Clusters(label, torch.zeros(2, 2), label, True, ())
    text = _told(summarize(ReportContent(title="x", clusters=clusters), []))
    assert "two separate groups (75 %, 25 %)" in text
    assert "divided" not in text


def test_the_way_of_the_arm_is_told(content):
    """The arm's centre, near (52, 0) Å, swings by 60°: four chords of 15° of radius 52 Å."""
    words = describe_motion(find_motion(content.paths[0]))
    way = float(words.split("travels ")[1].split(" Å")[0])
    assert way == pytest.approx(54, rel=0.1)
    held = float(words.split("holds ")[1].split(" %")[0])
    assert held == pytest.approx(20, abs=4)
    assert "5 % of the density is lost" in words
    assert "new" not in words


def test_the_way_back_of_a_closed_path_is_told(content):
    words = describe_motion(find_motion(replace(content.paths[0], is_closed=True)))
    assert "lead back to where it began" in words


def test_a_gain_of_held_out_particles_beyond_that_of_noise_is_good():
    good = assess(_history(9.0, 8.0))
    assert [finding.tone for finding in good] == ["good"]
    assert "by 8 nats" in good[0].text
    assert "Four latents gain about 2 nats by fitting noise" in good[0].text
    for held_out in (0.0, 2.1, 3.9):  # homogeneous particles score 1.6 to 2.1 with four latents
        bad = assess(_history(held_out, held_out))
        assert [finding.tone for finding in bad] == ["bad"]
        assert "No variation has been shown" in bad[0].text


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


def test_limits_start_with_the_warnings(content):
    limits = list_limits(content)
    assert limits[0].text == content.warnings[0]
    assert limits[0].tone == "bad"
    assert any("UMAP" in finding.text for finding in limits)
    assert list_limits(ReportContent(title="x")) == []


def test_key_numbers(content):
    numbers = {number.meaning: number.value for number in list_key_numbers(content, [])}
    assert numbers["particles"] == "1,200"
    assert numbers["Gaussians"] == "400"
    assert numbers["continuous group"] == "1"
    assert numbers["best map of a cluster"] == "12.5 Å"


def test_scores_are_explained():
    assert "50 nearest" in describe_score("t_knn_R")
    assert "class" in describe_score("c_knn_accuracy")
    assert describe_score("unheard_of") == ""
