"""The explorer in cells of a notebook, in a real browser, with the kernel's side behind it."""

import numpy as np
import pytest
import torch
from notebook_host import Notebook
from page_state import drag, wait_for

from cryomix.latent.reduction import fit_pca
from cryomix.viewer.frames import write_answer

pytest.importorskip("anywidget", reason="cryomix[notebook] is not installed")

from cryomix.notebook import Explorer

IDLE = "({0}.connection.sent.size === 0 && !{0}.connection.queue)"


@pytest.fixture
def notebook(browser):
    opened = Notebook(browser)
    yield opened
    opened.end()
    assert opened.complaints == []


def numbers(page, name):
    return np.float32(page.evaluate(f"Array.from({name})"))


def require_decoded(page, explorer, arm, latent):
    """What is shown is, byte for byte, the model of this latent."""
    frame = write_answer(0, latent, arm.decode(torch.from_numpy(latent)[None])[0], 0.0)
    model = f"{explorer}.motion.current.model"
    parts = [numbers(page, f"{model}.{part}") for part in ("center", "amplitude", "width")]
    assert np.concatenate(parts).tobytes() == frame[16 + latent.nbytes :]


def wait_until(page, condition):
    for _ in range(1000):
        if condition():
            return
        page.wait_for_timeout(20)
    raise AssertionError("it did not come true")


def test_what_is_dragged_and_chosen_is_known_to_python(notebook, job, arm):
    widget, page = Explorer(job.path), notebook.page
    explorer = notebook.show(widget)
    drag(page, (0.3, 0.4), *((0.3 + 0.02 * step, 0.4) for step in range(15)))
    wait_for(page, IDLE.format(explorer))
    shown = numbers(page, f"{explorer}.motion.current.latent")
    place = page.evaluate(f"{explorer}.map.cursor")
    pca = fit_pca(torch.from_numpy(np.load(job.latents)))
    wanted = pca.mean + torch.tensor(place, dtype=torch.float64) @ pca.basis[:2]
    np.testing.assert_allclose(shown, wanted, atol=1e-5)
    require_decoded(page, explorer, arm, shown)
    wait_until(page, lambda: np.array_equal(widget.latent, shown))
    torch.testing.assert_close(
        widget.model().center, arm.decode(torch.from_numpy(shown)[None])[0].center
    )

    page.click("[data-tool=lasso]")
    drag(page, (0.3, 0.3), (0.6, 0.3), (0.6, 0.7))
    chosen = np.flatnonzero(page.evaluate(f"Array.from({explorer}.map.selection.chosen)"))
    assert len(chosen) > 50
    wait_until(page, lambda: np.array_equal(widget.selection, chosen))
    page.fill("#name", "open")
    page.click("#keep")
    wait_until(page, lambda: page.locator("#commands code").count() > 0)
    assert np.array_equal(np.load(job.selections / "open.npy"), chosen)


def test_python_leads_the_page(notebook, job, arm):
    widget, page = Explorer(job.path), notebook.page
    widget.selection = [0, 7, 2999]
    explorer = notebook.show(widget)
    wait_for(page, f"{explorer}.map.selection.count === 3")
    there = np.float32([0.7, -0.2, 0.1])
    widget.latent = there
    wait_for(page, f"{explorer}.motion.current.latent[0] === Math.fround(0.7)")
    require_decoded(page, explorer, arm, there)
    pca = fit_pca(torch.from_numpy(np.load(job.latents)))
    place = (torch.from_numpy(there).double() - pca.mean) @ pca.basis[:2].T
    np.testing.assert_allclose(page.evaluate(f"{explorer}.map.cursor"), place, atol=1e-5)
    mask = np.load(job.latents)[:, 0] > 0
    widget.selection = mask
    wait_for(page, f"{explorer}.map.selection.count === {mask.sum()}")
    page.locator("#over").focus()
    page.keyboard.press("Escape")
    wait_until(page, lambda: widget.selection.size == 0)
    np.testing.assert_array_equal(widget.latent, there)


def test_two_explorers_and_two_pages_of_one(notebook, job, bare_job):
    page = notebook.page
    first, second = Explorer(job.path), Explorer(job.path)
    cells = [notebook.show(widget, 800) for widget in (first, first, second)]
    drag(page, (0.6, 0.4), (0.62, 0.4))
    # The other page of the same widget follows; the other widget does not.
    wait_until(page, lambda: first.latent.any())
    wait_for(
        page, f"{cells[1]}.motion.current.latent.join() === {cells[0]}.motion.current.latent.join()"
    )
    assert not second.latent.any()
    page.locator("#over").nth(2).focus()
    page.keyboard.press("l")
    assert [page.evaluate(f"{cell}.map.tool") for cell in cells] == ["drag", "drag", "lasso"]
    page.evaluate("keys.length = 0")
    page.keyboard.press("d")
    page.keyboard.press("Control+z")
    assert page.evaluate("keys.filter((key) => key !== 'Control')") == []  # nor is a cell deleted
    page.evaluate("keys.length = 0")
    page.keyboard.press("Control+e")  # stands for what the notebook is asked to do
    page.focus("#other")
    page.keyboard.press("r")
    assert page.evaluate("keys") == ["Control", "e", "r"]
    assert page.evaluate(f"{cells[2]}.map.tool") == "drag"
    page.evaluate(f"{cells[1].removesuffix('.explorer')}.parentElement.close()")
    wait_until(page, lambda: len(first._views) == 1)


def test_a_kernel_that_computes_is_waited_for(notebook, job):
    widget, page = Explorer(job.path), notebook.page
    explorer = notebook.show(widget)
    kernel = notebook.kernels[id(widget)]
    kernel.is_free.clear()
    page.locator("#over").focus()
    page.keyboard.press("ArrowRight")
    state = (
        "document.querySelector('.cryomix-explorer').shadowRoot.querySelector('#state').innerText"
    )
    wait_for(page, f"{state}.startsWith('waiting for the kernel')")
    kernel.is_free.set()
    wait_for(page, f"{state} === '' && {IDLE.format(explorer)}")
    wait_until(page, lambda: widget.latent.any())


def test_a_dark_narrow_notebook_and_its_surfaces(browser, job):
    opened = Notebook(browser, is_dark=True)
    page = opened.page
    explorer = opened.show(Explorer(job.path), 700)
    assert page.evaluate(f"{explorer}.page.isDark()")
    box = page.locator(".body").bounding_box()
    assert box["width"] == 700
    assert box["height"] < 900
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.select_option("#look", "surface")
    wait_for(page, f"{explorer}.view.moving.mesh.geometry.index?.count > 300")
    opened.end()
    assert opened.complaints == []


def test_a_notebook_that_forbids_workers_shows_surfaces_too(browser, job):
    opened = Notebook(browser, policy="worker-src 'none'")
    explorer = opened.show(Explorer(job.path))
    opened.page.select_option("#look", "surface")
    wait_for(opened.page, f"{explorer}.view.moving.mesh.geometry.index?.count > 300")
    opened.end()
    assert all("worker-src" in complaint for complaint in opened.complaints)
    assert opened.complaints
