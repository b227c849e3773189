"""Projection on a GPU, value and gradient: images per second, and how far that is from the floor.

Run: ``python benchmarks/imaging/benchmark_projection_gpu.py --gaussians 3082 --box 128``.

The floor is the larger of two times per image, each over a rate that is measured in the same run.
s is the edge of the fine grid, n that of the box, N the number of Gaussians, all in float32.

- Bytes, over the bandwidth of a copy: image and half plane of the fine grid, each written once
  and read once for the value and again for the gradient, 2 · (8s² + 16s(s/2 + 1)); the box's
  transform written and its gradient read, 16n(n/2 + 1); five numbers of each Gaussian read
  twice and their gradients written once, 60N.
- Operations, over the rate of a large TF32 matrix product: one product of tile × block × tile
  for the value and two for the gradient, each in three TF32 passes, for every pair of a tile and
  a block that meet, 18 · tile² · block · pairs.
"""

import argparse
import importlib
import importlib.util
import json
import statistics
from collections.abc import Callable

import torch
from torch import Tensor

from cryomix import __version__
from cryomix.geometry.fourier import FourierGrid, sum_over_rings
from cryomix.geometry.poses import Poses, random_poses
from cryomix.imaging.fine_grid import FineGrid, fine_grid_for
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.placement import place_gaussians
from cryomix.imaging.projection_reference import project_gaussians_reference

TOLERANCE = 1e-3


def main() -> None:
    """Assert parity, measure, print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gaussians", type=int, default=3082)
    parser.add_argument("--box", type=int, default=128)
    parser.add_argument("--batch", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    if not torch.cuda.is_available() or importlib.util.find_spec("triton") is None:
        raise SystemExit("benchmark_projection_gpu: needs a CUDA device and Triton, found none")

    device = torch.device("cuda")
    grid = FourierGrid(options.box, 2.0, device)
    assert_parity(*make_views(min(options.gaussians, 500), 2, grid), grid)
    bandwidth, rate = copy_bandwidth(device), tf32_rate(device)
    results = []
    for batch in options.batch:
        model, poses = make_views(options.gaussians, batch, grid)
        milliseconds, peak_mb = measure(model, poses, grid, options.repeats)
        moved = bytes_per_image(options.gaussians, grid) * batch
        floor = max(moved / bandwidth, operations(model, poses, grid) / rate)
        results.append(
            {
                "batch": batch,
                "median_ms": round(milliseconds, 3),
                "images_per_second": round(1e3 * batch / milliseconds),
                "peak_mb": round(peak_mb, 1),
                "floor_ms": round(1e3 * floor, 4),
                "fraction_of_floor": round(1e3 * floor / milliseconds, 3),
            }
        )
    result = {
        "benchmark": "projection on a GPU, value and gradient",
        "gaussians": options.gaussians,
        "box": options.box,
        "results": results,
        "copy_gb_per_s": round(bandwidth / 1e9),
        "tf32_tflop_per_s": round(rate / 1e12),
        "device": torch.cuda.get_device_name(device),
        "versions": {
            "cryomix": __version__,
            "torch": torch.__version__,
            "triton": importlib.import_module("triton").__version__,
        },
    }
    print(json.dumps(result))


def make_views(gaussians: int, batch: int, grid: FourierGrid) -> tuple[GaussianModel, Poses]:
    """One model per view, as in training: a ball whose Gaussians move by a few Å."""
    generator = torch.Generator().manual_seed(0)
    direction = torch.nn.functional.normalize(torch.randn(gaussians, 3, generator=generator), dim=1)
    radius = 0.3 * grid.box_length * torch.rand(gaussians, 1, generator=generator) ** (1 / 3)
    center = radius * direction + 2 * torch.randn(batch, gaussians, 3, generator=generator)
    amplitude = 0.5 + 0.5 * torch.rand(batch, gaussians, generator=generator)
    width = (1 + torch.rand(batch, gaussians, generator=generator)) * 1.2 * grid.pixel_size
    leaves = [v.to(grid.device).requires_grad_() for v in (center, amplitude, width)]
    poses = random_poses(batch, generator)
    views = Poses(poses.rotation.to(grid.device), poses.shift.to(grid.device))
    return GaussianModel(*leaves), views


def value_and_gradient(
    model: GaussianModel, poses: Poses, grid: FourierGrid, weight: Tensor
) -> tuple[Tensor, ...]:
    """Of a fixed weighted sum of the transform."""
    project = importlib.import_module("cryomix.imaging.projection_triton").project_gaussians_triton
    image_ft = project(model, poses, grid, tolerance=TOLERANCE)
    leaves = (model.center, model.amplitude, model.width)
    return image_ft.detach(), *torch.autograd.grad(image_ft, leaves, weight)


def assert_parity(model: GaussianModel, poses: Poses, grid: FourierGrid) -> None:
    """A wrong answer has no speed: value per ring and gradients against float64."""
    shape = (len(poses), grid.box_size, grid.half_size)
    weight = torch.randn(shape, dtype=torch.complex64, device=grid.device)
    weight *= grid.radius * grid.box_length < 0.45 * grid.box_size
    fast_ft, *fast = value_and_gradient(model, poses, grid, weight)
    exact_model = GaussianModel(
        *(
            v.detach().double().requires_grad_()
            for v in (model.center, model.amplitude, model.width)
        )
    )
    exact_poses = Poses(poses.rotation.double(), poses.shift.double())
    exact_ft = project_gaussians_reference(exact_model, exact_poses, grid)
    leaves = (exact_model.center, exact_model.amplitude, exact_model.width)
    exact = torch.autograd.grad(exact_ft, leaves, weight.to(torch.complex128))
    exact_ft = exact_ft.detach()
    difference = sum_over_rings((fast_ft - exact_ft).abs().square(), grid).sum(0)
    error = (difference / sum_over_rings(exact_ft.abs().square(), grid).sum(0)).sqrt()
    worst = float(error[: int(0.45 * grid.box_size) + 1].max())
    cosine = min(
        float(torch.cosine_similarity(value.double().flatten(), wanted.flatten(), dim=0))
        for value, wanted in zip(fast, exact, strict=True)
    )
    if not (worst <= TOLERANCE and cosine >= 0.99999):
        raise SystemExit(f"projection is off: {worst:.1e} in a ring, gradient cosine {cosine:.7f}")


def measure(
    model: GaussianModel, poses: Poses, grid: FourierGrid, repeats: int
) -> tuple[float, float]:
    """Median time, ms, and the most memory beside the inputs, MB."""
    shape = (len(poses), grid.box_size, grid.half_size)
    weight = torch.randn(shape, dtype=torch.complex64, device=grid.device)
    value_and_gradient(model, poses, grid, weight)  # compiles
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    times = repeat_timed(lambda: value_and_gradient(model, poses, grid, weight), repeats)
    return statistics.median(times), (torch.cuda.max_memory_allocated() - before) / 2**20


def repeat_timed(work: Callable[[], object], repeats: int) -> list[float]:
    """Milliseconds of each repeat, by events on the device."""
    times = []
    for _ in range(3 + repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return times[3:]  # the first ones warm up


def bytes_per_image(gaussians: int, grid: FourierGrid) -> int:
    """The fewest bytes that pass through the device's memory."""
    size, n = fine_grid_for(grid, TOLERANCE).size, grid.box_size
    fine = 2 * (8 * size**2 + 16 * size * (size // 2 + 1))
    return fine + 16 * n * (n // 2 + 1) + 60 * gaussians


def operations(model: GaussianModel, poses: Poses, grid: FourierGrid) -> int:
    """What the matrix units have to do for a batch."""
    kernel = importlib.import_module("cryomix.imaging.projection_triton")
    fine = fine_grid_for(grid, TOLERANCE)
    with torch.no_grad():
        seen = place_gaussians(model, poses, grid)
        widening = fine.widening(seen.width)
        order = kernel._compact_order(model)
        blocks = kernel._pack_blocks(seen.x, seen.y, seen.mass, seen.width, widening, order, fine)
    pairs = count_pairs(blocks.bounds, fine, kernel.TILE)
    return 18 * kernel.TILE**2 * kernel.BLOCK * pairs


def count_pairs(bounds: Tensor, fine: FineGrid, tile: int) -> int:
    """How often a block of Gaussians reaches a tile: rows reached times columns reached."""
    half = 0.5 * (tile - 1)
    middle = torch.arange(-(-fine.size // tile), device=bounds.device) * tile + half
    reached = []
    for axis in (0, 2):
        distance = middle - bounds[:, axis, :, None]
        distance = distance - fine.size * torch.round(distance / fine.size)
        reached.append((distance.abs() <= bounds[:, axis + 1, :, None] + half).sum(-1))
    return int((reached[0] * reached[1]).sum())


def copy_bandwidth(device: torch.device) -> float:
    """Bytes per second, read and written, of a large copy."""
    source = torch.rand(2**28, device=device)
    target = torch.empty_like(source)
    times = repeat_timed(lambda: target.copy_(source), 10)
    return 2 * 4 * 2**28 / (1e-3 * statistics.median(times))


def tf32_rate(device: torch.device) -> float:
    """Operations per second of a large matrix product in TF32."""
    first, second = torch.randn(2, 8192, 8192, device=device)
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    times = repeat_timed(lambda: first @ second, 10)
    torch.backends.cuda.matmul.allow_tf32 = allowed
    return 2 * 8192**3 / (1e-3 * statistics.median(times))


if __name__ == "__main__":
    main()
