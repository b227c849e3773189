"""Small inputs that many tests share, and a browser."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numba
import pytest
import torch
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid, to_real
from cryomix.geometry.poses import Poses, random_poses
from cryomix.imaging.ctf import Ctf, evaluate_ctf
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.particles import Particles
from cryomix.imaging.projection_reference import project_gaussians_reference

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-gl=angle", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class MemoryStack:
    """An `ImageStack` held in memory."""

    images: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: Tensor) -> Tensor:
        return self.images[index]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Arrays here are so small that threads would mostly wait for one another."""
    numba.set_num_threads(1)  # starts Numba's threads, which changes the setting of torch's
    torch.set_num_threads(1)


@pytest.fixture
def memory_stack() -> type[MemoryStack]:
    """The class, to wrap (particles, n, n) images."""
    return MemoryStack


@pytest.fixture
def unchanged() -> Callable[..., AbstractContextManager[None]]:
    """``with unchanged(a, b):`` fails if a tensor in the dataclasses `a`, `b` is written to."""

    @contextmanager
    def watch(*arguments: object) -> Iterator[None]:
        before = [(tensor, tensor.clone()) for item in arguments for tensor in _tensors(item)]
        assert before, "nothing to watch"
        yield
        for tensor, copy in before:
            assert torch.equal(tensor, copy), "an argument was modified"

    return watch


@pytest.fixture
def model() -> GaussianModel:
    """Six Gaussians without any symmetry, within 16 Å of the centre; float64."""
    center = [[9, 2, -4], [-6, 8, 3], [1, -9, 7], [-3, -4, -11], [12, -7, 1], [-1, 3, 10]]
    return GaussianModel(
        torch.tensor(center, dtype=torch.float64),
        torch.tensor([1.0, 0.6, 1.4, 0.8, 0.5, 1.1], dtype=torch.float64),
        torch.tensor([3.0, 4.0, 2.5, 3.5, 2.8, 3.2], dtype=torch.float64),
    )


@pytest.fixture
def poses() -> Poses:
    """Five placements with shifts of a few Å; float64."""
    rotation = random_poses(5, torch.Generator().manual_seed(3)).rotation.double()
    rotation = torch.linalg.qr(rotation).Q  # orthogonal to double precision
    rotation = rotation * torch.linalg.det(rotation)[:, None, None]
    shift = [[0.0, 0.0], [2.5, -1.0], [-4.0, 3.0], [1.0, 5.0], [-0.7, -2.2]]
    return Poses(rotation, torch.tensor(shift, dtype=torch.float64))


@pytest.fixture
def make_ctf() -> Callable[[int], Ctf]:
    """Contrast transfers of so many particles: defoci of 0.8 to 2 µm, 300 kV, astigmatic."""

    def make(count: int) -> Ctf:
        one = torch.ones(count)
        defocus = torch.linspace(8000, 20000, count)
        angle = torch.linspace(0, 170, count)
        return Ctf(defocus + 300, defocus - 300, angle, 300 * one, 2.7 * one, 0.1 * one, 0 * one)

    return make


@pytest.fixture
def make_particles(make_ctf: Callable[[int], Ctf]) -> Callable[..., Particles]:
    """Particles of a model with poses, CTF and white noise of a given standard deviation."""

    def make(
        model: GaussianModel, poses: Poses, grid: FourierGrid, *, noise: float = 0.0, seed: int = 0
    ) -> Particles:
        count = len(poses)
        ctf = make_ctf(count)
        projection = project_gaussians_reference(model, poses, grid).to(torch.complex64)
        images = to_real(projection * evaluate_ctf(ctf, grid))
        generator = torch.Generator().manual_seed(seed)
        images = images + noise * torch.randn(images.shape, generator=generator)
        number = torch.arange(count)
        return Particles(
            MemoryStack(images), Poses(poses.rotation.float(), poses.shift.float()), ctf,
            grid.pixel_size, grid.box_size, (1 + number % 2).to(torch.int8), number,
        )  # fmt: skip

    return make


@pytest.fixture
def particles(
    model: GaussianModel, poses: Poses, make_particles: Callable[..., Particles]
) -> Particles:
    """Five noise-free particles of `model` at `poses`, 24 × 24 pixels of 2.5 Å."""
    return make_particles(model, poses, FourierGrid(24, 2.5))


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """Real inputs that are not part of the project; tests that need them skip without them."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("CRYOMIX_SHARED", beside))
    if not folder.is_dir():
        pytest.skip(reason=f"no shared inputs at {folder}; set CRYOMIX_SHARED")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium of the system; none is fetched."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if not CHROMIUM.is_file():
        pytest.skip(reason=f"there is no browser at {CHROMIUM}")
    with playwright.sync_playwright() as tool:
        chromium = tool.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield chromium
        chromium.close()


def _tensors(item: object) -> Iterator[Tensor]:
    if isinstance(item, Tensor):
        yield item
    elif is_dataclass(item):
        for field in fields(item):
            yield from _tensors(getattr(item, field.name))
