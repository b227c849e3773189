"""Time and memory of a reconstruction: read, transform and insert images, solve the half maps.

Run: ``python benchmarks/reconstruction/benchmark_backprojection.py --box 128 --images 2000``.
"""

import argparse
import json
import platform
import resource
import statistics
import time

import numba
import numpy as np
import torch

from cryomix import __version__
from cryomix.geometry.poses import Poses, random_poses
from cryomix.imaging.ctf import Ctf
from cryomix.imaging.particles import Particles
from cryomix.reconstruction.backprojection import reconstruct_groups
from cryomix.reconstruction.insertion import insert_slices
from cryomix.reconstruction.insertion_reference import insert_slices_reference


class NoiseStack:
    """An endless stack that repeats 64 images, so that no memory goes to images."""

    def __init__(self, images: int, box: int) -> None:
        self._count = images
        self._noise = torch.randn(64, box, box, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return self._count

    def read(self, index: torch.Tensor) -> torch.Tensor:
        """The images at `index`."""
        return self._noise[index % 64]


def main() -> None:
    """Assert parity, measure, print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--groups", type=int, default=1)
    parser.add_argument("--padding", type=float, default=2.0)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()

    assert_parity()  # a wrong answer has no speed
    particles = noise_particles(options.images, options.box)
    groups = list(torch.arange(options.images).chunk(options.groups))
    reconstruct_groups(noise_particles(4, 16), [torch.arange(4)])  # compiles

    before = peak_mb()
    wall, processor = [], []
    for _ in range(options.repeats):
        start, start_processor = time.perf_counter(), time.process_time()
        reconstruct_groups(particles, groups, padding=options.padding)
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - start_processor)
    result = {
        "benchmark": "backprojection",
        "box": options.box,
        "images": options.images,
        "groups": options.groups,
        "padding": options.padding,
        "cpu_ms_per_image": round(1e3 * min(processor) / options.images, 4),
        "median_ms": round(1e3 * statistics.median(wall), 1),
        "peak_mb": round(peak_mb() - before, 1),
        "device": f"{platform.machine()}, {numba.get_num_threads()} threads",
        "versions": {
            "cryomix": __version__,
            "torch": torch.__version__,
            "numba": numba.__version__,
            "numpy": np.__version__,
        },
    }
    print(json.dumps(result))


def assert_parity() -> None:
    """The compiled insertion sums what the plain one sums, away from the mirror plane."""
    noise = np.random.default_rng(0)
    coefficient = np.fft.rfft2(noise.standard_normal((8, 16, 16))).astype(np.complex64)
    power = abs(np.fft.rfft2(noise.standard_normal((8, 16, 16)))).astype(np.float32)
    rotation = random_poses(8, torch.Generator().manual_seed(0)).rotation.numpy()
    slices = (coefficient, power, rotation, np.ones(8, np.float32))
    numerator, total = np.zeros((32, 32, 17), np.complex64), np.zeros((32, 32, 17), np.float32)
    full, full_total = np.zeros((32, 32, 32), complex), np.zeros((32, 32, 32))
    insert_slices(*slices, numerator, total)
    insert_slices_reference(*slices, full, full_total)
    for fast, slow in ((numerator, full), (total, full_total)):
        fast, slow = np.delete(fast, 16, axis=0), np.delete(slow, 16, axis=0)  # beyond Nyquist
        np.testing.assert_allclose(fast[:, :, 1:15], slow[:, :, 1:15], atol=1e-4)


def noise_particles(count: int, box: int) -> Particles:
    """Images of noise with random poses, shifts and defoci."""
    generator = torch.Generator().manual_seed(1)
    rotation = random_poses(count, generator).rotation
    one, number = torch.ones(count), torch.arange(count)
    defocus = 1e4 + 1e4 * torch.rand(count, generator=generator)
    ctf = Ctf(defocus, defocus - 300, 30 * one, 300 * one, 2.7 * one, 0.1 * one, 0 * one)
    shift = 6 * torch.rand(count, 2, generator=generator) - 3
    half_set = (1 + number % 2).to(torch.int8)
    poses = Poses(rotation, shift)
    return Particles(NoiseStack(count, box), poses, ctf, 2.0, box, half_set, number)


def peak_mb() -> float:
    """Largest resident memory of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
