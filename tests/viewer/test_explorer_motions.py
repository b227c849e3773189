"""What moves in the page, what it starts, and what it says when the server has gone."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from page_state import drag, wait_for

from cryomix.files.domain_motions import write_domain_motions
from cryomix.files.mrc import write_stack, write_volume
from cryomix.files.run_record import write_run_record
from cryomix.files.volume_list import read_volume_list
from cryomix.geometry.fourier import FourierGrid, to_real
from cryomix.geometry.poses import Poses
from cryomix.imaging.ctf import evaluate_ctf
from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.projection_reference import project_gaussians_reference
from cryomix.latent.localized_path import DomainMotion
from cryomix.latent.screw_motion import ScrewMotion
from cryomix.viewer.frames import write_answer

IDLE = "window.cryomix.connection.sent.size === 0 && !window.cryomix.connection.queue"
QUIVER = "window.cryomix.view.quiver.children[0]"


def numbers(page, name):
    return np.float32(page.evaluate(f"Array.from(window.cryomix.{name})"))


def require_decoded(page, arm):
    """What is shown is, byte for byte, the model of the latent that is shown."""
    latent = numbers(page, "latest.latent")
    frame = write_answer(0, latent, arm.decode(torch.from_numpy(latent)[None])[0], 0.0)
    parts = [numbers(page, f"latest.model.{part}") for part in ("center", "amplitude", "width")]
    assert np.concatenate(parts).tobytes() == frame[16 + latent.nbytes :]
    return latent


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


def test_sliders_of_domains_add_up_in_angstroms(serve, open_page, job, arm):
    axis, hinge = torch.eye(3, dtype=torch.float64)[:2]
    rigid = ScrewMotion(31.5, 2.0, axis, 3.0, 4 * hinge, -1.5, 0.2, 12.0, 0.97)
    for name, way in (("arm", [1.0, 0, 0]), ("lid", [0, 1.0, 0])):
        np.save(job.localized(name), np.float32([way]))
        np.save(job.domain_coordinate(name), np.linspace(-40, 50, 3000))
    motions = [DomainMotion(name, 20, 30.0, 0.0, 1.0, rigid) for name in ("arm", "lid")]
    write_domain_motions(job.domain_motions, motions)
    page = open_page(serve(job))
    assert page.locator("#motions label").all_inner_texts() == ["arm", "lid"]
    for name, length in (("arm", 15.0), ("lid", -6.0)):
        page.evaluate(
            f"const it = document.getElementById('motion-{name}'); it.value = '{length}'; "
            "it.dispatchEvent(new Event('input'))"
        )
        wait_for(page, IDLE)
    np.testing.assert_allclose(require_decoded(page, arm), [0.5, -0.2, 0], atol=1e-6)
    moved = numbers(page, "latest.model.center").reshape(-1, 3) - arm.decoder.neutral.center.numpy()
    np.testing.assert_allclose(moved[40:], np.tile([15, -6, 0], (20, 1)), atol=1e-3)
    assert page.locator("#motions span").all_inner_texts() == ["15 Å", "-6 Å"]


def make_images(job, arm, make_ctf):
    """A ball in noise for every particle of `job`, to rebuild maps from, and its neutral map."""
    count = len(np.load(job.latents))
    grid = FourierGrid(48, 4.0)
    ball = GaussianModel(torch.zeros(1, 3), torch.ones(1), torch.full((1,), 12.0))
    pose = Poses(torch.eye(3)[None], torch.zeros(1, 2))
    image = to_real(project_gaussians_reference(ball, pose, grid) * evaluate_ctf(make_ctf(1), grid))
    noise = torch.randn(count, 48, 48, generator=torch.Generator().manual_seed(1))
    write_stack(job.path / "a.mrcs", [image + 0.3 * image.std() * noise], 4.0)
    write_volume(job.neutral_map, render_volume(arm.decoder.neutral, 48, 4.0))
    labels = ["ImageName", "OpticsGroup", "DefocusU", "DefocusV", "DefocusAngle", "AngleRot"]
    labels += ["AngleTilt", "AnglePsi", "OriginXAngst", "OriginYAngst"]
    rows = [f"{i + 1:06d}@a.mrcs 1 8300 7700 0 {i % 360} {i % 180} 0 0 0" for i in range(count)]
    head = ["data_optics", "loop_", "_rlnOpticsGroup", "_rlnImagePixelSize", "_rlnImageSize"]
    head += [
        "_rlnVoltage",
        "_rlnSphericalAberration",
        "_rlnAmplitudeContrast",
        "1 4 48 300 2.7 0.1",
    ]
    table = ["", "data_particles", "", "loop_", *(f"_rln{label}" for label in labels), *rows, ""]
    (job.path / "a.star").write_text("\n".join([*head, *table]))


def rebuilding():
    """Numbers of the processes of this one that rebuild maps."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except (OSError, IndexError):
            continue
        if parent == os.getpid() and b"reconstruct" in words:
            found.append(int(folder.name))
    return found


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
    wait_for(page, "window.cryomix.view.mapBall.mesh.visible")
    assert page.input_value("#overlay") == "selection few"
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
