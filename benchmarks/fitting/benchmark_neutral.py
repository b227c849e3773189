"""The fit of a neutral model to a map of known Gaussians, for growing numbers of Gaussians.

Parity: the mean FRC of unseen views must reach what the fit is asked for.

Run: ``python benchmarks/fitting/benchmark_neutral.py --gaussians 256 1024 3082 --box 128``.
"""

import argparse
import json
import platform
import resource
import time

import torch

from cryomix import __version__
from cryomix.fitting.neutral import fit_neutral
from cryomix.geometry.fourier import FourierGrid
from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.options import NeutralOptions

VOXEL_SIZE = 2.5
LEAST_FRC = 0.8


def main() -> None:
    """Fit, assert that the fit is good, print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gaussians", type=int, nargs="+", default=[256, 1024, 3082])
    parser.add_argument("--box", type=int, default=128)
    parser.add_argument("--resolution", type=float, default=10.0)
    options = parser.parse_args()

    grid = FourierGrid(options.box, VOXEL_SIZE)
    volume = render_volume(make_object(grid), options.box, VOXEL_SIZE)
    results = []
    for gaussians in options.gaussians:
        wanted = NeutralOptions(resolution=options.resolution, gaussians=gaussians)
        start, wall_start = time.process_time(), time.perf_counter()
        found = fit_neutral(volume, wanted, report=lambda _: None)
        seconds, wall = time.process_time() - start, time.perf_counter() - wall_start
        if found.mean_frc < LEAST_FRC:
            raise SystemExit(f"{gaussians} Gaussians: FRC {found.mean_frc:.3f} is no fit")
        results.append(
            {
                "gaussians": len(found.model),
                "cpu_s": round(seconds, 1),
                "wall_s": round(wall, 1),
                "mean_frc": round(found.mean_frc, 4),
            }
        )
    result = {
        "benchmark": "neutral model from a map",
        "box": options.box,
        "voxel_size": VOXEL_SIZE,
        "resolution": options.resolution,
        "results": results,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "device": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "cryomix": __version__,
        "torch": torch.__version__,
    }
    print(json.dumps(result))


def make_object(grid: FourierGrid) -> GaussianModel:
    """A compact chain of 4,000 blobs that fills a ball, like a protein at low resolution."""
    generator = torch.Generator().manual_seed(0)
    radius, place = 0.25 * grid.box_length, torch.zeros(3)
    places = []
    while len(places) < 4000:
        step = place + 4.0 * torch.randn(3, generator=generator)
        if float(step.norm()) < radius:
            place = step
            places.append(place)
    count = len(places)
    return GaussianModel(torch.stack(places), torch.ones(count), 3.0 * torch.ones(count))


if __name__ == "__main__":
    main()
