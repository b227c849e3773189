from dataclasses import replace

import pytest
import torch

from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.clusters import Clusters
from cryomix.report.content import DecodedPath, EpochScore, InputFacts, ReportContent
from cryomix.report.findings import (
    describe_motion,
    find_motion,
    lacks_variation,
    list_key_numbers,
    list_limits,
    summarize,
    tell_headline,
    warn_of_nothing,
)
from cryomix.report.groups import summarize_groups


def _told(findings) -> str:
    return " ".join(finding.text for finding in findings)


def test_the_summary_tells_what_the_content_holds(content):
    motions = [find_motion(content.paths[0])]
    text = _told([*summarize_groups(content), *summarize(content, motions)])
    assert "one continuous group" in text
    assert "four clusters" in text
    assert "12.5 to 14.0 Å" in text


def test_separate_groups_are_told_with_their_shares():
    label = torch.tensor([0, 0, 0, 1])
    clusters = Clusters(label, torch.zeros(2, 2), label, True)
    text = _told(summarize_groups(ReportContent(title="x", clusters=clusters)))
    assert "two separate groups (75 %, 25 %)" in text
    assert "divided" not in text


def _two_groups(center, amplitude) -> ReportContent:
    label = torch.tensor([0, 0, 0, 1])
    return ReportContent(
        title="x",
        clusters=Clusters(label, torch.zeros(2, 2), label, True),
        group_models=GaussianModel(center, amplitude, torch.full(amplitude.shape, 4.0)),
    )


def _molecule() -> torch.Tensor:
    """A core of 40 Gaussians about the middle, and 10 of a part around (0, −50, 10) Å."""
    generator = torch.Generator().manual_seed(2)
    core = 12 * torch.randn(40, 3, generator=generator)
    part = torch.tensor([0.0, -50.0, 10.0]) + 3 * torch.randn(10, 3, generator=generator)
    return torch.cat([core, part]).expand(2, 50, 3).clone()


@pytest.mark.parametrize(("there", "said"), [((1, 0), "is lost"), ((0, 1), "is new")])
def test_a_part_that_one_group_lacks_is_told_with_its_place(there, said):
    amplitude = torch.ones(2, 50)
    amplitude[:, 40:] = torch.tensor(there)[:, None].float().clamp_min(1e-3)
    text = _told(summarize_groups(_two_groups(_molecule(), amplitude)))
    assert f"% of the density {said} around (" in text
    share = float(text.split("each, ")[1].split(" %")[0])
    assert share == pytest.approx(20, abs=1)
    place = text.split("around (")[1].split(")")[0].replace("\N{MINUS SIGN}", "-")
    found = torch.tensor([float(value) for value in place.split(", ")])
    assert float((found - torch.tensor([0.0, -50.0, 10.0])).norm()) < 4
    assert "further on" not in text


def test_a_part_that_lies_elsewhere_in_another_group_is_told_as_moved():
    center = _molecule()
    center[1, 40:] += torch.tensor([20.0, 0.0, 0.0])
    text = _told(summarize_groups(_two_groups(center, torch.ones(2, 50))))
    way = float(text.split("mass lies ")[1].split(" Å")[0])
    assert way == pytest.approx(20, rel=0.15)
    assert "lost" not in text


def test_groups_that_are_alike_are_said_to_be():
    text = _told(summarize_groups(_two_groups(_molecule(), torch.ones(2, 50))))
    assert "less than 3 % of the density comes or goes" in text


def _scored(held_out: float) -> ReportContent:
    return ReportContent(
        title="x", score_unit="nats per particle",
        history=(EpochScore(epoch=1, training=held_out, held_out=held_out),),
        facts=InputFacts(particles=9, box_size=8, pixel_size=1.0, latents=4),
    )  # fmt: skip


@pytest.mark.parametrize(("gain", "lacks"), [(-1.0, True), (3.9, True), (4.1, False)])
def test_what_noise_alone_gains_is_told_as_nothing_first_of_all(gain, lacks):
    """Four latents gain two nats by noise; twice that must be passed."""
    content = _scored(gain)
    assert lacks_variation(content) == lacks
    assert ("No variation has been shown" in _told(warn_of_nothing(content))) == lacks
    assert ("No variation" in tell_headline(content, [])) == lacks


def test_the_headline_tells_the_way_of_the_part_that_moves(content):
    told = tell_headline(content, [find_motion(content.paths[0])])
    assert float(told.split("travels ")[1].split(" Å")[0]) == pytest.approx(54, rel=0.1)


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


def _arm_that_moves(first: int, way: float) -> DecodedPath:
    """Two arms of 10 Gaussians beside a core of 40; that from `first` on goes `way` Å up."""
    generator = torch.Generator().manual_seed(3)
    center = 10 * torch.randn(60, 3, generator=generator)
    center[40:] *= 0.4
    center[40:50, 0] += 50
    center[50:, 0] -= 50
    steps = center.expand(4, 60, 3).clone()
    steps[:, first : first + 10, 1] += torch.linspace(0, way, 4)[:, None]
    models = GaussianModel(steps, torch.ones(4, 60), torch.full((4, 60), 4.0))
    return DecodedPath(name=f"along arm {first}", models=models)


def test_a_second_part_that_moves_along_another_path_is_told_and_the_same_one_is_not():
    motions = [find_motion(_arm_that_moves(first, way)) for first, way in ((40, 30), (50, 20))]
    text = _told(summarize(ReportContent(title="x"), motions))
    assert text.count("Another part moves") == 1
    assert "Another part moves along arm 50: 17 % of the mass" in text
    assert float(text.split("whose centre travels ")[1].split(" Å")[0]) == pytest.approx(
        20, rel=0.1
    )
    same = [motions[0], find_motion(_arm_that_moves(40, 20))]
    assert "Another part" not in _told(summarize(ReportContent(title="x"), same))
    little = [motions[0], find_motion(_arm_that_moves(50, 2))]
    assert "Another part" not in _told(summarize(ReportContent(title="x"), little))
