import math
import re
from dataclasses import replace

import pytest
import torch

from cryomix.latent.density import PlaneDensity
from cryomix.report.confidence import assess
from cryomix.report.content import Populations, ReportContent
from cryomix.report.findings import list_limits
from cryomix.report.page import build_page
from cryomix.report.populations import judge_populations, summarize_populations

_STRETCHES = 15


def make_populations(noise: float = 0.05, *, one: bool = False) -> Populations:
    """Three quarters of the particles around 6 Å, one around 20 Å; or all spread evenly."""
    generator = torch.Generator().manual_seed(0)
    place = 2.0 * torch.arange(_STRETCHES).double()
    wells = 0.75 * torch.exp(-((place - 6) ** 2) / 8) + 0.25 * torch.exp(-((place - 20) ** 2) / 8)
    share = torch.full_like(place, 1 / _STRETCHES) if one else (wells + 0.001) / wells.sum()
    scatter = noise * torch.randn(200, _STRETCHES, generator=generator).double()
    draws = share * scatter.exp()
    low, high = draws.quantile(torch.tensor([0.025, 0.975]).double(), dim=0)
    energy, lower, upper = (-value.log() for value in (share, high, low))
    bottom = energy.min()
    return Populations(
        distance=place, length=torch.full_like(place, 2.0), share=share, share_low=low,
        share_high=high, free_energy_kt=energy - bottom, free_energy_low_kt=lower - bottom,
        free_energy_high_kt=upper - bottom, counted=share, draws=draws,
        particle_error=torch.full_like(place, 2.5), state=torch.arange(_STRETCHES) // 3,
    )  # fmt: skip


def _told(findings) -> str:
    return " ".join(finding.text for finding in findings)


def test_two_wells_are_told_with_their_ratio():
    text = _told(summarize_populations(make_populations()))
    assert "two populations" in text
    assert re.search(r"7[345] % \(7\d–7\d %\) around 6.0 Å \(state 2\)", text)
    assert re.search(r"holds 3\.0 \(2\.\d–3\.\d\) times as many", text)
    energy = float(text.split("free energy of ")[1].split(" kT")[0])
    assert energy == pytest.approx(math.log(3), abs=0.05)


def test_even_particles_are_one_population():
    text = _told(summarize_populations(make_populations(one=True)))
    assert "one population" in text
    assert "between 6 and 22 Å" in text
    assert summarize_populations(None) == []


def test_a_dip_of_one_stretch_divides_nothing():
    """What steps of one motion leave between them, sure as it may be."""
    even = make_populations(one=True)
    dip = torch.ones(_STRETCHES).double()
    dip[4] = 0.1
    text = _told(
        summarize_populations(replace(even, share=even.share * dip, draws=even.draws * dip))
    )
    assert "one population" in text


def test_a_barrier_in_one_measure_of_length_only_divides_nothing():
    """As many particles as elsewhere, on stretches said to be seven times as long."""
    even = make_populations(one=True)
    length = even.length.clone()
    length[6:9] *= 7
    stretched = replace(even, length=length)
    assert "one population" in _told(summarize_populations(stretched))
    assert "it parts nothing" in _told(judge_populations(stretched))
    assert "it parts nothing" not in _told(judge_populations(even))


def test_wide_intervals_say_that_nothing_can_be_said():
    sure = judge_populations(make_populations(0.05))
    assert "± 2.5 Å" in _told(sure)
    assert [finding.tone for finding in sure] == ["plain"]
    unsure = judge_populations(make_populations(1.0))
    assert [finding.tone for finding in unsure] == ["plain", "bad"]
    assert "From 0.0 to 29.0 Å" in _told(unsure)


def test_the_page_shows_populations_and_density(content):
    x, y = torch.linspace(-2, 2, 40), torch.linspace(-1, 1, 40)
    plane = PlaneDensity(x, y, torch.exp(-(x**2) - 4 * y[:, None] ** 2))
    page = build_page(replace(content, populations=make_populations(), density=plane))
    assert "Population and free energy along the path" in page
    assert "Density over the principal axes" in page
    assert page.count("<h2>Populations</h2>") == 1
    assert len(page) < 2_000_000
    assert "<h2>Populations</h2>" not in build_page(content)


def test_the_limits_say_what_the_free_energy_depends_on():
    content = ReportContent(title="x", populations=make_populations())
    assert "per Å of this path" in _told(list_limits(content))


def test_particles_that_do_not_see_the_motion_are_told():
    few, many = (assess(ReportContent(title="x", unseeing=share)) for share in (0.12, 0.7))
    assert "12 % of the particles" in _told(few)
    assert [finding.tone for finding in (*few, *many)] == ["plain", "bad"]
