"""The GPU kernel against the definition: on a GPU if there is one, else in Triton's interpreter.

In the interpreter a `tf32x3` product is plain float32; only a GPU shows its own rounding.
"""

import importlib
import importlib.util
import os
import subprocess
import sys

import pytest
import torch

from cryomix.geometry.fourier import FourierGrid, sum_over_rings, to_real
from cryomix.geometry.poses import Poses, random_poses
from cryomix.imaging import projection
from cryomix.imaging.fine_grid import fine_grid_for
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.placement import place_gaussians
from cryomix.imaging.projection_factorized import project_gaussians_factorized
from cryomix.imaging.projection_gridding import project_gaussians_gridding
from cryomix.imaging.projection_reference import project_gaussians_reference

if importlib.util.find_spec("triton") is None:
    pytest.skip(reason="Triton is not installed", allow_module_level=True)
HAS_GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if HAS_GPU else "cpu")
if not HAS_GPU:
    # Triton decides when it is imported, and later too, whether it interprets. Modules of tests
    # are imported before the first test runs, and so before one that makes PyTorch import Triton.
    os.environ["TRITON_INTERPRET"] = "1"
projection_triton = importlib.import_module("cryomix.imaging.projection_triton")
project_gaussians_triton = projection_triton.project_gaussians_triton

needs_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not HAS_GPU, reason="no CUDA device"),
]


def on_device(model, poses, dtype=torch.float32, device=DEVICE):
    """Copies whose leaves take gradients."""
    values = (model.center, model.amplitude, model.width)
    leaves = [value.detach().to(device, dtype, copy=True).requires_grad_() for value in values]
    return GaussianModel(*leaves), Poses(
        poses.rotation.to(device, dtype), poses.shift.to(device, dtype)
    )


def value_and_gradients(project, model, poses, grid):
    """With a fixed random-looking weight up to 0.9 of Nyquist, so that no component can hide."""
    image_ft = project(model, poses, grid.to(model.center.device))
    real = torch.view_as_real(image_ft)
    weight = torch.sin(torch.arange(real.numel(), dtype=torch.float64) * 1.7).reshape(real.shape)
    weight = weight * (grid.radius.cpu() * grid.box_length < 0.45 * grid.box_size)[..., None]
    leaves = (model.center, model.amplitude, model.width)
    gradients = torch.autograd.grad((real * weight.to(real)).sum(), leaves)
    return image_ft.detach().cpu(), [gradient.cpu() for gradient in gradients]


def ring_errors(fast, exact, grid):
    difference = sum_over_rings((fast - exact).abs().square(), grid).sum(0)
    return (difference / sum_over_rings(exact.abs().square(), grid).sum(0)).sqrt()


def assert_parity(model, poses, grid, tolerance=1e-3, ratio=0.01):
    """Value per ring, direction of each gradient, and its size for each Gaussian."""

    def fast(*arguments):
        return project_gaussians_triton(*arguments, tolerance=tolerance)

    image_ft, gradients = value_and_gradients(fast, *on_device(model, poses), grid)
    definition = on_device(model, poses, torch.float64, torch.device("cpu"))
    exact_ft, exact = value_and_gradients(project_gaussians_reference, *definition, grid)
    error = ring_errors(image_ft, exact_ft, grid)[: int(0.45 * grid.box_size) + 1]
    assert error.max() < tolerance
    for value, wanted in zip(gradients, exact, strict=True):
        value = value.double()
        cosine = torch.cosine_similarity(value.flatten(), wanted.flatten(), dim=0)
        assert cosine > 1 - max(1e-5, tolerance**2)
        rows = len(model) if model.center.ndim == 2 else len(poses) * len(model)
        size = wanted.reshape(rows, -1).norm(dim=1)
        quotient = value.reshape(rows, -1).norm(dim=1) / size
        torch.testing.assert_close(quotient, torch.ones_like(quotient), rtol=0, atol=ratio)


@pytest.fixture
def many():
    """Seventy Gaussians of unequal width, some outside a box of 64 Å; the last block not full."""
    generator = torch.Generator().manual_seed(5)
    center = (torch.rand(70, 3, generator=generator, dtype=torch.float64) - 0.5) * 90
    amplitude = 0.3 + torch.rand(70, generator=generator, dtype=torch.float64)
    width = 2 + 4 * torch.rand(70, generator=generator, dtype=torch.float64)
    return GaussianModel(center, amplitude, width)


@pytest.mark.skipif(HAS_GPU, reason="a GPU runs the kernels themselves")
def test_the_kernels_are_interpreted():
    assert type(projection_triton._spread).__name__ == "InterpretedFunction"


@pytest.mark.parametrize("box_size", [16, 25, 32])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-4])
def test_error_per_ring_and_gradients(model, poses, box_size, tolerance):
    ratio = max(0.01, 5 * tolerance)
    assert_parity(model, poses, FourierGrid(box_size, 2.5), tolerance=tolerance, ratio=ratio)


def test_the_tolerance_is_kept_to_because_it_is_asked_for(model, poses):
    """A looser tolerance gives a larger error: the argument reaches the kernel."""
    grid = FourierGrid(32, 2.5)
    exact = project_gaussians_reference(model, poses, grid)
    placed = on_device(model, poses)
    errors = [
        ring_errors(
            project_gaussians_triton(*placed, grid, tolerance=tolerance).detach().cpu(), exact, grid
        )[:15].max()
        for tolerance in (1e-2, 1e-4)
    ]
    assert errors[0] > 10 * errors[1]


def test_many_blocks_tiles_and_gaussians_outside_the_box(many, poses):
    assert_parity(many, poses[:2], FourierGrid(32, 2.0))


def test_blocks_and_tiles_are_searched_in_several_groups(many, poses, monkeypatch):
    monkeypatch.setattr(projection_triton, "_GROUP", 2)
    assert_parity(many, poses[:2], FourierGrid(32, 2.0))


def test_the_image_is_periodic(model, poses):
    """A model moved by two and three box lengths gives the same transform."""
    grid = FourierGrid(24, 2.5)
    moved = Poses(poses.rotation, poses.shift + grid.box_length * torch.tensor([2.0, -3.0]))
    here = project_gaussians_triton(*on_device(model, poses), grid)
    there = project_gaussians_triton(*on_device(model, moved), grid)
    torch.testing.assert_close(there, here, rtol=0, atol=1e-4 * float(here.detach().abs().max()))


def test_narrow_gaussians_are_widened_and_sharpened_again(poses):
    """σ of 0.3 pixels: its transform has not decayed at Nyquist, and spreading would alias."""
    model = GaussianModel(
        torch.tensor([[3.0, -5.0, 7.0], [-8.0, 2.0, 1.0]], dtype=torch.float64),
        torch.tensor([1.0, 2.0], dtype=torch.float64),
        torch.tensor([0.6, 1.2], dtype=torch.float64),
    )
    assert_parity(model, poses, FourierGrid(32, 2.0))


def test_a_gaussian_wider_than_its_box_reaches_over_several_periods(model, poses):
    """The widest has σ = 1.5 box lengths, and the next 0.4."""
    grid = FourierGrid(24, 2.5)
    width = model.width.clone()
    width[:2] = torch.tensor([0.4, 1.5]) * grid.box_length
    amplitude = model.amplitude * (3.0 / width) ** 3
    wide = GaussianModel(model.center, amplitude, width)
    definition = on_device(wide, poses, torch.float64, torch.device("cpu"))
    exact_ft, exact = value_and_gradients(project_gaussians_reference, *definition, grid)
    image_ft, gradients = value_and_gradients(
        project_gaussians_triton, *on_device(wide, poses), grid
    )
    assert ring_errors(image_ft, exact_ft, grid)[:11].max() < 1e-3
    for value, wanted in zip(gradients, exact, strict=True):
        assert torch.cosine_similarity(value.double().flatten(), wanted.flatten(), dim=0) > 0.99999


def test_one_model_for_each_pose(model, poses):
    batch = GaussianModel(
        torch.stack([model.center + step for step in range(len(poses))]),
        torch.stack([model.amplitude * (1 + 0.1 * step) for step in range(len(poses))]),
        torch.stack([model.width * (1 + 0.05 * step) for step in range(len(poses))]),
    )
    assert_parity(batch, poses, FourierGrid(24, 2.5))


@pytest.mark.parametrize("gaussians", [0, 1])
@pytest.mark.parametrize("particles", [1, 2])
def test_none_and_one(model, poses, gaussians, particles):
    grid = FourierGrid(16, 2.5)
    few, placed = on_device(model.subset(torch.arange(gaussians)), poses[:particles])
    image_ft, gradients = value_and_gradients(project_gaussians_triton, few, placed, grid)
    assert image_ft.shape == (particles, 16, 9)
    assert [len(gradient) for gradient in gradients] == [gaussians] * 3
    if gaussians:
        assert_parity(model.subset(torch.arange(1)), poses[:particles], grid)
    else:
        assert not image_ft.any()
        assert not any(gradient.any() for gradient in gradients)


def test_a_gaussian_lands_on_its_pixel():
    """(x, y) = (6, -4) Å at 2 Å per pixel is column 16 + 3, row 16 - 2."""
    model = GaussianModel(torch.tensor([[6.0, -4.0, 9.0]]), torch.ones(1), torch.tensor([4.0]))
    pose = Poses(torch.eye(3)[None], torch.zeros(1, 2))
    image_ft = project_gaussians_triton(*on_device(model, pose), FourierGrid(32, 2.0))
    image = to_real(image_ft.detach().cpu())[0]
    assert divmod(int(image.argmax()), 32) == (14, 19)


def test_results_repeat_bit_for_bit(many, poses):
    grid = FourierGrid(32, 2.0)
    first, second = (
        value_and_gradients(project_gaussians_triton, *on_device(many, poses), grid)
        for _ in range(2)
    )
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(a, b) for a, b in zip(first[1], second[1], strict=True))


def test_not_a_number_is_not_lost(model, poses):
    center = model.center.clone()
    center[2, 0] = torch.nan
    spoiled = GaussianModel(center, model.amplitude, model.width)
    image_ft = project_gaussians_triton(*on_device(spoiled, poses), FourierGrid(16, 2.5))
    assert image_ft.isnan().any(-1).any(-1).all()


def test_blocks_are_compact_in_every_view():
    """Along the curve a block spans a third of the grid, in a random order most."""
    generator = torch.Generator().manual_seed(1)
    direction = torch.nn.functional.normalize(torch.randn(1000, 3, generator=generator), dim=1)
    center = 40 * direction * torch.rand(1000, 1, generator=generator) ** (1 / 3)
    model = GaussianModel(center, torch.ones(1000), torch.full((1000,), 2.0))
    order = projection_triton._compact_order(model)
    assert torch.equal(order.sort().values, torch.arange(1000))
    poses, grid = random_poses(3, generator), FourierGrid(64, 2.0)
    fine = fine_grid_for(grid, 1e-3)
    half = []
    for chosen in (order, torch.arange(1000)):
        seen = place_gaussians(model, poses, grid)
        widening = fine.widening(seen.width)
        arrays = (seen.x, seen.y, seen.mass, seen.width, widening, chosen)
        blocks = projection_triton._pack_blocks(*(a.to(DEVICE) for a in arrays), fine)
        half.append(blocks.bounds[:, [1, 3]].mean() / fine.size)
    assert half[0] < 0.17
    assert half[1] > 0.28


def test_double_precision_is_refused(model, poses):
    with pytest.raises(ValueError, match=r"computes in float32, got torch\.float64"):
        project_gaussians_triton(model, poses, FourierGrid(16, 2.0))


def test_arguments_are_left_alone(model, poses, unchanged):
    model, poses = on_device(model, poses)
    with unchanged(model, poses):
        project_gaussians_triton(model, poses, FourierGrid(16, 2.0)).abs().sum().backward()


@pytest.mark.parametrize(
    ("device", "dtype", "capability", "expected"),
    [
        ("cpu", torch.float32, (9, 0), project_gaussians_gridding),
        ("cpu", torch.float64, (9, 0), project_gaussians_factorized),
        ("cuda", torch.float32, (9, 0), project_gaussians_triton),
        ("cuda", torch.float32, (7, 5), project_gaussians_factorized),
        ("cuda", torch.float64, (9, 0), project_gaussians_factorized),
        ("mps", torch.float32, (9, 0), project_gaussians_factorized),
    ],
)
def test_each_device_has_its_kernel(monkeypatch, device, dtype, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert projection._kernel_for(torch.device(device), dtype) is expected


@pytest.mark.parametrize("lacks", ["triton", "cuda"])
def test_without_triton_or_cuda_the_matrix_product_serves(monkeypatch, lacks):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    if lacks == "triton":
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    else:
        monkeypatch.setattr(torch.version, "hip", "6.2")
    kernel = projection._kernel_for(torch.device("cuda"), torch.float32)
    assert kernel is project_gaussians_factorized


def test_importing_the_projection_does_not_import_triton():
    code = "import sys, cryomix.imaging.projection; sys.exit('triton' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


COMPILE = """
import cryomix.imaging.projection_triton as kernels
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile

integers = "gaussians blocks size tiles particles".split()
numbers = "pixel_size window".split()
sizes = {"tile": kernels.TILE, "block": kernels.BLOCK, "group": kernels._GROUP}
for kernel in (kernels._pack, kernels._spread, kernels._gather):
    kind = {name: "*fp32" for name in kernel.arg_names}
    kind |= {name: "*i64" for name in kind if name == "order"}
    kind |= {name: "i32" for name in kind if name in integers}
    kind |= {name: "fp32" for name in kind if name in numbers}
    kind |= {name: "constexpr" for name in kind if name in sizes}
    known = {name: size for name, size in sizes.items() if name in kind}
    source = ASTSource(kernel, kind, known)
    options = {"num_warps": kernels._WARPS}
    for capability in CAPABILITIES:
        compiled = compile(source, target=GPUTarget("cuda", capability, 32), options=options)
        print(kernel.__name__, capability, len(compiled.asm["cubin"]) > 0)
"""


def test_the_kernels_compile_for_a_gpu(tmp_path):
    """The interpreter accepts what the compiler does not; compiling needs no GPU."""
    code = COMPILE.replace("CAPABILITIES", "[80, 90]")
    environment = {name: text for name, text in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("True") == 6


@pytest.fixture
def training_views():
    """One model of 3,082 Gaussians for each of 64 views, in single precision."""
    generator = torch.Generator().manual_seed(2)
    center = (torch.rand(64, 3082, 3, generator=generator) - 0.5) * 150
    width = 2.4 + 2 * torch.rand(64, 3082, generator=generator)
    return GaussianModel(center, torch.rand(64, 3082, generator=generator), width), random_poses(
        64, generator
    )


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=needs_gpu)])
def test_gpu_parity_at_full_size(training_views, device):
    grid = FourierGrid(128, 2.0, DEVICE)
    model, poses = training_views
    few = GaussianModel(model.center[:4], model.amplitude[:4], model.width[:4]), poses[:4]
    image_ft, gradients = value_and_gradients(
        project_gaussians_triton, *on_device(*few, device=device), grid
    )
    definition = on_device(*few, torch.float64, device)
    exact_ft, exact = value_and_gradients(project_gaussians_factorized, *definition, grid)
    assert (
        ring_errors(image_ft, exact_ft, FourierGrid(128, 2.0))[: int(0.45 * 128) + 1].max() < 1e-3
    )
    for value, wanted in zip(gradients, exact, strict=True):
        assert torch.cosine_similarity(value.double().flatten(), wanted.flatten(), dim=0) > 0.99999


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize("device", [pytest.param("cuda", marks=needs_gpu)])
def test_gpu_host_never_waits(training_views, device):
    grid = FourierGrid(128, 2.0, DEVICE)
    model, poses = on_device(*training_views, device=device)
    project_gaussians_triton(model, poses, grid).abs().sum().backward()  # compiles
    try:
        torch.cuda.set_sync_debug_mode("error")
        project_gaussians_triton(model, poses, grid).abs().sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=needs_gpu)])
def test_gpu_memory_is_a_few_grids_per_image(training_views, device):
    """Beside what is proportional to N: image, its transform and a half plane of work space."""
    grid = FourierGrid(128, 2.0, DEVICE)
    model, poses = on_device(*training_views, device=device)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    project_gaussians_triton(model, poses, grid).abs().sum().backward()
    taken = torch.cuda.max_memory_allocated() - before
    fine_image = 192 * 192 * 4
    assert taken < 64 * (8 * fine_image + 25 * 4 * 3082)
