"""What moves in the page, what it starts, and what it says when the server has gone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from page_state import IDLE, drag, numbers, require_decoded, wait_for
from rebuilt_particles import make_images, rebuilding

from cryomix.files.run_record import write_run_record
from cryomix.files.volume_list import read_volume_list

QUIVER = "window.cryomix.view.quiver.children[0]"


def test_arrows_go_from_the_gaussians_at_a_to_those_at_b(serve, open_page, job, arm):
    page = open_page(serve(job))
    models = []
    for key, place in (("a", 0.3), ("b", 0.7)):
        drag(page, (place, 0.5), (place, 0.55))
        wait_for(page, IDLE)
        page.keyboard.press(key)
        latent = torch.from_numpy(numbers(page, "latest.latent"))
        models.append(arm.decode(latent[None])[0].center.numpy())
    wait_for(page, f"{QUIVER} !== undefined")
    for scale in (1, 2.5):
        page.fill("#scale", str(scale))
        wait_for(page, f"window.cryomix.view.arrows.scale === {scale}")
        matrix = numbers(page, "view.quiver.children[0].instanceMatrix.array").reshape(-1, 4, 4)
        assert len(matrix) == 20  # those of the arm; the core stays
        np.testing.assert_allclose(matrix[:, 3, :3], models[0][40:], atol=1e-3)
        way = scale * (models[1] - models[0])[40:]
        assert np.linalg.norm(way, axis=1).min() > 5
        np.testing.assert_allclose(matrix[:, 1, :3], way, atol=1e-3)
    page.click("#unpin")
    wait_for(page, "window.cryomix.view.quiver.children.length === 0")


def test_a_path_of_the_job_is_played_there_and_back(serve, open_page, job, arm):
    page = open_page(serve(job))
    page.select_option("#path", "axis1")
    page.focus("#over")
    page.keyboard.press("Space")
    seen = []
    for _ in range(8):
        before = page.evaluate("window.cryomix.answers.length")
        wait_for(page, f"window.cryomix.answers.length > {before}")
        seen.append(numbers(page, "latest.latent"))
    page.keyboard.press("Space")
    wait_for(page, IDLE)
    last = require_decoded(page, arm)
    along = np.array([*seen, last])
    assert np.ptp(along[:, 0]) > 0.02
    assert (np.abs(along[:, 0]) <= 1).all()
    assert (along[:, 1:] == 0).all()  # the path goes along the first latent
    place = float(page.input_value("#along"))
    np.testing.assert_allclose(last[0], 2 * place - 1, atol=1.1e-3)  # the slider's step


@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="processes are looked for in /proc"
)
def test_a_rebuild_is_shown_and_can_be_cancelled_or_looked_at(serve, open_page, job, arm, make_ctf):
    make_images(job, arm, make_ctf)
    source = str(job.path / "a.star")
    job.run_record.unlink()
    write_run_record(job.run_record, "train", {"particles": source}, [], 0, "cpu")
    page = open_page(serve(job))
    page.click("[data-tool=rectangle]")
    drag(page, (0.02, 0.02), (0.98, 0.98))
    page.fill("#name", "all")
    page.click("#rebuild")
    row = "document.querySelector('#commands li[data-state]')"
    wait_for(page, f"{row}?.dataset.state === 'running'")
    assert page.inner_text("#commands [data-state] code").startswith(
        f"cryomix reconstruct {job.path} --select"
    )
    assert "running: started" in page.inner_text("#commands [data-state] small")
    assert len(rebuilding()) == 1
    out = job.selections / "all"
    while not out.is_dir():
        assert page.evaluate(f"{row}.dataset.state") == "running", page.inner_text("#commands")
        page.wait_for_timeout(20)
    page.click("#commands [data-state] .cancel")
    wait_for(page, f"{row}.dataset.state === 'cancelled' && !window.cryomix.connection.acts.size")
    wait_for(page, f"{row}.querySelector('.cancel').hidden")
    while rebuilding():
        page.wait_for_timeout(20)
    page.wait_for_timeout(100)
    assert sorted(path.name for path in job.selections.iterdir()) == [
        "all.npy", "all.star", "all.states.npy"
    ]  # fmt: skip
    assert page.locator("#overlay-label").is_hidden()
    page.fill("#nearest-count", "90")
    page.click("#nearest")
    wait_for(page, "window.cryomix.map.selection.count === 90")
    page.fill("#name", "few")
    page.click("#rebuild")
    wait_for(page, "document.querySelector('#overlay option[value=\\'selection few\\']') !== null")
    assert page.inner_text("#commands [data-state=done] small").startswith("done: selection: 90")
    page.click("#commands [data-state=done] >> text=Show map")
    wait_for(page, "document.querySelector('#overlay').value === 'selection few'")
    wait_for(page, "window.cryomix.view.density && window.cryomix.view.mapBall.mesh.visible")
    page.click('#commands [data-state=done] button:text-is("FSC")')
    wait_for(page, "document.getElementById('fsc-name').textContent === 'selection few'")
    entry = read_volume_list(job.selections / "few")["selection"]
    facts = page.inner_text("#fsc-facts")
    assert facts.startswith(f"masked {entry.resolution:.1f} Å")
    assert facts.endswith("90 particles")


def test_when_the_server_has_ended_the_page_says_what_to_do(serve, open_page, job):
    page = open_page(serve(job))
    serve.end()
    wait_for(page, "document.querySelector('#state').innerText.includes('start cryomix view')")
    page.click("#nearest")
    wait_for(page, "document.querySelector('#said').innerText.includes('no connection')")
    page.fill("#name", "late")
    page.evaluate("window.cryomix.map.selection.apply(new Uint8Array(3000).fill(1), 'replace')")
    page.click("#keep")
    wait_for(page, "document.querySelector('#said').className === 'bad'")
    assert not job.selections.exists()
