"""Sliders of domains in the page: alone, both, against each other; commands for what is shown."""

import shlex

import numpy as np
import pytest
import torch
from page_state import IDLE, numbers, require_decoded, wait_for

from cryomix import cli
from cryomix.files.checkpoint import read_gaussians
from cryomix.files.domain_motions import write_domain_motions
from cryomix.files.mrc import write_volume
from cryomix.imaging.gaussians import render_volume
from cryomix.latent.localized_path import DomainMotion
from cryomix.latent.screw_motion import ScrewMotion

TOLD = "#motions output"
COUNTED = "window.cryomix.motion.domains.sliders.every((each) => each.counted.length)"


@pytest.fixture
def jointed_job(job):
    """Two domains: one goes 30 Å per unit of the first latent, the other of the second."""
    axis, hinge = torch.eye(3, dtype=torch.float64)[:2]
    rigid = ScrewMotion(31.5, 2.0, axis, 3.0, 4 * hinge, -1.5, 0.2, 12.0, 0.97)
    for number, (name, way) in enumerate((("arm", [1.0, 0, 0]), ("lid", [0, 1.0, 0]))):
        np.save(job.localized(name), np.float32([way]))
        np.save(job.domain_coordinate(name), _gone(number))
    motions = [DomainMotion(name, 20, 30.0, 0.0, 1.0, rigid) for name in ("arm", "lid")]
    write_domain_motions(job.domain_motions, motions)
    return job


def _gone(number):
    return np.random.default_rng(number).uniform(-40, 50, 3000)


def slide(page, name, length):
    page.evaluate(
        f"const it = document.getElementById('motion-{name}'); it.value = '{length}'; "
        "it.dispatchEvent(new Event('input')); it.dispatchEvent(new Event('change'))"
    )
    wait_for(page, IDLE)


def test_sliders_add_up_and_pairs_go_together_or_against_each_other(
    serve, open_page, jointed_job, arm
):
    page = open_page(serve(jointed_job))
    page.click("[data-tab=domains]")
    wait_for(page, COUNTED)
    labels = page.locator("#motions label").all_inner_texts()
    assert labels == ["arm", "lid", "both", "against each other"]
    slide(page, "arm", 15)
    slide(page, "lid", -6)
    np.testing.assert_allclose(require_decoded(page, arm), [0.5, -0.2, 0], atol=1e-6)
    moved = numbers(page, "latest.model.center").reshape(-1, 3) - arm.decoder.neutral.center.numpy()
    np.testing.assert_allclose(moved[40:], np.tile([15, -6, 0], (20, 1)), atol=1e-3)
    assert page.locator(TOLD).all_inner_texts() == ["15 Å", "-6 Å", "4.5 Å", "10.5 Å"]
    slide(page, "both", 9)  # half the difference stays
    assert page.locator(TOLD).all_inner_texts() == ["19.5 Å", "-1.5 Å", "9 Å", "10.5 Å"]
    slide(page, "against", -12)  # and half the sum
    assert page.locator(TOLD).all_inner_texts() == ["-3 Å", "21 Å", "9 Å", "-12 Å"]
    np.testing.assert_allclose(require_decoded(page, arm), [-0.1, 0.7, 0], atol=1e-6)
    page.click("#domains-reset")
    wait_for(page, IDLE)
    assert (require_decoded(page, arm) == 0).all()


def test_particles_are_counted_under_each_slider(serve, open_page, jointed_job):
    page = open_page(serve(jointed_job))
    page.click("[data-tab=domains]")
    wait_for(page, COUNTED)
    arm, lid = _gone(0), _gone(1)
    each = {"arm": arm, "lid": lid, "both": (arm + lid) / 2, "against": (arm - lid) / 2}
    for number, name in enumerate(each):
        slider = f"window.cryomix.motion.domains.sliders[{number}]"
        counted = page.evaluate(f"{slider}.counted")
        low, high = (float(page.evaluate(f"{slider}.input.{end}")) for end in ("min", "max"))
        values = each[name]
        assert low < values.min()
        assert high > values.max()
        expected, _ = np.histogram(values, bins=80, range=(low, high))
        assert np.abs(np.subtract(counted, expected)).max() <= 2  # on an edge either bin is right
        assert sum(counted) == 3000


def test_the_commands_decode_and_lay_a_path_to_what_is_shown(
    serve, open_page, jointed_job, arm, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_volume(jointed_job.neutral_map, render_volume(arm.decoder.neutral, 48, 4.0))
    page = open_page(serve(jointed_job))
    page.click("[data-tab=domains]")
    slide(page, "arm", 10)
    slide(page, "lid", -7)
    shown = numbers(page, "latest.latent")
    code = "document.querySelectorAll('#commands code')"
    commands = page.evaluate(f"Array.from({code}, (each) => each.firstChild.textContent)")
    decode = next(each for each in commands if " decode " in each)
    lay = next(each for each in commands if " trajectory " in each).split(" && ")
    assert cli.main(shlex.split(decode)[1:]) == 0
    model = read_gaussians(tmp_path / "domains_state" / "state001.safetensors")
    expected = arm.decode(torch.from_numpy(shown)[None])[0].center
    torch.testing.assert_close(model.center, expected, atol=0, rtol=0)
    assert cli.main(shlex.split(lay[0])[1:]) == 0
    path = np.load(jointed_job.trajectories / "domains.npy")
    assert (path[0] == 0).all()
    assert (path[-1] == shown).all()
    assert lay[1] == f"cryomix draw {jointed_job.path} domains -o domains_drawn"
