"""The molecule cut open, looked at from its axes, and saved as a picture."""

import base64
import io

import matplotlib.image
import numpy as np
import pytest
from hinged_job import make_hinged, write_domains
from page_state import wait_for
from test_explorer_domains import STILL, VIEW, go_to, numbers

from cryomix.files.mrc import write_volume
from cryomix.imaging.gaussians import render_volume

SEEN = f"{VIEW}.enlarged(1).toDataURL()"


@pytest.fixture
def arm():
    """The model of every job here."""
    return make_hinged()


def picture(page):
    """Colours and opacity of the molecule's canvas, now."""
    png = base64.b64decode(page.evaluate(SEEN).split(",")[1])
    return np.round(255 * matplotlib.image.imread(io.BytesIO(png))).astype(np.uint8)


def slide(page, name, value):
    page.evaluate(
        f"const it = document.getElementById('{name}'); it.valueAsNumber = {value}; "
        "it.dispatchEvent(new Event('input'))"
    )


def pixel_of(page, place, shape):
    """Row and column of a place in the molecule, by the camera's matrices."""
    camera = f"{VIEW}.orbit.camera"
    project, look = (
        numbers(page, f"{camera}.{name}.elements").reshape(4, 4).T
        for name in ("projectionMatrix", "matrixWorldInverse")
    )
    clip = project @ look @ np.append(place, 1)
    x, y = clip[:2] / clip[3]
    return (1 - y) / 2 * shape[0], (1 + x) / 2 * shape[1]


def test_a_slab_cuts_spheres_with_flat_faces(serve, open_page, job, arm):
    page = open_page(serve(job))
    page.select_option("#tint", "plain")
    wait_for(page, STILL)
    whole = picture(page)
    reach = page.evaluate(f"{VIEW}.slab.reach")
    middle = numbers(page, f"{VIEW}.slab.extent.middle.toArray()")
    page.focus("#model")
    page.keyboard.press("c")
    assert page.input_value("#cut") == "view"
    slide(page, "front", -1)
    assert (picture(page) == whole).all()  # nothing lies so near
    center = arm.decoder.neutral.center.double().numpy()
    first = int(center[:, 2].argmax())
    slide(page, "front", (middle[2] - center[first, 2]) / reach)
    row, column = pixel_of(page, center[first], whole.shape)
    radius = 2  # pixels, well within the sphere
    disc = np.s_[int(row) - radius : int(row) + radius, int(column) - radius : int(column) + radius]
    face = picture(page)[disc][..., :3].reshape(-1, 3)
    assert np.ptp(face.astype(int), axis=0).max() <= 1
    assert face.mean() < 0.8 * whole[disc][..., :3].mean()
    opaque = []
    for front in (-0.5, -0.1, 0, 0.1, 1):
        slide(page, "front", front)
        opaque.append((picture(page)[..., 3] > 0).sum())
    assert opaque == sorted(opaque, reverse=True)
    assert opaque[0] > 1.5 * opaque[-2] > 0
    assert opaque[-1] == 0
    slide(page, "front", 0)
    page.keyboard.press("]")
    assert float(page.input_value("#front")) == pytest.approx(0.02)
    page.keyboard.press("{")
    assert float(page.input_value("#thickness")) == pytest.approx(1.98)
    depth = 0.1
    slide(page, "thickness", depth)
    ends = [f"{value:.0f}".replace("-", "−") for value in (-0.02 * reach, -(0.02 + depth) * reach)]
    assert page.inner_text("#slab-ends") == f"{ends[0]} to {ends[1]} Å from the middle"
    thin = (picture(page)[..., 3] > 0).sum()
    assert 0 < thin < opaque[2]


def test_a_slab_cuts_surfaces_maps_and_arrows_too(serve, open_page, job, arm):
    write_volume(job.volumes / "cluster01.mrc", render_volume(arm.decoder.neutral, 48, 4.0))
    page = open_page(serve(job))
    for key, angle in (("a", 0.0), ("b", 0.8)):
        go_to(page, angle, 0, 0)
        page.focus("#over")
        page.keyboard.press(key)
    page.select_option("#look", "surface")
    page.select_option("#overlay", "cluster01")
    meshes = [f"{VIEW}.{ball}.mesh" for ball in ("moving", "mapBall")]
    wait_for(page, " && ".join(f"{mesh}.geometry.index?.count > 300" for mesh in meshes))
    page.focus("#model")
    page.keyboard.press("C")
    slide(page, "front", 0)
    cut = (picture(page)[..., 3] > 0).sum()
    assert cut > 0
    arrows = f"{VIEW}.quiver.children[0]"
    for seen in [*meshes, arrows]:
        page.evaluate(
            f"for (const it of [{', '.join([*meshes, arrows])}]) it.visible = false; "
            f"{seen}.visible = true"
        )
        slide(page, "front", -1)
        whole = (picture(page)[..., 3] > 0).sum()
        slide(page, "front", 1)
        assert whole > 0
        assert (picture(page)[..., 3] > 0).sum() == 0, seen


def test_a_slab_may_be_fixed_in_the_molecule(serve, open_page, job):
    page = open_page(serve(job))
    page.focus("#model")
    page.keyboard.press("c")
    page.keyboard.press("c")
    assert page.input_value("#cut") == "molecule"
    for key, direction, up in (("x", [1, 0, 0], [0, 0, 1]), ("y", [0, 1, 0], [1, 0, 0])):
        page.keyboard.press(key)
        picture(page)
        towards = page.evaluate(f"{VIEW}.orbit.direction.toArray()")
        np.testing.assert_allclose(towards, direction, atol=1e-6)
        assert page.evaluate(f"{VIEW}.orbit.camera.up.toArray()") == up
        assert page.evaluate(f"{VIEW}.slab.planes[0].normal.toArray()") == [0, 0, -1]
    page.click("#more summary")
    page.select_option("#cut", "view")
    picture(page)
    np.testing.assert_allclose(
        page.evaluate(f"{VIEW}.slab.planes[0].normal.toArray()"), [0, -1, 0], atol=1e-6
    )
    page.focus("#cut")
    page.keyboard.press("Escape")
    assert page.get_attribute("#more", "open") is None


def test_a_picture_is_transparent_with_a_true_scale_bar(serve, open_page, job, tmp_path):
    write_domains(job)
    page = open_page(serve(job))
    page.select_option("#tint", "domain")
    page.click("#more summary")
    with page.expect_download() as saving:
        page.click("#picture")
    assert saving.value.suggested_filename == "job-model.png"
    saving.value.save_as(tmp_path / "with.png")
    found = matplotlib.image.imread(tmp_path / "with.png")
    assert found.shape[1] in (2400, 2399, 2401)
    assert found[0, 0, 3] == 0
    height, width = found.shape[:2]
    middle = numbers(page, f"{VIEW}.slab.extent.middle.toArray()")
    lengths = []
    for step in ([0, 0, 0], [1.0, 0, 0]):
        lengths.append(pixel_of(page, middle + step, found.shape)[1])
    per_angstrom = lengths[1] - lengths[0]
    # The bar is the longest opaque run in the lower right, of a round number of Å.
    corner = found[int(height - 0.034 * width), width // 2 :, 3] > 0.9
    bar = corner.sum() / per_angstrom
    assert bar == pytest.approx(round(bar), abs=0.5)
    assert round(bar) in (1, 2, 5, 10, 20, 50, 100)
    assert 0.05 * width < corner.sum() <= 0.2 * width
    page.uncheck("#with-legend")
    with page.expect_download() as saving:
        page.click("#picture")
    saving.value.save_as(tmp_path / "without.png")
    bare = matplotlib.image.imread(tmp_path / "without.png")
    assert bare[int(height - 0.034 * width), width // 2 :, 3].max() == 0
    drawn = bare[..., 3] > 0
    assert 0.02 < drawn.mean() < 0.6
    orange = np.abs(bare[drawn][:, :3] - np.array([230, 159, 0]) / 255).max(1) < 0.2
    assert orange.mean() > 0.02
