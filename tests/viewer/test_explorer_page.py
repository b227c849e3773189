"""The page in a real browser: what is dragged, drawn and written is what it should be."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.path import Path as Outline
from page_state import drag, wait_for

from cryomix.files.checkpoint import write_array
from cryomix.files.star import read_star
from cryomix.latent.reduction import fit_pca
from cryomix.viewer.frames import write_answer

ROOT = Path(__file__).resolve().parents[2]
LATEST = "Array.from(window.cryomix.latest.{})"


def test_dragging_shows_the_model_of_that_place(serve, open_page, job, arm):
    page = open_page(serve(job))
    drag(page, (0.3, 0.4), *((0.3 + 0.02 * step, 0.4) for step in range(15)))
    wait_for(page, "window.cryomix.connection.sent.size === 0 && !window.cryomix.connection.queue")
    answers = page.evaluate("window.cryomix.answers")
    assert answers == sorted(answers)
    assert len(answers) >= 2
    place = page.evaluate("window.cryomix.map.cursor")
    pca = fit_pca(torch.from_numpy(np.load(job.latents)))
    wanted = pca.mean + torch.tensor(place, dtype=torch.float64) @ pca.basis[:2]
    found = np.float32(page.evaluate(LATEST.format("latent")))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    frame = write_answer(0, found, arm.decode(torch.from_numpy(found)[None])[0], 0.0)
    parts = ["model.center", "model.amplitude", "model.width"]
    shown = np.concatenate([np.float32(page.evaluate(LATEST.format(part))) for part in parts])
    assert shown.tobytes() == frame[16 + found.nbytes :]
    wait_for(page, "window.cryomix.view.due === 0")
    drawn = page.evaluate(
        "Array.from(window.cryomix.view.moving.points.geometry.attributes.position.array)"
    )
    assert np.float32(drawn).tobytes() == shown[: 3 * 60].tobytes()


@pytest.mark.parametrize("tool", ["lasso", "rectangle"])
def test_a_lasso_holds_the_particles_inside(serve, open_page, job, tool):
    page = open_page(serve(job))
    page.click(f"[data-tool={tool}]")
    corners = [(0.3, 0.3), (0.7, 0.25), (0.75, 0.7), (0.5, 0.5), (0.35, 0.75)]
    if tool == "rectangle":
        corners = [(0.3, 0.3), (0.75, 0.7)]
    drag(page, *corners)
    box = page.locator("#over").bounding_box()
    if tool == "rectangle":
        corners = [(0.3, 0.3), (0.75, 0.3), (0.75, 0.7), (0.3, 0.7)]
    place = [
        page.evaluate(f"window.cryomix.map.toPlace({x * box['width']}, {y * box['height']})")
        for x, y in corners
    ]
    point = fit_pca(torch.from_numpy(np.load(job.latents))).point[:, :2].numpy()
    inside = Outline(place).contains_points(point)
    found = np.array(page.evaluate("Array.from(window.cryomix.map.selection.chosen)"), bool)
    assert 100 < inside.sum() < len(point) - 100
    # The pointer stands on whole pixels of the screen, half of one away at most.
    assert (found != inside).mean() < 0.002
    assert page.inner_text("#chosen") == f"{found.sum():,}"
    page.evaluate("outline => window.cryomix.map.choose(outline, 'remove')", place)
    left = np.array(page.evaluate("Array.from(window.cryomix.map.selection.chosen)"), bool)
    assert np.array_equal(left, found & ~inside)


def test_what_is_exported_are_the_chosen_rows(serve, open_page, job):
    page = open_page(serve(job))
    page.click("[data-tool=lasso]")
    drag(page, (0.3, 0.3), (0.6, 0.3), (0.6, 0.7))
    drag(page, (0.1, 0.1), (0.2, 0.1), (0.2, 0.2))
    page.keyboard.press("Control+z")
    chosen = np.flatnonzero(page.evaluate("Array.from(window.cryomix.map.selection.chosen)"))
    assert len(chosen) > 50
    page.fill("#name", "open")
    page.click("#keep")
    wait_for(page, "document.querySelector('#commands code') !== null")
    assert np.array_equal(np.load(job.selections / "open.npy"), chosen)
    names = read_star(job.selections / "open.star").block("particles").column("rlnImageName")
    assert names == [f"{row + 1:06d}@a.mrcs" for row in chosen]
    told = page.inner_text("#commands code")
    assert told.startswith(f"cryomix export {job.path} --to star -o {job.selections}/open.star")
    page.fill("#name", "../outside")
    page.click("#keep")
    wait_for(page, "document.querySelector('#said').className === 'bad'")
    assert "a name must be letters" in page.inner_text("#said")
    assert sorted(path.name for path in job.path.parent.iterdir()) == ["job"]


def test_nearest_particles_by_key(serve, open_page, job):
    page = open_page(serve(job))
    drag(page, (0.5, 0.5), (0.52, 0.5))
    wait_for(page, "window.cryomix.latest !== undefined")
    page.fill("#nearest-count", "70")
    page.click("#nearest")
    wait_for(page, "window.cryomix.map.selection.count === 70")
    latent = np.load(job.latents)
    distance = np.linalg.norm(latent - page.evaluate(LATEST.format("latent")), axis=1)
    found = np.flatnonzero(page.evaluate("Array.from(window.cryomix.map.selection.chosen)"))
    assert set(found) == set(np.argsort(distance)[:70])


def test_pins_arrows_paths_and_looks(serve, open_page, job):
    page = open_page(serve(job))
    for key, place in (("a", 0.3), ("b", 0.7)):
        drag(page, (place, 0.5), (place, 0.52))
        wait_for(page, "window.cryomix.connection.sent.size === 0")
        page.keyboard.press(key)
    wait_for(page, "window.cryomix.view.arrows !== null")
    moved = page.evaluate("window.cryomix.view.quiver.children[0].count")
    assert moved == 20  # only the arm's Gaussians move
    assert page.input_value("#path") == "A to B"
    page.keyboard.press("Space")
    before = page.evaluate("window.cryomix.answers.length")
    wait_for(page, f"window.cryomix.answers.length > {before} + 3")
    page.click("#play")
    page.select_option("#look", "surface")
    page.click("#more summary")
    page.select_option("#beside", "beside")
    page.select_option("#reference", "a")
    wait_for(page, "window.cryomix.view.still.mesh.geometry.index?.count > 300")
    page.select_option("#shade", "rlnDefocusU")
    wait_for(page, "window.cryomix.shade === 'rlnDefocusU'")
    wait_for(page, "document.querySelector('#legend').innerText.includes('defocus U, Å')")


def test_a_job_that_lacks_parts_is_shown_without_them(serve, open_page, bare_job):
    page = open_page(serve(bare_job))
    axes = page.locator("#x-axis option").all_inner_texts()
    assert axes == [f"{name} {axis}" for name in ("PCA", "latent") for axis in (1, 2, 3)]
    assert page.locator("#motions input").count() == 0
    page.focus("#over")
    page.keyboard.press("ArrowRight")
    wait_for(page, "window.cryomix.latest !== undefined")


def test_a_training_shows_its_scores_then_what_it_found(serve, open_page, bare_job):
    bare_job.model.unlink()
    table = "number,training_score,held_out_score,learning_rate\n1,2.0,1.5,0.1\n2,3,2.25,0.1\n"
    bare_job.history.write_text(table)
    page = open_page(serve(bare_job))
    assert "2 epochs; held-out score 2.250" in page.inner_text("#epoch")
    bare_job.model.write_bytes(b"in its place stands an arm")
    wait_for(page, "window.cryomix.map?.x.length > 0")
    assert not page.is_visible("#strip")
    assert "3,000 particles" in page.inner_text("#facts")
    write_array(bare_job.clusters, np.zeros(3000, np.int64))
    wait_for(page, "document.querySelector('#shade option[value=cluster]') !== null")
    assert page.inner_text("#state") == ""
    near = "window.cryomix.map.moveCursor(0, 0), document.querySelector('#reach').innerText !== ''"
    wait_for(page, near)


def test_the_page_was_built_from_these_sources():
    """`make page` builds it anew."""
    folder = ROOT / "viewer-ui"
    names = ["index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.js"]
    names += [f"src/{path.name}" for path in (folder / "src").iterdir()]
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(name.encode() + b"\0" + (folder / name).read_bytes() + b"\0")
    stated = (ROOT / "src" / "cryomix" / "viewer" / "page" / "sources.sha256").read_text().strip()
    assert stated == digest.hexdigest()
