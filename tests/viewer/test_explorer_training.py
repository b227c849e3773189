"""The page of a job that is being trained: the map grows epoch by epoch, to the end."""

import numpy as np
import pytest
import torch
from page_state import drag, wait_for
from training_under_way import begin_training

from cryomix.files.job import JobFolder

SHOWN = "Array.from(window.cryomix.{}.{})"


@pytest.fixture
def training(tmp_path, monkeypatch):
    pytest.importorskip("uvicorn", reason="cryomix[view] is not installed")
    monkeypatch.setattr("cryomix.viewer.server._LOOK_EVERY", 0.1)
    return begin_training(JobFolder(tmp_path / "job"))


def numbers(page, of, name):
    return np.float32(page.evaluate(SHOWN.format(of, name)))


def wait_for_map(page, latent):
    """The axes are the first two latents."""
    for axis, values in (("x", latent[:, 0]), ("y", latent[:, 1])):
        wait_for(page, f"Math.abs(window.cryomix.map?.{axis}[7] - {values[7]}) < 1e-5")
    np.testing.assert_allclose(numbers(page, "map", "x"), latent[:, 0], rtol=1e-6)
    np.testing.assert_allclose(numbers(page, "map", "y"), latent[:, 1], rtol=1e-6)


def shown_center(page):
    wait_for(page, "window.cryomix.view.due === 0")
    seats = "window.cryomix.view.moving.points.geometry.attributes.position.array"
    return np.float32(page.evaluate(f"Array.from({seats})")).reshape(-1, 3)


def decoded(training, latent):
    return training.model.decode(torch.from_numpy(np.float32(latent))[None])[0].center.numpy()


def test_the_map_is_renewed_after_each_epoch_and_at_the_end(serve, open_page, training):
    page = open_page(serve(training.job))
    page.evaluate("window.kept = true")
    assert "no epoch has ended yet" in page.inner_text("#epoch")
    training.end_epoch()
    wait_for(page, "!!window.cryomix.map?.x.length")
    assert not page.is_visible("#training")
    told = "being trained: latents as the encoder gave them in epoch 1"
    assert page.inner_text("#strip-told").startswith(told)
    page.select_option("#x-axis", "latent1")
    page.select_option("#y-axis", "latent2")
    wait_for_map(page, training.latents(0))

    drag(page, (0.5, 0.5), (0.6, 0.4))
    wait_for(page, "window.cryomix.latest && window.cryomix.connection.sent.size === 0")
    latent = numbers(page, "latest", "latent")
    np.testing.assert_allclose(shown_center(page), decoded(training, latent), atol=1e-4)
    page.click("#pin-a")
    page.click("#zoom-in")
    frame = page.evaluate("({...window.cryomix.map.frame})")
    before = shown_center(page)

    page.select_option("#shade", "held_out")
    wait_for(page, "document.getElementById('legend').innerText.includes('held out, only scores')")

    wait_for_map(page, training.end_epoch())
    assert "in epoch 2" in page.inner_text("#strip-told")
    assert page.evaluate("({...window.cryomix.map.frame})") == frame
    now = decoded(training, latent)
    assert np.abs(now - before).max() > 0.1
    assert "usual distance" in page.inner_text("#reach")  # neighbours are known by then
    wait_for(page, "window.cryomix.view.due === 0")
    np.testing.assert_allclose(shown_center(page), now, atol=1e-4)
    pinned = numbers(page, "motion.pins.a.answer", "model.center").reshape(-1, 3)
    np.testing.assert_allclose(pinned, now, atol=1e-4)
    scores = "document.getElementById('strip-scores').ariaLabel"
    wait_for(page, f"{scores} === 'scores after 2 epochs: training 1.000, held out 0.8000'")
    assert page.is_disabled("#keep")
    assert page.is_disabled("#rebuild")
    page.click("#pin-b")
    assert page.inner_text("#commands") == ""  # they would be of other latents than these

    # That colour ends with the training; a page that asks for it a moment too late is refused it.
    page.select_option("#shade", "")
    wait_for(page, "window.cryomix.shade === ''")
    training.end_epoch(decays=4)
    wait_for(page, "document.getElementById('strip-told').textContent.startsWith('trained for 3')")
    wait_for_map(page, training.end())
    assert not page.is_visible("#strip")
    assert page.is_enabled("#keep")
    assert "uncertainty" in page.inner_text("#shade")
    assert page.evaluate("window.kept")  # all of it in one page
