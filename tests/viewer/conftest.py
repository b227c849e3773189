"""A job whose decoder turns an arm by the latent, its explorer, and its page in a browser."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from page_state import wait_for

from cryomix.commands.exploration import read_exploration
from cryomix.files.checkpoint import write_array
from cryomix.files.job import JobFolder
from cryomix.files.run_record import write_run_record
from cryomix.imaging.gaussians import GaussianModel

TOKEN = "a-token-of-the-tests"
PARTICLES = 3000


@dataclass
class Arm:
    """A core that stays, and an arm that goes where the latent points."""

    settings: SimpleNamespace
    decoder: SimpleNamespace

    def decode(self, latent: torch.Tensor) -> GaussianModel:
        still = self.decoder.neutral
        moving = (torch.arange(len(still)) >= 40).float()[:, None]
        way = torch.nn.functional.pad(30 * latent, (0, 3 - latent.shape[1]))
        count = (len(latent), len(still))
        return GaussianModel(
            still.center + way[:, None] * moving,
            still.amplitude.expand(count) * (1 - 0.1 * latent[:, :1].abs()),
            still.width.expand(count),
        )


def make_arm(latent_size: int) -> Arm:
    generator = torch.Generator().manual_seed(0)
    core = 12 * torch.randn(40, 3, generator=generator)
    arm = torch.tensor([40.0, 0, 0]) + 5 * torch.randn(20, 3, generator=generator)
    neutral = GaussianModel(torch.cat([core, arm]), torch.ones(60), torch.full((60,), 4.0))
    settings = SimpleNamespace(latent_size=latent_size, grid=SimpleNamespace(box_length=200.0))
    return Arm(settings, SimpleNamespace(neutral=neutral))


@pytest.fixture
def arm() -> Arm:
    return make_arm(3)


@pytest.fixture
def bare_job(tmp_path, monkeypatch, arm) -> JobFolder:
    """Latents and a model; no analysis, no maps, no particle file."""
    folder = JobFolder(tmp_path / "job")
    folder.path.mkdir()
    latent = np.random.default_rng(1).normal(size=(PARTICLES, 3)) * [1, 0.5, 0.2]
    write_array(folder.latents, latent.astype(np.float32))
    write_run_record(folder.run_record, "train", {"particles": "a.star"}, [], 0, "cpu")
    folder.model.write_bytes(b"in its place stands an arm")
    monkeypatch.setattr("cryomix.files.training.read_model", lambda path: arm)
    return folder


@pytest.fixture
def job(bare_job) -> JobFolder:
    """The same with clusters, UMAP, a path, uncertainties and a star file."""
    generator = np.random.default_rng(2)
    latent = np.load(bare_job.latents)
    write_array(bare_job.clusters, (latent[:, 0] > 0).astype(np.int64))
    write_array(bare_job.umap, generator.normal(size=(PARTICLES, 2)).astype(np.float32))
    write_array(bare_job.latent_std, np.full((PARTICLES, 3), 0.1, np.float32))
    path = np.linspace([-1, 0, 0], [1, 0, 0], 5).astype(np.float32)
    write_array(bare_job.trajectories / "axis1.npy", path)
    rows = [f"{i + 1:06d}@a.mrcs {9000 + i} {i % 180}" for i in range(PARTICLES)]
    head = ["data_particles", "", "loop_", "_rlnImageName #1", "_rlnDefocusU #2"]
    bare_job.particles(Path("a.star")).write_text("\n".join([*head, "_rlnAngleTilt #3", *rows, ""]))
    return bare_job


@pytest.fixture
def serve() -> Iterator[Any]:
    """Serve a job in a thread, at a port if one is given; its address."""
    pytest.importorskip("uvicorn", reason="cryomix[view] is not installed")
    from cryomix.viewer.server import make_app, make_server, open_socket

    running = []

    def start(folder: JobFolder, port: int = 0) -> str:
        listener = open_socket(port)
        server = make_server(make_app(read_exploration(folder), TOKEN))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        running.append((server, thread, listener))
        while not server.started:
            time.sleep(0.01)
        return f"http://127.0.0.1:{listener.getsockname()[1]}/{TOKEN}/"

    def end() -> None:
        while running:
            server, thread, listener = running.pop()
            server.should_exit = True
            thread.join(20)
            listener.close()

    start.end = end
    yield start
    end()


def is_complaint(message: Any) -> bool:
    """An error; that there is no server is for the page to say."""
    gone = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")
    return message.type == "error" and not any(word in message.text for word in gone)


@pytest.fixture
def open_page(browser) -> Iterator[Any]:
    """Open an address and wait until all is drawn; nothing may be complained of."""
    complaints: list[str] = []
    pages = []

    def start(address: str) -> Any:
        page = browser.new_page(viewport={"width": 1000, "height": 640})
        page.on("console", lambda message: is_complaint(message) and complaints.append(message))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        wait_for(page, "window.cryomix?.marks.ready > 0")
        pages.append(page)
        return page

    yield start
    for page in pages:
        page.close()
    assert [str(complaint) for complaint in complaints] == []
