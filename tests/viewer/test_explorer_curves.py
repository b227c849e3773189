"""FSC of rebuilt maps in the page, and particles chosen by what colours them."""

import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from page_state import wait_for

from cryomix import cli
from cryomix.files.checkpoint import read_csv, write_csv
from cryomix.files.mrc import write_volume
from cryomix.files.star import read_star
from cryomix.imaging.volume import Volume
from cryomix.reconstruction.resolution import resolution_at

BOX, VOXEL = 32, 3.0
CHOSEN = "Array.from(window.cryomix.map.selection.chosen)"
HEADER = ["shell", "frequency", "fsc", "masked", "particles"]


def rows_of(page):
    return np.flatnonzero(page.evaluate(CHOSEN))


@pytest.fixture
def rebuilt_job(job):
    """Two maps of clusters and one without half maps; FSCs that fall at different places."""
    shell = np.arange(BOX // 2 + 1)
    ball = torch.zeros(BOX, BOX, BOX)
    ball[12:20, 12:20, 12:20] = 1
    for number, middle in ((1, 6), (2, 9)):
        write_volume(job.volumes / f"cluster{number:02d}.mrc", Volume(ball, VOXEL))
        masked = 1 / (1 + np.exp(shell - middle))
        columns = (shell, shell / (BOX * VOXEL), masked**2, masked, 0 * shell + 100 * number)
        write_csv(job.volumes / f"fsc/cluster{number:02d}.csv", HEADER, zip(*columns, strict=True))
    write_volume(job.volumes / "alone.mrc", Volume(ball, VOXEL))
    return job


def test_the_curve_of_the_chosen_map_is_that_of_its_file(serve, open_page, rebuilt_job):
    page = open_page(serve(rebuilt_job))
    page.select_option("#overlay", "cluster02")
    page.click("#fsc-button")
    wait_for(page, "!document.getElementById('fsc').hidden")
    table = read_csv(rebuilt_job.volumes / "fsc" / "cluster02.csv")
    reached = resolution_at(torch.from_numpy(table["masked"]), VOXEL)
    unmasked = resolution_at(torch.from_numpy(table["fsc"]), VOXEL)
    facts = page.inner_text("#fsc-facts")
    assert facts == f"masked {reached:.1f} Å · unmasked {unmasked:.1f} Å · 200 particles"
    page.click("#fsc summary")
    texts = page.locator("#fsc-shells tr").all_inner_texts()
    assert len(texts) == 1 + len(table["shell"])
    told = np.array([row.split("\t")[1:] for row in texts[1:]], float)
    wanted = [table[name] for name in ("frequency", "masked", "fsc", "particles")]
    np.testing.assert_allclose(told, np.transpose(wanted), atol=6e-4)
    assert [row.split("\t")[0] for row in page.locator("#fsc-maps tr").all_inner_texts()] == [
        "map", "cluster02", "cluster01"
    ]  # fmt: skip
    # Straight lines from shell to shell, the strong one last; below -0.1 nothing is drawn.
    lines = page.evaluate(
        "Array.from(document.querySelectorAll('#fsc-plot polyline'), "
        "(line) => line.getAttribute('points'))"
    )
    points = np.array([point.split(",") for point in lines[-1].split()], float)
    np.testing.assert_allclose(np.corrcoef(points[:, 0], table["frequency"])[0, 1], 1, atol=1e-6)
    np.testing.assert_allclose(np.corrcoef(points[:, 1], -table["masked"])[0, 1], 1, atol=1e-6)
    assert len(lines) == 3
    page.select_option("#overlay", "cluster01")
    wait_for(page, "document.getElementById('fsc-name').textContent === 'cluster01'")
    page.select_option("#overlay", "alone")
    wait_for(page, "window.cryomix.view.mapBall.mesh.visible")
    assert page.inner_text("#fsc-name") == "cluster01"


def test_numbers_of_a_shell_are_read_by_keys_and_pointer(serve, open_page, rebuilt_job):
    page = open_page(serve(rebuilt_job))
    page.click("#fsc-button")
    wait_for(page, "!document.getElementById('fsc').hidden")
    wait_for(page, "document.activeElement.id === 'fsc-plot'")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    table = read_csv(rebuilt_job.volumes / "fsc" / "cluster01.csv")
    frequency, masked, fsc = (table[name][4] for name in ("frequency", "masked", "fsc"))
    wanted = f"24 Å ({frequency:.4f} 1/Å): masked {masked:.3f}, unmasked {fsc:.3f}, 100 particles"
    assert page.inner_text("#fsc-read") == wanted
    assert page.get_attribute("#fsc-plot", "aria-valuetext") == wanted
    line = page.evaluate(
        "document.querySelector('#fsc-plot polyline').getAttribute('points').split(' ')[8]"
    )
    box = page.locator("#fsc-plot").bounding_box()
    x, y = (float(part) / 380 * box["width"] for part in line.split(","))
    page.mouse.move(box["x"] + x, box["y"] + y)
    other = read_csv(rebuilt_job.volumes / "fsc" / "cluster02.csv")["masked"][8]
    wait_for(page, f"document.getElementById('fsc-read').textContent.includes('{other:.3f}')")
    assert page.inner_text("#fsc-read").endswith(f"; cluster02 {other:.3f}")
    page.keyboard.press("Escape")
    assert page.locator("#fsc").is_hidden()


def test_clusters_are_chosen_in_the_legend(serve, open_page, job):
    page = open_page(serve(job))
    label = np.load(job.clusters)
    page.select_option("#shade", "cluster")
    wait_for(page, "document.querySelectorAll('#legend .swatches button').length === 2")
    entry = page.locator("#legend .swatches button")
    entry.nth(1).click()
    assert np.array_equal(rows_of(page), np.flatnonzero(label == 1))
    wait_for(page, "document.querySelector('#of-clusters').textContent !== ''")
    assert page.inner_text("#of-clusters") == f"cluster 2: {(label == 1).sum():,}"
    counts = page.locator("#legend .swatches small")
    wait_for(page, "document.querySelector('#legend .swatches small').textContent === '0'")
    assert counts.all_inner_texts() == ["0", f"{(label == 1).sum():,}"]
    entry.nth(0).click(modifiers=["Shift"])
    assert len(rows_of(page)) == len(label)
    entry.nth(1).click(modifiers=["Alt"])
    assert np.array_equal(rows_of(page), np.flatnonzero(label == 0))
    page.focus("#over")
    page.keyboard.press("i")
    assert np.array_equal(rows_of(page), np.flatnonzero(label == 1))
    page.keyboard.press("Control+z")
    page.fill("#name", "first")
    page.check("#rest")
    page.click("#keep")
    wait_for(page, "document.querySelectorAll('#commands code').length === 3")
    commands = page.locator("#commands code").all_inner_texts()
    told = [next(line for line in commands if f"/{name}.star" in line).splitlines()[0]
            for name in ("first", "first_rest")]  # fmt: skip
    assert shlex.split(told[0])[-1] == "cluster:1"
    for name, command, number in zip(("first", "first_rest"), told, (0, 1), strict=True):
        wanted = np.flatnonzero(label == number)
        assert np.array_equal(np.load(job.selections / f"{name}.npy"), wanted)
        written = job.selections / f"{name}.star"
        names = read_star(written).block("particles").column("rlnImageName")
        assert names == [f"{row + 1:06d}@a.mrcs" for row in wanted]
        before = written.read_bytes()
        written.unlink()
        assert cli.main(shlex.split(command)[1:]) == 0
        assert written.read_bytes() == before


def test_particles_between_two_values_are_chosen(serve, open_page, job):
    page = open_page(serve(job))
    page.select_option("#shade", "rlnDefocusU")  # 9000 + row
    wait_for(page, "document.querySelector('#legend .ramp.held') !== null")
    page.focus("[aria-label='choose from']")
    page.keyboard.type("9100")
    page.fill("[aria-label='choose up to']", "9199.5")
    page.keyboard.press("Enter")
    assert rows_of(page).tolist() == list(range(100, 200))
    page.fill("[aria-label='choose from']", "9190")
    page.fill("[aria-label='choose up to']", "")
    page.click("#legend .ends button", modifiers=["Alt"])
    assert rows_of(page).tolist() == list(range(100, 190))
    page.keyboard.press("Control+z")
    page.fill("#name", "some")
    page.click("#keep")
    wait_for(page, "document.querySelectorAll('#commands code').length === 2")
    command = page.locator("#commands code").first.inner_text().splitlines()[0]
    assert shlex.split(command)[-1] == "rlnDefocusU>=9100 and rlnDefocusU<=9199.5"
    assert np.array_equal(np.load(job.selections / "some.npy"), np.arange(100, 200))
    box = page.locator("#legend .ramp.held").bounding_box()
    page.fill("[aria-label='choose from']", "")  # so that the handle is at its end
    page.mouse.move(box["x"] + 4, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    low = float(page.input_value("[aria-label='choose from']"))
    assert 10000 < low < 11000
    assert rows_of(page).tolist() == list(range(int(np.ceil(low - 9000)), 3000))


def test_texts_of_a_column_are_groups_with_names(serve, open_page, job):
    rows = [f"{i + 1:06d}@a.mrcs m/{i % 5 * (i % 2)}.mrc {i % 3}" for i in range(3000)]
    head = ["data_particles", "loop_", "_rlnImageName", "_rlnMicrographName", "_rlnClassNumber"]
    job.particles(Path("a.star")).write_text("\n".join([*head, *rows, ""]))
    page = open_page(serve(job))
    shown = "document.querySelectorAll('#legend .swatches button').length === {}"
    page.select_option("#shade", "rlnMicrographName")
    wait_for(page, shown.format(5))
    assert page.inner_text("#legend .swatches button") == "0.mrc"  # the largest
    page.locator("#legend .swatches button").first.click()
    number = np.arange(3000)
    assert np.array_equal(rows_of(page), np.flatnonzero(number % 5 * (number % 2) == 0))
    page.select_option("#shade", "rlnClassNumber")
    wait_for(page, shown.format(3))
    page.locator("#legend .swatches button").nth(2).click()
    page.fill("#name", "twos")
    page.click("#keep")
    wait_for(page, "document.querySelectorAll('#commands code').length === 2")
    command = page.locator("#commands code").first.inner_text().splitlines()[0]
    assert shlex.split(command)[-1] == "rlnClassNumber=2"
    assert np.array_equal(np.load(job.selections / "twos.npy"), np.flatnonzero(number % 3 == 2))
