"""Projection and FRC on the CPU, value and gradient: gridding against the matrix product.

Two matrix products are timed beside it: `plain`, as PyTorch differentiates it, and `chunked`,
cryomix's own with a gradient written by hand, which needs less time and memory. Memory is what
the first call adds to what the process holds before, at its worst.

Run: ``python benchmarks/imaging/benchmark_projection.py --gaussians 3082 --box 128 --batch 8``;
``--alone --gaussians 1000 10000 100000 --box 64 256`` prints how cost grows.
"""

import argparse
import ctypes
import json
import math
import platform
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from cryomix import __version__
from cryomix.geometry.fourier import FourierGrid, sum_over_rings
from cryomix.geometry.poses import Poses, random_poses
from cryomix.imaging.correlation import ring_correlation
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.placement import place_gaussians
from cryomix.imaging.projection_factorized import project_gaussians_factorized
from cryomix.imaging.projection_gridding import project_gaussians_gridding
from cryomix.imaging.projection_reference import project_gaussians_reference

Project = Callable[[GaussianModel, Poses, FourierGrid], Tensor]


def main() -> None:
    """Assert parity, measure, print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gaussians", type=int, nargs="+", default=[3082])
    parser.add_argument("--box", type=int, nargs="+", default=[128])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--width", type=float, default=1.2, help="mean σ, pixels")
    parser.add_argument("--width-spread", type=float, default=0.3, help="σ varies by ± this share")
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--alone", action="store_true", help="leave out the matrix products")
    options = parser.parse_args()

    parity = assert_parity(options)  # a wrong answer has no speed
    result = {
        "benchmark": "projection and FRC, value and gradient",
        "batch": options.batch,
        "width_pixels": options.width,
        "width_spread": options.width_spread,
        "parity": parity,
        "results": [
            measure(gaussians, box, options)
            for box in options.box
            for gaussians in options.gaussians
        ],
        "device": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "cryomix": __version__,
        "torch": torch.__version__,
    }
    print(json.dumps(result))


def measure(gaussians: int, box: int, options: argparse.Namespace) -> dict[str, float]:
    """Medians over the repeats; ratios of times taken in turn."""
    grid = FourierGrid(box, 2.0)
    model, poses = make_views(gaussians, options.batch, grid, options)
    image_ft = torch.randn(
        (options.batch, box, grid.half_size),
        dtype=torch.complex64,
        generator=torch.Generator().manual_seed(1),
    )
    extra = extra_peak_mb(lambda: cpu_of(project_gaussians_gridding, model, poses, grid, image_ft))
    wall, gridding, plain, chunked = [], [], [], []
    for number in range(options.repeats):
        start = time.perf_counter()
        gridding.append(cpu_of(project_gaussians_gridding, model, poses, grid, image_ft))
        wall.append(time.perf_counter() - start)
        if not options.alone and number < 5:
            plain.append(cpu_of(project_plainly, model, poses, grid, image_ft))
            chunked.append(cpu_of(project_gaussians_factorized, model, poses, grid, image_ft))
    cpu = statistics.median(gridding)
    found = {
        "gaussians": gaussians,
        "box": box,
        "cpu_ms_per_image": round(1e3 * cpu / options.batch, 3),
        "wall_ms_per_image": round(1e3 * statistics.median(wall) / options.batch, 3),
        "extra_peak_mb": round(extra, 1),
    }
    if not options.alone:
        found["plain_product_cpu_ms"] = round(1e3 * statistics.median(plain) / options.batch, 2)
        found["chunked_product_cpu_ms"] = round(1e3 * statistics.median(chunked) / options.batch, 2)
        found["times_cheaper_than_plain"] = round(statistics.median(plain) / cpu, 1)
        found["times_cheaper_than_chunked"] = round(statistics.median(chunked) / cpu, 1)
    return found


def make_views(
    gaussians: int, batch: int, grid: FourierGrid, options: argparse.Namespace
) -> tuple[GaussianModel, Poses]:
    """One model per view, as in training."""
    generator = torch.Generator().manual_seed(0)
    center = (torch.rand(batch, gaussians, 3, generator=generator) - 0.5) * 0.6 * grid.box_length
    spread = options.width_spread * (2 * torch.rand(batch, gaussians, generator=generator) - 1)
    amplitude = 0.2 + 0.6 * torch.rand(batch, gaussians, generator=generator)
    width = options.width * grid.pixel_size * (1 + spread)
    return GaussianModel(center, amplitude, width), random_poses(batch, generator)


def assert_parity(options: argparse.Namespace) -> dict[str, float]:
    """Two views against the definition in double precision, up to 0.9 of Nyquist.

    Returns the largest relative error of a ring and one minus the smallest cosine between the
    gradients of the FRC, also with respect to which the ratio per Gaussian is checked.
    """
    grid = FourierGrid(options.box[0], 2.0)
    model, poses = make_views(min(300, options.gaussians[0]), 2, grid, options)
    double = Poses(poses.rotation.double(), poses.shift.double())
    last = int(0.45 * grid.box_size)
    leaves = [v.requires_grad_() for v in (model.center, model.amplitude, model.width)]
    exact_leaves = [v.detach().double().requires_grad_() for v in leaves]
    exact = project_gaussians_reference(GaussianModel(*exact_leaves), double, grid)
    fast = project_gaussians_gridding(GaussianModel(*leaves), poses, grid)
    image_ft = exact.detach() + exact.detach().roll(1, 0)

    difference = sum_over_rings((fast - exact).abs().square(), grid).sum(0)
    error = (difference / sum_over_rings(exact.abs().square(), grid).sum(0)).sqrt()[: last + 1]
    score = ring_correlation(fast, image_ft.to(fast), grid)[:, 1 : last + 1].mean()
    exact_score = ring_correlation(exact, image_ft, grid)[:, 1 : last + 1].mean()
    apart = max(
        float(1 - torch.cosine_similarity(own.double().flatten(), other.flatten(), dim=0))
        for own, other in zip(
            torch.autograd.grad(score, leaves),
            torch.autograd.grad(exact_score, exact_leaves),
            strict=True,
        )
    )
    if float(error.detach().max()) > 1e-3 or apart > 1e-5:
        raise SystemExit(
            f"gridding is off by {float(error.max()):.1e}, its gradient by {apart:.1e}"
        )
    return {"worst_ring": float(error.detach().max()), "one_minus_gradient_cosine": apart}


def project_plainly(model: GaussianModel, poses: Poses, grid: FourierGrid) -> Tensor:
    """The factorised matrix product, differentiated by PyTorch."""
    placed = place_gaussians(model, poses, grid)

    def factor(position: Tensor, frequency: Tensor) -> Tensor:
        decay = -2 * (math.pi * placed.width[..., None] * frequency) ** 2
        return torch.polar(decay.exp(), -2 * math.pi * position[..., None] * frequency)

    factor_x = factor(placed.x, grid.frequency_x.to(placed.x))
    factor_y = factor(placed.y, grid.frequency_y.to(placed.y))
    return (factor_y * placed.mass[..., None]).mT @ factor_x


def cpu_of(
    project: Project, model: GaussianModel, poses: Poses, grid: FourierGrid, image_ft: Tensor
) -> float:
    """Processor seconds, user and system, of one value and gradient."""
    leaves = [
        v.detach().clone().requires_grad_() for v in (model.center, model.amplitude, model.width)
    ]
    start = time.process_time()
    frc = ring_correlation(project(GaussianModel(*leaves), poses, grid), image_ft, grid)
    torch.autograd.grad(frc[:, 1:].mean(), leaves)
    return time.process_time() - start


def extra_peak_mb(use: Callable[[], object]) -> float:
    """Resident memory that `use` needs at its worst, beyond what the process holds before.

    Free memory is given back and the recorded peak set back first (Linux with glibc only), so
    that nothing before hides it.
    """
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        return float("nan")
    ctypes.CDLL(None).malloc_trim(0)
    reset.write_text("5")
    before = re.search(r"VmRSS:\s+(\d+)", status.read_text())
    use()
    after = re.search(r"VmHWM:\s+(\d+)", status.read_text())
    return (int(after[1]) - int(before[1])) / 1024 if before and after else float("nan")


if __name__ == "__main__":
    main()
