"""The verdict in words, and the page that shows it."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from cryomix.evaluation.reproducibility import (
    Agreement,
    Dimension,
    Gain,
    MatchedClass,
    Reading,
    Reproducibility,
)
from cryomix.imaging.volume import Volume
from cryomix.report.content import Curve
from cryomix.report.reproducibility import ClassPair, build_comparison
from cryomix.report.verdict import judge

SEEN = Agreement(0.8, 0.1, 0.7, 0.1)
UNSEEN = Agreement(0.05, 0.1, 0.04, 0.1)
AXES = (Dimension(1, 0.8, SEEN, 6.0, 5.8, 0.9), Dimension(2, 0.2, UNSEEN, 1.0, 0.2, 0.1))


@pytest.fixture
def found():
    return Reproducibility(
        gain={"odd": Gain(5.0, 0.1, 6.0), "even": Gain(4.0, 0.1, 5.0)},
        groups={"odd": 2, "even": 2},
        clusters={"odd": 2, "even": 2},
        dimensions={"odd": AXES, "even": AXES},
        classes=(
            MatchedClass(1, 2, 500, 480, 12.0, 9.0, 0.9, SEEN, SEEN),
            MatchedClass(2, 1, 400, 420, 14.0, 10.0, 0.8, SEEN, UNSEEN),
        ),
    )


def test_the_verdict_names_what_both_halves_found(found):
    told = [finding.text for finding in judge(found)]
    assert told[0] == "Reproducible: 1 of 2 latent dimensions, 1 of 2 classes."
    assert any("axis 1 (87 %) of the odd half" in text for text in told)
    assert any("6.0 Å" in text and "5.8 Å" in text for text in told)
    assert "Both halves fall into two separate groups." in told
    assert "14.0 Å or better" in told[-1]
    assert "2 and 1 (odd and even)" in told[-1]


@pytest.mark.parametrize(
    "weak", [Gain(-0.1, 0.02, 0.3), Gain(0.1, 0.05, 2.0)], ids=["lost", "within its error"]
)
def test_without_a_gain_nothing_is_reproducible(found, weak):
    """Whatever axes and classes agree."""
    without = replace(found, gain={**found.gain, "even": weak})
    assert judge(without)[0].text == "Nothing reproducible."
    assert without.reproducible_dimensions("odd") == ()
    assert without.reproducible_classes == ()


def test_without_an_axis_in_one_half_nothing_is_reproducible(found):
    without = replace(found, dimensions={"odd": AXES, "even": AXES[1:]})
    assert judge(without)[0].text == "Nothing reproducible."


def test_the_page_is_whole(found):
    generator = torch.Generator().manual_seed(0)
    volume = Volume(torch.rand(16, 16, 16, generator=generator), 4.0)
    curve = Curve(frequency=torch.arange(9) / 64, correlation=torch.linspace(1, 0, 9))
    pairs = [ClassPair(0, 1, (500, 480), 0.9, curve, (volume, volume))] * 2
    place = np.random.default_rng(0).normal(size=(3, 200, 2))
    readings = (
        Reading(place[0], place[1], np.arange(100)),
        Reading(place[0], place[2], np.arange(100, 200)),
    )
    page = build_comparison(
        found, pairs, readings, title="twice", subtitle="<x>.star", command="cryomix reproduce",
        created="today",
    )  # fmt: skip
    assert "&lt;x&gt;.star" in page
    assert page.count("<svg") == 3
    assert page.count('class="picture"') == 4
    assert len(re.findall(r"<td>reproducible</td>", page)) == 3
    assert "--paper:" in page
    assert not re.search(r"src=[\"'](?!data:)|<link|@import", page)
