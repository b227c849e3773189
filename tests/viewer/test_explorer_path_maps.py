"""Maps along a path: rebuilt from the page, cancelled, and shown as the slider goes."""

import numpy as np
import pytest
import torch
from page_state import wait_for
from rebuilt_particles import make_images, rebuilding

from cryomix.files.checkpoint import write_array
from cryomix.files.mrc import write_volume
from cryomix.files.run_record import write_run_record
from cryomix.files.volume_list import read_volume_list
from cryomix.imaging.gaussians import render_volume


def test_maps_follow_the_slider(serve, open_page, job, arm):
    path = np.load(job.trajectories / "axis1.npy")
    for number, latent in enumerate(torch.from_numpy(path), start=1):
        density = render_volume(arm.decode(latent[None])[0], 32, 6.0)
        write_volume(job.volumes / f"axis1{number:03d}.mrc", density)
    page = open_page(serve(job))
    page.select_option("#path", "axis1")
    wait_for(page, "!document.querySelector('#follow-label').hidden")
    page.check("#follow")
    wait_for(page, "document.querySelector('#overlay').value === 'axis1001'")
    wait_for(page, "window.cryomix.view.densityLevel > 0")
    level = page.evaluate("window.cryomix.view.densityLevel")
    page.evaluate("window.cryomix.motion.player.goTo(0.6)")  # at 2.4 of 0 to 4
    wait_for(page, "document.querySelector('#overlay').value === 'axis1003'")
    page.focus("#over")
    page.keyboard.press(".")
    wait_for(page, "document.querySelector('#overlay').value === 'axis1004'")
    wait_for(page, "window.cryomix.view.density.value.length === 32 ** 3")
    assert page.evaluate("window.cryomix.view.densityLevel") == pytest.approx(level)


def test_maps_are_rebuilt_along_a_path_that_was_drawn(serve, open_page, job, arm, make_ctf):
    make_images(job, arm, make_ctf)
    covariance = np.tile(0.01 * np.eye(3, dtype=np.float32), (3000, 1, 1))
    write_array(job.latent_covariance, covariance)
    job.run_record.unlink()
    source = {"particles": str(job.path / "a.star")}
    write_run_record(job.run_record, "train", source, [], 0, "cpu")
    write_array(job.trajectories / "short.npy", np.float32([[-1, 0, 0], [1, 0, 0]]))
    page = open_page(serve(job))
    page.select_option("#path", "short")
    page.click("#rebuild-path")
    row = "document.querySelector('#commands li[data-state]')"
    wait_for(page, f"{row}?.dataset.state === 'running'")
    line = page.evaluate(f"{row}.querySelector('code').firstChild.textContent")
    assert line == f"cryomix reconstruct {job.path} --trajectory short --no-clusters"
    page.click("#rebuild-path")
    wait_for(page, "document.querySelector('#path-said').innerText.includes('another path')")
    while not rebuilding():
        page.wait_for_timeout(20)
    page.click("#commands [data-state] .cancel")
    wait_for(page, f"{row}.dataset.state === 'cancelled'")
    while rebuilding():
        page.wait_for_timeout(20)
    page.wait_for_timeout(100)
    assert not job.volumes.exists()
    page.click("#rebuild-path")
    # At its end the command writes the report, and the model in this job is none.
    row = "document.querySelector('#commands li[data-state=failed]')"
    wait_for(page, f"{row} !== null", 60)
    assert "model.safetensors" in page.evaluate(f"{row}.innerText")
    wait_for(page, "!document.querySelector('#follow-label').hidden")
    assert page.is_disabled("#rebuild-path")
    assert list(read_volume_list(job.volumes)) == ["short001", "short002"]
