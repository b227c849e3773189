"""Domains in the page: how they turn in numbers, what is held still, faded, hidden."""

import base64
import json

import numpy as np
import pytest
import torch
from hinged_job import AXIS, GAUSSIANS, HINGE, PARTS, SHIFT, make_hinged, members, write_domains
from page_state import wait_for
from scipy.spatial.transform import Rotation
from test_viewer_server import get, talk

from cryomix.commands.exploration import read_exploration
from cryomix.errors import CheckpointError
from cryomix.files.checkpoint import write_array
from cryomix.viewer.turns import measure_turns

VIEW = "window.cryomix.view"
STILL = (
    "window.cryomix.connection.sent.size === 0 && !window.cryomix.connection.queue "
    f"&& {VIEW}.due === 0"
)
ALL = [*AXIS, "rest", "whole"]


@pytest.fixture
def arm():
    """The model of every job here."""
    return make_hinged()


@pytest.fixture
def hinged_job(job):
    write_domains(job)
    return job


def go_to(page, *latent):
    before = page.evaluate("window.cryomix.answers.length")
    page.evaluate(f"window.cryomix.connection.ask(2, [0, 0], {list(latent)})")
    wait_for(page, f"window.cryomix.answers.length > {before} && {STILL}")


def numbers(page, expression):
    return np.array(page.evaluate(f"Array.from({expression})"))


def places(page):
    return numbers(page, f"{VIEW}.placed.center").reshape(-1, 3)


def turn_of(page, number):
    part = f"{VIEW}.domains.list[{number}].part"
    return page.evaluate(f"{part}.turn({VIEW}.compared, {VIEW}.placed)")


def superpose(start, end, weight):
    """Kabsch by singular values: rotation vector, and how a point moves."""
    middle, there = (np.average(place, axis=0, weights=weight) for place in (start, end))
    turn = Rotation.align_vectors(end - there, start - middle, weights=weight)[0]
    return turn.as_rotvec(), lambda point: turn.apply(point - middle) + there - point


def spread(values):
    values = np.asarray(values)
    return np.sqrt((len(values) - 1) / len(values) * ((values - values.mean(0)) ** 2).sum())


@pytest.mark.parametrize("latent", [(0.7, -0.2, 0.0), (-1.3, 0.4, 0.5), (0.02, 2.9, 0.0)])
def test_the_numbers_are_those_of_a_superposition(serve, open_page, hinged_job, arm, latent):
    page = open_page(serve(hinged_job))
    go_to(page, *latent)
    models = arm.decode(torch.tensor([[0.0, 0, 0], list(latent)]))
    start, end = models.center.double().numpy()
    mass = (models.amplitude * models.width**3).mean(0).double().numpy()
    for number, name in enumerate(AXIS):
        part, found = PARTS[name], turn_of(page, number)
        whole = (start[part], end[part], mass[part])
        vector, way = superpose(*whole)
        middle = np.average(start[part], axis=0, weights=mass[part])
        axis = vector / np.linalg.norm(vector)
        assert found["angle"] == pytest.approx(np.degrees(np.linalg.norm(vector)), abs=1e-3)
        np.testing.assert_allclose(found["axis"], axis, atol=1e-3)
        assert found["shift"] == pytest.approx(way(middle) @ axis, abs=1e-3)
        assert found["travel"] == pytest.approx(np.linalg.norm(way(middle)), abs=1e-3)
        hinge = np.array(found["hinge"])
        np.testing.assert_allclose(way(hinge), found["shift"] * axis, atol=5e-3)
        block = numbers(page, f"{VIEW}.domains.list[{number}].part.block")
        assert np.bincount(block).min() >= 1
        assert len(np.bincount(block)) == 5
        others = [superpose(*(each[block != one] for each in whole)) for one in range(5)]
        turned = np.degrees([np.linalg.norm(one) for one, _ in others])
        assert found["angleError"] == pytest.approx(spread(turned), abs=1e-3)
        shifts = [moved(middle) @ one / np.linalg.norm(one) for one, moved in others]
        assert found["shiftError"] == pytest.approx(spread(shifts), abs=1e-3)
        if latent[2] == 0:  # a rigid motion, and known
            angle = latent[number]
            assert found["angle"] == pytest.approx(np.degrees(abs(angle)), abs=0.01)
            away = hinge - HINGE[name]
            along = AXIS[name]
            np.testing.assert_allclose(away - (away @ along) * along, 0, atol=0.05)
            assert found["shift"] == pytest.approx(abs(angle) * SHIFT[name], abs=0.01)


def test_the_table_says_them_while_the_model_moves(serve, open_page, hinged_job, arm):
    page = open_page(serve(hinged_job))
    assert page.locator("#turns").is_hidden()
    page.focus("#turns-button")
    page.keyboard.press("Enter")
    for angle in (0.4, 0.9):
        go_to(page, angle, 0, 0)
        rows = [line.split("\t") for line in page.inner_text("#turns-table").split("\n")]
        row = next(row for row in rows if row[0] == "arm")
        texts = page.locator("#turns-table tr:nth-child(2) td").all_inner_texts()[2:8]
        assert texts[0] == f"{np.degrees(angle):.1f} ± 0.0", row
        assert texts[1] == "0.67 −0.33 0.67"
        assert texts[3] == f"{SHIFT['arm'] * angle:.1f} ± 0.0"
        models = arm.decode(torch.tensor([[0.0, 0, 0], [angle, 0, 0]])).center.double().numpy()
        square = np.linalg.norm(np.diff(models[:, PARTS["arm"]], axis=0)[0], axis=1) ** 2
        weight = arm.decoder.neutral.amplitude.double().numpy()[PARTS["arm"]]
        assert float(texts[5]) == pytest.approx(np.average(square, weights=weight) ** 0.5, abs=0.06)
    foot = page.locator("#turns-table tr:nth-child(3) td").all_inner_texts()[2:]
    assert foot[:4] == ["0.0 ± 0.0", "–", "–", "–"]
    assert page.locator("#turns-table tr:nth-child(3) button").is_disabled()
    page.check("#axes")
    drawn = page.evaluate(f"{VIEW}.axes")
    assert [axis["name"] for axis in drawn] == ["arm"]
    np.testing.assert_allclose(drawn[0]["direction"], AXIS["arm"], atol=1e-3)
    rod = page.evaluate(f"{VIEW}.axisMarks.children[0].quaternion.toArray()")
    np.testing.assert_allclose(Rotation.from_quat(rod).apply([0, 1, 0]), AXIS["arm"], atol=1e-3)
    page.click("#turns-table tr:nth-child(2) button")
    towards = page.evaluate(f"{VIEW}.orbit.direction.toArray()")
    np.testing.assert_allclose(towards, AXIS["arm"], atol=1e-3)


def test_a_domain_is_held_still(serve, open_page, hinged_job, arm):
    page = open_page(serve(hinged_job))
    page.click("#turns-button")
    page.check("[aria-label='hold arm still']")
    go_to(page, 0.8, -0.5, 0)
    neutral = arm.decoder.neutral.center.double().numpy()
    np.testing.assert_allclose(places(page)[PARTS["arm"]], neutral[PARTS["arm"]], atol=2e-3)
    back = Rotation.from_rotvec(-0.8 * AXIS["arm"])
    wanted = (back * Rotation.from_rotvec(-0.5 * AXIS["foot"])).as_rotvec()
    foot = turn_of(page, 1)
    assert foot["angle"] == pytest.approx(np.degrees(np.linalg.norm(wanted)), abs=0.01)
    np.testing.assert_allclose(foot["axis"], wanted / np.linalg.norm(wanted), atol=1e-3)
    assert "arm held still" in page.inner_text("#model-legend")
    page.check("[aria-label='hold rest still']")
    assert not page.is_checked("[aria-label='hold arm still']")
    wait_for(page, STILL)
    there = arm.decode(torch.tensor([[0.8, -0.5, 0]])).center[0].numpy()
    np.testing.assert_allclose(places(page), there, atol=2e-3)


def test_densities_are_compared_as_in_the_report(serve, open_page, hinged_job, arm):
    page = open_page(serve(hinged_job))
    page.click("#turns-button")
    page.check("[aria-label='hold foot still']")
    latent = (0.9, 0.3, 0.2)
    go_to(page, *latent)
    page.click("#measure")
    wait_for(page, "document.querySelector('#turns-of').innerText.includes('as in the report')")
    inside = [torch.from_numpy(members(name)) for name in PARTS]
    everything = torch.ones(GAUSSIANS, dtype=torch.bool)
    ends = (torch.zeros(3), torch.tensor(latent))
    wanted = measure_turns(arm.decode, ends, [*inside, everything], fixed=inside[1])
    for number, turn in enumerate(wanted):
        first = page.locator(f"#turns-table tr:nth-child({number + 2}) td")
        texts = first.all_inner_texts()[-7:-1]
        rigid = "" if turn.explained >= 0.9 else " *"
        assert texts[0] == f"{turn.angle_deg:.1f} ± {turn.angle_error_deg:.1f}{rigid}", ALL[number]
        if turn.angle_deg >= max(1, 2 * turn.angle_error_deg):
            axis = " ".join(f"{value:.2f}" for value in turn.axis.tolist()).replace("-", "−")
            assert texts[1] == axis
    go_to(page, 0.8, 0.3, 0.2)
    assert "by the centres of Gaussians" in page.inner_text("#turns-of")


def test_domains_are_coloured_faded_and_hidden(serve, open_page, hinged_job):
    page = open_page(serve(hinged_job))
    page.select_option("#tint", "domain")
    page.click("#turns-button")
    page.select_option("[aria-label='how foot is seen']", "faded")
    page.select_option("[aria-label='how rest is seen']", "hidden")
    wait_for(page, f"{VIEW}.frame === 0")
    shown, faded = (
        numbers(page, f"{VIEW}.{ball}.points.geometry.attributes.radius.array") > 0
        for ball in ("moving", "movingFaded")
    )
    assert (shown == members("arm")).all()
    assert (faded == members("foot")).all()
    tint = numbers(page, f"{VIEW}.moving.points.geometry.attributes.tint.array").reshape(-1, 3)
    # Okabe and Ito's blue and orange.
    np.testing.assert_allclose(255 * tint[PARTS["arm"]], np.tile([0, 114, 178], (30, 1)), atol=0.01)
    np.testing.assert_allclose(
        255 * tint[PARTS["foot"]], np.tile([230, 159, 0], (30, 1)), atol=0.01
    )
    assert page.inner_text("#model-legend").split() == [*AXIS, "rest"]


def test_arrows_are_relative_to_what_is_held_and_of_what_is_seen(serve, open_page, hinged_job):
    page = open_page(serve(hinged_job))
    page.click("#turns-button")
    page.check("[aria-label='hold arm still']")
    for key, angle in (("a", 0.0), ("b", 0.8)):
        go_to(page, angle, 0, 0)
        page.focus("#over")
        page.keyboard.press(key)
    page.select_option("[aria-label='how foot is seen']", "hidden")
    wait_for(page, f"{VIEW}.quiver.children.length > 0 && {STILL}")
    matrix = numbers(page, f"{VIEW}.quiver.children[0].instanceMatrix.array").reshape(-1, 4, 4)
    neutral = make_hinged().decoder.neutral.center.numpy()
    starts = [int(np.abs(neutral - place).sum(1).argmin()) for place in matrix[:, 3, :3]]
    assert set(starts) <= set(range(40))
    assert len(starts) > 20


def test_a_job_without_domains_has_numbers_of_the_whole(serve, open_page, job):
    page = open_page(serve(job))
    assert page.inner_text("#turns-button") == "Numbers"
    page.click("#turns-button")
    go_to(page, 0.5, 0, 0)
    assert page.locator("#turns-table tr").count() == 2
    tint = "document.querySelector('#tint option[value=domain]').hidden"
    assert page.evaluate(tint)
    page.click("#measure")
    wait_for(page, "document.querySelector('#turns-of').innerText.includes('as in the report')")
    write_domains(job)  # as an analysis does while the page is open
    wait_for(page, f"!{tint}")
    assert page.inner_text("#turns-button") == "Domains"
    assert page.locator("#turns-table tr").count() == 5


def test_the_server_sends_the_domains_of_the_job_and_those_given(serve, hinged_job):
    address = serve(hinged_job)
    told = json.loads(get(address, "job")[2])["domains"]
    assert [domain["name"] for domain in told] == list(AXIS)
    for domain in told:
        bits = np.frombuffer(base64.b64decode(domain["inside"]), np.uint8)
        inside = np.unpackbits(bits, bitorder="little", count=GAUSSIANS)
        np.testing.assert_array_equal(inside, members(domain["name"]))
    given = read_exploration(hinged_job, domains={"core": members("rest")})
    assert list(given.domains) == [*AXIS, "core"]
    assert list(given.again().domains) == [*AXIS, "core"]
    with talk(address) as (socket, _):
        asked = {"id": 1, "do": "measure", "from": [0, 0, 0], "to": [1, 0, 0]}
        for fixed, message in ((9, "there are 3 domains"), ("arm", "there are 3 domains")):
            socket.send(json.dumps({**asked, "fixed": fixed}))
            assert message in json.loads(socket.recv(timeout=20))["error"]
        socket.send(json.dumps({**asked, "to": [1, 0]}))
        assert "a latent of this job" in json.loads(socket.recv(timeout=20))["error"]


def test_members_of_another_model_are_refused(hinged_job):
    write_array(hinged_job.domain_members("foot"), np.ones(7, bool))
    with pytest.raises(CheckpointError, match="must hold true or false for each of 100 Gaussians"):
        read_exploration(hinged_job)
