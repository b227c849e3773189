from dataclasses import replace

import pytest
import torch

from cryomix.latent.clusters import Clusters
from cryomix.report.content import ReportContent
from cryomix.report.findings import (
    describe_motion,
    describe_score,
    find_motion,
    list_key_numbers,
    list_limits,
    summarize,
)


def _told(findings) -> str:
    return " ".join(finding.text for finding in findings)


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
