"""Maps rebuilt from particles: which are listed, how they are sent, where the page draws them."""

import http.client
import json
import shlex
import struct
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
from page_state import wait_for
from scipy.ndimage import map_coordinates

from cryomix import cli
from cryomix.commands.rebuilt_maps import find_maps
from cryomix.files.mrc import write_volume
from cryomix.imaging.gaussians import render_volume
from cryomix.imaging.masking import contour_level
from cryomix.imaging.volume import Volume
from cryomix.viewer.frames import write_map

BOX, VOXEL = 48, 4.0


@pytest.fixture
def mapped_job(job, arm):
    """Two maps with halves, one of a selection, one that is empty."""
    for name, latent in (("cluster01", -1.0), ("cluster02", 1.0)):
        model = arm.decode(torch.tensor([[latent, 0, 0]]))[0]
        volume = render_volume(model, BOX, VOXEL)
        for half in ("", "_half1", "_half2"):
            write_volume(job.volumes / f"{name}{half}.mrc", volume)
    write_volume(job.selections / "open" / "selection.mrc", volume)
    write_volume(job.volumes / "empty.mrc", Volume(torch.zeros(8, 8, 8), VOXEL))
    return job


def get(address, path):
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    connection.request("GET", parts.path + path)
    answer = connection.getresponse()
    content = answer.status, answer.read()
    connection.close()
    return content


def test_whole_maps_are_listed_and_sent_as_they_are(serve, mapped_job):
    address = serve(mapped_job)
    names = ["cluster01", "cluster02", "empty", "selection open"]
    assert json.loads(get(address, "maps")[1]) == {"maps": names, "curves": []}
    status, frame = get(address, "maps/selection%20open")
    assert status == 200
    volume = find_maps(mapped_job)["selection open"]()
    head = struct.unpack_from("<Ifff", frame)
    assert head[:2] == (BOX, VOXEL)
    assert head[2] == volume.density.max()
    assert head[3] == pytest.approx(contour_level(volume), rel=1e-6)
    assert frame[16:] == volume.density.numpy().astype("<f4").tobytes()
    status, told = get(address, "maps/empty")
    assert (status, told[:6]) == (409, b"empty:")
    (mapped_job.volumes / "broken.mrc").write_bytes(b"no map")
    assert get(address, "maps/broken")[0] == 409


@pytest.mark.parametrize(
    "name", ["cluster01_half1", "..%2frun.toml", "../volumes/cluster01", "%2fetc%2fpasswd",
             "volumes%2fcluster01", "cluster01.mrc"],
)  # fmt: skip
def test_no_other_file_is_sent_as_a_map(serve, mapped_job, name):
    assert get(serve(mapped_job), f"maps/{name}")[0] in (403, 404)


def test_a_large_map_is_sampled_and_stays_where_it_is(arm):
    fine = render_volume(arm.decoder.neutral, 160, 1.5)
    frame = write_map(fine)
    size, step = struct.unpack_from("<If", frame)
    assert (size, step) == (128, 1.875)
    found = np.frombuffer(frame, "<f4", offset=16).reshape(128, 128, 128)
    wanted = render_volume(arm.decoder.neutral, 128, 1.875).density.numpy()
    np.testing.assert_allclose(found, wanted, atol=2e-3 * wanted.max())


def test_the_page_draws_a_map_over_the_model(serve, open_page, mapped_job):
    page = open_page(serve(mapped_job))
    mesh = "window.cryomix.view.mapBall.mesh"
    before = page.evaluate("window.cryomix.view.orbit.camera.position.toArray()")
    page.select_option("#overlay", "cluster02")
    wait_for(page, f"{mesh}.visible && {mesh}.geometry.index?.count > 300")
    density = find_maps(mapped_job)["cluster02"]().density.numpy()

    def vertices():
        place = page.evaluate(f"Array.from({mesh}.geometry.attributes.position.array)")
        return np.float32(place).reshape(-1, 3)

    levels = []
    for share in (None, 0.6):
        if share is not None:
            page.evaluate(
                "const it = document.getElementById('contour'); it.valueAsNumber = 0.6; "
                "it.dispatchEvent(new Event('input'))"
            )
            wait_for(page, "!window.cryomix.view.surfaces.busy")
        levels.append(level := page.evaluate("window.cryomix.view.densityLevel"))
        at = vertices()[:, ::-1].T / VOXEL + BOX // 2
        # A vertex is the mean of crossings of one voxel's edges: near the level, not on it.
        value = map_coordinates(density, at, order=1)
        assert np.abs(np.median(value) / level - 1) < 0.1
        inside = (np.argwhere(density > level) - BOX // 2)[:, ::-1] * VOXEL
        assert (vertices().min(0) >= inside.min(0) - VOXEL).all()
        assert (vertices().min(0) <= inside.min(0)).all()
        assert (vertices().max(0) <= inside.max(0) + VOXEL).all()
        assert (vertices().max(0) >= inside.max(0)).all()
    assert levels[0] == pytest.approx(contour_level(Volume(torch.from_numpy(density), VOXEL)))
    assert levels[1] == pytest.approx(0.6 * density.max(), rel=1e-6)
    assert page.evaluate("window.cryomix.view.orbit.camera.position.toArray()") == before
    page.select_option("#overlay", "")
    wait_for(page, f"!{mesh}.visible")


def test_the_command_for_chimerax_writes_what_is_shown(serve, open_page, mapped_job, arm):
    latent = np.load(mapped_job.latents)
    write_volume(mapped_job.neutral_map, render_volume(arm.decoder.neutral, BOX, VOXEL))
    page = open_page(serve(mapped_job))
    page.evaluate(
        "window.cryomix.map.selection.apply("
        "new Uint8Array(3000).map((_, row) => row < 20 ? 1 : 0), 'replace')"
    )
    page.fill("#name", "first")
    page.click("#keep")
    wait_for(page, "document.querySelectorAll('#commands code').length === 2")
    page.fill("#scale", "3")
    page.select_option("#path", "axis1")
    page.evaluate("document.getElementById('path').dispatchEvent(new Event('change'))")
    row = "document.querySelectorAll('#commands code')"
    shown = page.evaluate(f"Array.from({row}, (code) => code.firstChild.textContent)")
    scenes = {command.split()[-1]: command for command in shown if "--to chimerax" in command}
    out = mapped_job.selections / "first.scene"
    assert set(scenes) == {str(out), "axis1_scene"}
    assert "--along axis1 --scale 3 " in scenes["axis1_scene"]
    assert cli.main(shlex.split(scenes[str(out)])[1:]) == 0
    assert (out / "show.cxc").is_file()
    states = np.load(mapped_job.selections / "first.states.npy")
    np.testing.assert_allclose(states, [latent.mean(0), latent[:20].mean(0)], atol=1e-6)
