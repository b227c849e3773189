"""Projection and score, value and gradient: gridding against the matrix product.

Run: ``python benchmarks/imaging/benchmark_projection.py --gaussians 3082 --box 128 --batch 8``.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from cryomix import __version__
from cryomix.geometry.fourier import FourierGrid, sum_over_rings
from cryomix.geometry.poses import Poses, random_poses
from cryomix.imaging.correlation import ring_correlation
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.projection_factorized import project_gaussians_factorized
from cryomix.imaging.projection_gridding import project_gaussians_gridding
from cryomix.imaging.projection_reference import project_gaussians_reference

Project = Callable[[GaussianModel, Poses, FourierGrid], Tensor]


def main() -> None:
    """Assert parity, measure, print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gaussians", type=int, default=3082)
    parser.add_argument("--box", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()

    grid = FourierGrid(options.box, 2.0)
    model, poses = make_views(options.gaussians, options.batch, grid)
    image_ft = project_gaussians_gridding(model, poses, grid).detach().roll(1, 0)
    assert_parity(model, poses, grid)  # a wrong answer has no speed
    wall, gridding, factorized = [], [], []
    for _ in range(options.repeats):
        start = time.perf_counter()
        gridding.append(cpu_of(project_gaussians_gridding, model, poses, grid, image_ft))
        wall.append(time.perf_counter() - start)
        factorized.append(cpu_of(project_gaussians_factorized, model, poses, grid, image_ft))
    ratios = [slow / fast for slow, fast in zip(factorized, gridding, strict=True)]
    result = {
        "benchmark": "projection and FRC, value and gradient",
        "gaussians": options.gaussians,
        "box": options.box,
        "batch": options.batch,
        "cpu_ms_per_image": round(1e3 * statistics.median(gridding) / options.batch, 3),
        "median_ms": round(1e3 * statistics.median(wall), 2),
        "times_cheaper_than_matrix_product": round(statistics.median(ratios), 1),
        "device": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "cryomix": __version__,
        "torch": torch.__version__,
    }
    print(json.dumps(result))


def make_views(gaussians: int, batch: int, grid: FourierGrid) -> tuple[GaussianModel, Poses]:
    """One model per view, as in training."""
    generator = torch.Generator().manual_seed(0)
    center = (torch.rand(batch, gaussians, 3, generator=generator) - 0.5) * 0.6 * grid.box_length
    ones = torch.ones(batch, gaussians)
    model = GaussianModel(center, 0.5 * ones, 1.2 * grid.pixel_size * ones)
    return model, random_poses(batch, generator)


def assert_parity(model: GaussianModel, poses: Poses, grid: FourierGrid) -> None:
    """One view against the definition, ring by ring up to 0.9 of Nyquist."""
    few = model[:1].subset(torch.arange(min(300, len(model))))
    exact = project_gaussians_reference(few, poses[:1], grid)
    fast = project_gaussians_gridding(few, poses[:1], grid)
    difference = sum_over_rings((fast - exact).abs().square(), grid)[0]
    error = (difference / sum_over_rings(exact.abs().square(), grid)[0]).sqrt()
    if float(error[: int(0.45 * grid.box_size) + 1].max()) > 1e-3:
        raise SystemExit(f"gridding is off by {float(error.max()):.1e}")


def cpu_of(
    project: Project, model: GaussianModel, poses: Poses, grid: FourierGrid, image_ft: Tensor
) -> float:
    """Processor seconds, user and system, of one value and gradient."""
    leaves = [v.clone().requires_grad_() for v in (model.center, model.amplitude, model.width)]
    start = time.process_time()
    frc = ring_correlation(project(GaussianModel(*leaves), poses, grid), image_ft, grid)
    torch.autograd.grad(frc[:, 1:].mean(), leaves)
    return time.process_time() - start


if __name__ == "__main__":
    main()
