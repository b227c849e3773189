"""A page whose server goes away, comes back, and finds new results meanwhile."""

import http.server
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from page_state import IDLE, drag, numbers, require_decoded, wait_for

from cryomix.files.checkpoint import write_array
from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.reduction import fit_pca

STATE = "document.querySelector('#state').innerText"
CHOSEN = "Array.from(window.cryomix.map.selection.chosen)"


@pytest.fixture(autouse=True)
def _look_often(monkeypatch):
    monkeypatch.setattr("cryomix.viewer.server._LOOK_EVERY", 0.1)


def port_of(address):
    return urlsplit(address).port


def look_around(page):
    """Pin two places, choose particles, zoom, turn the molecule, colour by cluster."""
    for key, place in (("a", 0.3), ("b", 0.6)):
        drag(page, (place, 0.5), (place, 0.55))
        wait_for(page, IDLE)
        page.keyboard.press(key)
    page.click("[data-tool=lasso]")
    drag(page, (0.3, 0.3), (0.7, 0.3), (0.6, 0.7))
    page.click("[data-tool=drag]")
    page.select_option("#shade", "uncertainty")
    wait_for(page, "window.cryomix.shade === 'uncertainty'")
    page.click("#zoom-in")
    page.focus("#model")
    page.keyboard.press("ArrowLeft")


def seen(page):
    """All that must not be lost."""
    return page.evaluate(
        "(() => { const { map, view, motion } = window.cryomix; return {"
        "frame: map.frame, chosen: Array.from(map.selection.chosen), cursor: map.cursor,"
        "camera: view.orbit.camera.position.toArray(), shade: map.shade?.info.name,"
        "pins: [motion.pins.a, motion.pins.b].map((pin) => Array.from(pin.answer.latent)),"
        "axes: ['x-axis', 'y-axis'].map((id) => document.getElementById(id).value),"
        "arrows: view.quiver.children[0].count }; })()"
    )


def test_a_page_goes_on_where_it_was_when_the_server_is_there_again(serve, open_page, job, arm):
    address = serve(job)
    page = open_page(address)
    look_around(page)
    before = seen(page)
    assert sum(before["chosen"]) > 100
    serve.end()
    wait_for(page, f"{STATE}.includes('no connection, next try in 1 s')")
    drag(page, (0.4, 0.5), (0.45, 0.5))  # asked while nobody answers
    assert page.evaluate("window.cryomix.connection.queue !== null")
    wait_for(page, f"{STATE}.includes('next try in 2 s')")  # the pauses grow
    answers = page.evaluate("window.cryomix.answers.length")
    assert serve(job, port_of(address)) == address
    page.click("#state button")
    wait_for(page, f"{STATE} === '' && {IDLE}")
    wait_for(page, f"window.cryomix.answers.length > {answers}")  # it was asked again
    after = seen(page)
    place = after["cursor"]
    assert after == {**before, "cursor": place}
    latent = require_decoded(page, arm)
    pca = fit_pca(torch.from_numpy(np.load(job.latents)))
    wanted = pca.mean + torch.tensor(place, dtype=torch.float64) @ pca.basis[:2]
    np.testing.assert_allclose(latent, wanted, atol=1e-5)
    drag(page, (0.6, 0.6), (0.62, 0.6))
    wait_for(page, IDLE)
    assert not np.array_equal(require_decoded(page, arm), latent)


def test_the_page_looks_at_once_when_the_browser_is_online(serve, open_page, job):
    address = serve(job)
    page = open_page(address)
    serve.end()
    wait_for(page, f"{STATE}.includes('next try in 4 s')")
    serve(job, port_of(address))
    page.evaluate("window.dispatchEvent(new Event('online'))")
    wait_for(page, f"{STATE} === ''", 2)


def test_a_line_that_is_dead_without_saying_so_is_noticed(serve, open_page, job):
    """As of a laptop that slept: the socket is open still, and nothing comes."""
    page = open_page(serve(job))
    page.evaluate("window.cryomix.connection.line.socket.onmessage = () => {}")
    page.evaluate("window.dispatchEvent(new Event('online'))")
    wait_for(page, f"{STATE}.includes('no connection')", 6)
    wait_for(page, f"{STATE} === ''", 6)


def test_the_token_is_sent_to_nobody_who_does_not_know_it(serve, open_page, job):
    """Another user of the machine takes the port while no server runs."""
    address = serve(job)
    page = open_page(address)
    serve.end()
    asked = []

    class Stranger(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"0" * 64)

        def log_message(self, *_):
            pass

    stranger = http.server.ThreadingHTTPServer(("127.0.0.1", port_of(address)), Stranger)
    thread = threading.Thread(target=stranger.serve_forever)
    thread.start()
    try:
        wait_for(page, f"{STATE}.includes('another program has the')")
        page.select_option("#shade", "cluster")
        page.select_option("#x-axis", "latent1")
        page.click("[data-tool=lasso]")
        wait_for(page, "document.querySelector('#said').innerText.includes('no connection')")
        page.select_option("#look", "surface")
        page.wait_for_timeout(300)
    finally:
        stranger.shutdown()
        stranger.server_close()
        thread.join()
    assert asked
    assert all(path.startswith("/proof/") for path in asked)
    assert all(address.split("/")[3] not in path for path in asked)
    serve(job, port_of(address))
    page.evaluate("window.cryomix.connection.retry()")
    wait_for(page, f"{STATE} === ''")
    # What was chosen meanwhile is shown now.
    wait_for(page, "window.cryomix.axes === 'latent1,pca2' && window.cryomix.shade === 'cluster'")


def test_new_results_come_to_every_page_without_a_reload(serve, open_page, job, arm):
    """A new UMAP moves the latents down the list of columns, clusters come, then maps."""
    job.umap.unlink()
    job.clusters.unlink()
    address = serve(job)
    first, second = open_page(address), open_page(address)
    for page in (first, second):
        page.select_option("#x-axis", "latent1")
        page.select_option("#y-axis", "latent2")
        page.evaluate("window.stays = true")
    look_around(first)
    before = seen(first)
    assert first.locator("#shade option[value=cluster]").count() == 0
    version = first.evaluate("window.cryomix.connection.job.version")
    first.evaluate(
        "window.cryomix.dragging = setInterval(() => window.cryomix.map.moveCursor("
        "Math.sin(performance.now() / 200), 0.2), 15)"
    )
    label = (np.load(job.latents)[:, 0] > 0).astype(np.int64)
    write_array(job.clusters, label)
    write_array(job.umap, np.random.default_rng(4).normal(size=(3000, 2)).astype(np.float32))
    for page in (first, second):
        wait_for(page, "document.querySelector('#shade option[value=cluster]') !== null")
        wait_for(page, "document.querySelector('#x-axis option[value=umap1]') !== null")
        assert page.evaluate(f"window.stays && window.cryomix.connection.job.version !== {version}")
        page.select_option("#shade", "cluster")
        wait_for(page, "window.cryomix.shade === 'cluster'")
        assert np.array_equal(numbers(page, "map.shade.values"), label + 1)
    first.evaluate("clearInterval(window.cryomix.dragging)")
    wait_for(first, IDLE)
    after = seen(first)
    latent = require_decoded(first, arm)
    np.testing.assert_allclose(latent[:2], after["cursor"], atol=1e-5)
    assert after == {**before, "cursor": after["cursor"], "shade": "cluster"}


def test_a_job_with_other_particles_and_another_model_is_shown(
    serve, open_page, job, arm, monkeypatch
):
    page = open_page(serve(job))
    look_around(page)
    drag(page, (0.5, 0.5), (0.5, 0.6))
    still = arm.decoder.neutral
    fewer = GaussianModel(still.center[:50], still.amplitude[:50], still.width[:50])
    settings = SimpleNamespace(latent_size=2, grid=arm.settings.grid)
    flat = replace(arm, settings=settings, decoder=SimpleNamespace(neutral=fewer))
    monkeypatch.setattr("cryomix.files.training.read_model", lambda path: flat)
    for path in (job.clusters, job.umap, job.latent_std):
        path.unlink()
    job.particles(Path("a.star")).unlink()
    write_array(job.latents, np.load(job.latents)[:2000, :2])
    wait_for(page, "document.querySelector('#facts').innerText.startsWith('2,000 particles')")
    wait_for(page, "window.cryomix.map.x.length === 2000")
    assert page.inner_text("#chosen") == "0"
    assert "other particles now" in page.inner_text("#said")
    assert page.evaluate("window.cryomix.motion.pins.a === null")
    assert page.input_value("#shade") == ""
    drag(page, (0.4, 0.4), (0.45, 0.4))
    wait_for(page, IDLE)
    assert len(require_decoded(page, flat)) == 2
    wait_for(page, "window.cryomix.view.due === 0")
    drawn = numbers(page, "view.moving.points.geometry.attributes.position.array")
    assert np.array_equal(drawn, numbers(page, "latest.model.center"))
    assert len(drawn) == 150


def test_what_cannot_be_read_is_said_and_all_stays(serve, open_page, job):
    page = open_page(serve(job))
    before = page.evaluate("window.cryomix.connection.job.version")
    write_array(job.clusters, np.zeros(7, np.int64))
    wait_for(page, f"{STATE}.includes('new results cannot be read')")
    assert page.evaluate("window.cryomix.connection.job.version") == before
    write_array(job.clusters, np.zeros(3000, np.int64))
    wait_for(page, f"{STATE} === ''")


def test_a_task_of_a_server_that_ended_has_ended(serve, open_page, job):
    address = serve(job)
    page = open_page(address)
    page.evaluate("window.cryomix.map.selection.apply(new Uint8Array(3000).fill(1), 'replace')")
    page.fill("#name", "all")
    page.click("#rebuild")
    row = "document.querySelector('#commands li[data-state]')"
    wait_for(page, f"{row}?.dataset.state === 'running'")
    serve.end()
    serve(job, port_of(address))
    page.evaluate("window.cryomix.connection.retry()")
    wait_for(page, f"{STATE} === ''")
    wait_for(page, f"{row}.innerText.includes('ended with the server')")
    assert page.locator("#commands li[data-state]").count() == 1
    assert page.locator("#commands .cancel").first.is_hidden()
    assert sorted(path.name for path in job.selections.iterdir()) == [
        "all.npy", "all.star", "all.states.npy"
    ]  # fmt: skip


def test_a_page_of_another_version_of_cryomix_says_so(serve, open_page, job, monkeypatch):
    address = serve(job)
    page = open_page(address)
    serve.end()
    from cryomix.viewer.server import _read_page

    now = _read_page()
    monkeypatch.setattr(
        "cryomix.viewer.server._read_page", lambda: {**now, "sources.sha256": b"another"}
    )
    serve(job, port_of(address))
    page.evaluate("window.cryomix.connection.retry()")
    wait_for(page, f"{STATE}.includes('load this page again')")
