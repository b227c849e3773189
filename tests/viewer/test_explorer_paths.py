"""Paths drawn on the map: what the page plays, what it keeps and the command writes are one."""

import shlex

import numpy as np
import pytest
from page_state import IDLE, drag, numbers, require_decoded, wait_for

from cryomix import cli
from cryomix.files.checkpoint import write_array
from cryomix.files.run_record import read_run_record

ROUTE = "window.cryomix.motion.route"


def laid(page, name):
    """The latents of the path, once it is measured."""
    wait_for(page, f"document.querySelector('#path').value === '{name}' && {ROUTE}?.strip")
    latents = page.evaluate(f"{ROUTE}.latents.map((latent) => Array.from(latent))")
    return np.float32(latents)


def keep(page, job, name):
    """Keep it under a name; the file, and that of the command that is shown."""
    page.fill("#path-name", name)
    page.click("#keep-path")
    wait_for(page, f"document.querySelector('#path').value === '{name}'")
    code = "document.querySelectorAll('#commands code')"
    shown = page.evaluate(f"Array.from({code}, (each) => each.firstChild.textContent)")
    line = next(each for each in shown if each.endswith(f"-o {name}"))
    assert read_run_record(job.trajectories / f"{name}.toml").line == line
    assert cli.main([*shlex.split(line)[1:-1], f"{name}_again"]) == 0
    return [np.load(job.trajectories / f"{each}.npy") for each in (name, f"{name}_again")]


def principal(job):
    latent = np.load(job.latents).astype(np.float64)
    mean = latent.mean(axis=0)
    _, _, axes = np.linalg.svd(latent - mean, full_matrices=False)
    return mean, axes


def on_map(page, x, y):
    """Units of the map at a place in shares of its size."""
    frame = page.evaluate("({ ...window.cryomix.map.frame })")
    return frame["x"] + x * frame["width"], frame["y"] + (1 - y) * frame["height"]


@pytest.mark.parametrize("shift", [False, True])
def test_a_circle_or_ellipse_in_the_plane_is_the_commands(serve, open_page, job, shift):
    page = open_page(serve(job))
    page.keyboard.press("o")
    if shift:
        page.keyboard.down("Shift")
    drag(page, (0.5, 0.5), (0.55, 0.5), (0.7, 0.4))
    page.keyboard.up("Shift")
    path = laid(page, ":circle")
    assert len(path) == 10
    center, end = np.array(on_map(page, 0.5, 0.5)), np.array(on_map(page, 0.7, 0.4))
    half = np.abs(end - center) if shift else np.full(2, np.linalg.norm(end - center))
    shown = np.array(page.evaluate("window.cryomix.map.ticks"))
    pixel = page.evaluate("window.cryomix.map.frame.width") / 400
    np.testing.assert_allclose(np.hypot(*((shown - center) / half).T), 1, atol=pixel / half.min())
    mean, axes = principal(job)
    place = (path - mean) @ axes.T
    np.testing.assert_allclose(place[:, 2], 0, atol=1e-5)
    np.testing.assert_allclose(np.abs(place[:, :2]), np.abs(shown), atol=1e-5)
    for file in keep(page, job, "ring"):
        assert file.tobytes() == path.tobytes()
    assert page.input_value("#turn") == "round"


def test_a_circle_without_a_radius_is_as_wide_as_the_particles(serve, open_page, job):
    page = open_page(serve(job))
    drag(page, (0.5, 0.5), (0.52, 0.48))
    wait_for(page, IDLE)
    center = numbers(page, "latest.latent")
    page.keyboard.press("o")
    page.keyboard.press("Enter")
    path = laid(page, ":circle")
    _, axes = principal(job)
    away = np.linalg.norm((path - center) @ axes[:2].T, axis=1)
    every = np.linalg.norm((np.load(job.latents) - center) @ axes[:2].T, axis=1)
    np.testing.assert_allclose(away, np.median(every), rtol=0.06)  # chords of a motion's steps
    for file in keep(page, job, "ring"):
        assert file.tobytes() == path.tobytes()


LINE = [(0.2, 0.5), (0.3, 0.35), (0.45, 0.3), (0.6, 0.5), (0.8, 0.55)]


@pytest.mark.parametrize(("axes", "lift"), [("pca", "0"), ("pca", "1"), ("umap", "1")])
def test_a_drawn_line_is_the_commands(serve, open_page, job, arm, axes, lift):
    page = open_page(serve(job))
    for axis in "xy":
        page.select_option(f"#{axis}-axis", f"{axes}{'xy'.index(axis) + 1}")
    wait_for(page, f"window.cryomix.axes === '{axes}1,{axes}2'")
    page.select_option("#lift", lift)
    page.keyboard.press("t")
    drag(page, *LINE)
    path = laid(page, ":drawn")
    given = np.float32(page.evaluate(f"{ROUTE}.plan.points"))
    places = [on_map(page, *place) for place in (LINE[0], LINE[-1])]
    column = np.stack([np.load(job.umap)[:, axis] for axis in (0, 1)], 1)
    mean, basis = principal(job)
    if axes == "pca":
        column = np.array(page.evaluate("[...window.cryomix.map.x]"))
        column = np.stack([column, page.evaluate("[...window.cryomix.map.y]")], 1)
    for latent, place in zip(given[[0, -1]], places, strict=True):
        if lift == "1":
            near = np.linalg.norm(column - place, axis=1).argsort()[:50]
            near_mean = np.load(job.latents)[near].mean(axis=0)
            # A neighbour or two may differ: the mouse is at a whole pixel.
            assert np.linalg.norm(latent - near_mean) < 0.25 * np.linalg.norm(path[-1] - path[0])
        else:
            found = (latent - mean) @ basis.T
            np.testing.assert_allclose(np.abs(found[:2]), np.abs(place), atol=0.03)
            assert abs(found[2]) < 1e-5
    np.testing.assert_allclose(path[[0, -1]], given[[0, -1]], atol=1e-6)
    if axes == "pca":  # a UMAP of noise leads to and fro
        step = np.linalg.norm(np.diff(path, axis=0), axis=1)
        assert step.max() < 1.2 * step.min() + 0.05  # chords of equal ways along the curve
    for file in keep(page, job, "tour"):
        assert file.tobytes() == path.tobytes()
    page.focus("#over")
    page.keyboard.press(".")
    wait_for(page, IDLE)
    np.testing.assert_allclose(require_decoded(page, arm), path[1], atol=1e-6)
    assert page.evaluate("window.cryomix.map.cursor.every(Number.isFinite)")


def test_a_to_b_is_the_commands_and_nothing_is_overwritten(serve, open_page, job):
    page = open_page(serve(job))
    for key, place in (("a", 0.3), ("b", 0.7)):
        drag(page, (place, 0.5), (place, 0.55))
        wait_for(page, IDLE)
        page.keyboard.press(key)
    path = laid(page, "A to B")
    for file in keep(page, job, "opening"):
        assert file.tobytes() == path.tobytes()
    page.select_option("#path", "A to B")
    for name, said in (
        ("opening", "opening.npy: is there already"),
        ("axis2", "analyze and reconstruct write files of this name"),
        ("a/b", "a name must be letters"),
    ):
        page.fill("#path-name", name)
        page.click("#keep-path")
        wait_for(page, f"document.querySelector('#path-said').innerText.includes('{said}')")
    assert sorted(each.name for each in job.trajectories.glob("*.npy")) == [
        "axis1.npy", "opening.npy", "opening_again.npy"
    ]  # fmt: skip
    page.select_option("#path", ":geodesic")
    among = laid(page, ":geodesic")
    np.testing.assert_allclose(among[[0, -1]], path[[0, -1]], atol=1e-5)
    for file in keep(page, job, "among"):
        assert file.tobytes() == among.tobytes()
    other = open_page(serve(job))
    assert {"among", "opening"} <= set(other.locator("#path option").all_inner_texts())


def test_a_closed_path_is_played_round_and_stepped_along(serve, open_page, job, arm):
    ring = np.array([[0.5, 0, 0], [0, 0.5, 0], [-0.5, 0, 0], [0, -0.5, 0]], np.float32)
    write_array(job.trajectories / "loop.npy", ring)
    page = open_page(serve(job))
    page.select_option("#path", "loop")
    assert page.input_value("#turn") == "round"
    page.focus("#over")
    for key, expected in ((".", ring[1]), (",", ring[0]), (",", ring[3]), (".", ring[0])):
        page.keyboard.press(key)
        wait_for(page, IDLE)
        np.testing.assert_allclose(require_decoded(page, arm), expected, atol=1e-6)
    page.evaluate("window.cryomix.motion.player.goTo(0.6)")
    page.focus("#over")
    page.keyboard.press("Space")
    parts = [0.6]
    while parts[-1] >= 0.6 or len(parts) < 2:
        parts.append(page.evaluate("window.cryomix.motion.player.part"))
        assert len(parts) < 5000
    page.keyboard.press("Space")
    back = np.flatnonzero(np.diff(parts) < 0)
    assert len(back) >= 1  # from the end to the beginning at once
    assert np.diff(parts)[back].max() < -0.1


def test_particles_near_the_path_are_counted_as_numpy_does(serve, open_page, job):
    far = np.array([[0, 0, 0], [6, 0, 0]], np.float32)
    write_array(job.trajectories / "outward.npy", far)
    page = open_page(serve(job))
    page.select_option("#path", "outward")
    laid(page, "outward")
    strip = page.evaluate(f"{ROUTE}.strip")
    latent = np.load(job.latents)
    place = np.linspace(far[0], far[1], 97)
    distance = np.sort(np.linalg.norm(latent[None] - place[:, None], axis=2), axis=1)
    among = np.linalg.norm(latent[None] - latent[:, None], axis=2)
    usual = np.median(np.partition(among, 49, axis=1)[:, 49])
    np.testing.assert_allclose(strip["reach"], distance[:, 49] / usual, rtol=1e-4)
    expected = (distance <= usual).sum(axis=1)
    assert np.abs(np.subtract(strip["count"], expected)).max() <= 1  # one may be at the border
    np.testing.assert_allclose(strip["along"][-1], 30 * 6 / np.sqrt(3), rtol=1e-3)  # a third moves
    share = np.ceil(100 * (distance[:, 49] / usual > 2).mean())
    told = page.inner_text("#path-told")
    assert f"extrapolated along {share:.0f} %" in told
    assert "104 Å r.m.s." in told
    assert page.evaluate("document.querySelector('#path-told').className") == "bad"
