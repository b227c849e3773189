"""One epoch of `cryomix train` on particles that lie on disk: time and resident memory.

Every image is written for real, with noise of its own, and dropped from the page cache before
the training starts: neither holes in the file nor an image read twice make it look cheap.

Run: ``python benchmarks/fitting/benchmark_epoch.py --particles 200000 --box 128``.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cryomix import __version__
from cryomix.files.checkpoint import read_csv, write_gaussians
from cryomix.files.job import JobFolder
from cryomix.files.relion import write_particle_set
from cryomix.files.training import read_state
from cryomix.geometry.fourier import FourierGrid, to_real
from cryomix.geometry.poses import random_poses
from cryomix.imaging.ctf import Ctf, evaluate_ctf
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.particles import Particles
from cryomix.imaging.projection import project_gaussians

PIXEL_SIZE = 1.5
RESOLUTION = 3 * PIXEL_SIZE
SIGNALS = 2000
SNR = 0.05


@dataclass(frozen=True, slots=True)
class NoisyStack:
    """A few signals, each seen in many images, every one with its own noise."""

    signal: Tensor
    count: int

    def __len__(self) -> int:
        return self.count

    def read(self, index: Tensor) -> Tensor:
        """Make the images at `index`."""
        generator = torch.Generator().manual_seed(int(index[0]))
        image = self.signal[index % len(self.signal)]
        return image + torch.randn(image.shape, generator=generator) * SNR**-0.5


def main() -> None:
    """Make the particles if need be, train, print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--particles", type=int, default=200_000)
    parser.add_argument("--box", type=int, default=128)
    parser.add_argument("--gaussians", type=int, default=3082)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--memory-gb", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument(
        "--epoch-only", action="store_true", help="stop before the latents of all particles"
    )
    parser.add_argument("--keep", type=Path, help="make, or find, the particles in this folder")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        made = options.keep or Path(folder)
        if not (made / "particles.star").is_file():
            made.mkdir(parents=True, exist_ok=True)
            make_set(made, options)
        stack = made / "particles.mrcs"
        drop_from_page_cache(stack)
        measured = train(made, Path(folder) / "job", options)
        result = {
            "benchmark": "one epoch from disk",
            "particles": options.particles,
            "box": options.box,
            "gaussians": options.gaussians,
            "batch": options.batch,
            "memory_gb": options.memory_gb,
            **measured,
            "stack_bytes": stack.stat().st_size,
            "stack_bytes_on_disk": 512 * stack.stat().st_blocks,
            "device": platform.processor() or platform.machine(),
            "threads": options.threads or os.cpu_count(),
            "cryomix": __version__,
            "torch": torch.__version__,
        }
    print(json.dumps(result))


def make_set(folder: Path, options: argparse.Namespace) -> None:
    """Particles of models in which a fifth of the Gaussians moves; the neutral model."""
    generator = torch.Generator().manual_seed(0)
    count, gaussians = min(SIGNALS, options.particles), options.gaussians
    grid = FourierGrid(options.box, PIXEL_SIZE)
    center = (torch.rand(gaussians, 3, generator=generator) - 0.5) * 0.5 * grid.box_length
    width = 1.5 * PIXEL_SIZE
    neutral = GaussianModel(center, 0.5 * torch.ones(gaussians), width * torch.ones(gaussians))
    poses, one = random_poses(count, generator), torch.ones(count)
    defocus = 8000 + 12000 * torch.rand(count, generator=generator)
    ctf = Ctf(defocus, defocus, 0 * one, 300 * one, 2.7 * one, 0.1 * one, 0 * one)
    images = []
    for part in torch.arange(count).split(64):
        moved = center.repeat(len(part), 1, 1)
        moved[:, : gaussians // 5, 0] += 6 * torch.randn(len(part), 1, generator=generator)
        shape = (len(part), gaussians)
        model = GaussianModel(moved, neutral.amplitude.expand(shape), neutral.width.expand(shape))
        projection = project_gaussians(model, poses[part], grid)
        images.append(to_real(projection * evaluate_ctf(ctf[part], grid)))
    signal = torch.cat(images)
    every = torch.arange(options.particles)
    signal_of = every % count
    particles = Particles(
        NoisyStack(signal / signal.std(), options.particles), poses[signal_of], ctf[signal_of],
        PIXEL_SIZE, options.box, (1 + every % 2).to(torch.int8), every,
    )  # fmt: skip
    units = {"base_width": width, "box_length": grid.box_length, "resolution": RESOLUTION}
    write_gaussians(
        folder / "gaussians.safetensors",
        neutral,
        {key: repr(value) for key, value in units.items()},
    )
    write_particle_set(folder / "particles.star", particles)


def drop_from_page_cache(path: Path) -> None:
    """Have the system read the file from the disk again."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def train(made: Path, job: Path, options: argparse.Namespace) -> dict[str, object]:
    """Run the command; processor time, memory and disk reads of its process."""
    command = [
        sys.executable, "-m", "cryomix", "train", str(made / "particles.star"),
        "--neutral", str(made / "gaussians.safetensors"), "-o", str(job),
        "--epochs", "1", "--posterior-steps", "0", "--batch-size", str(options.batch),
        "--memory-gb", str(options.memory_gb), "--threads", str(options.threads),
        "--device", "cpu",
    ]  # fmt: skip
    start = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    after_epoch: dict[str, float] = {}
    assert process.stderr is not None
    for line in process.stderr:
        print(line, end="", file=sys.stderr, flush=True)
        if line.startswith("epoch 1:"):
            after_epoch = usage_so_far(process.pid)
            if options.epoch_only:
                process.send_signal(signal.SIGINT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and not (options.epoch_only and after_epoch):
        raise SystemExit(f"cryomix train failed with exit code {process.returncode}")
    assert_trained(job)
    processor = usage.ru_utime + usage.ru_stime
    return {
        "cpu_ms_per_particle": round(1e3 * processor / options.particles, 3),
        "wall_s": round(time.perf_counter() - start, 1),
        "peak_mb": round(usage.ru_maxrss / 1024),
        "bytes_from_disk": 512 * usage.ru_inblock,
        "until_the_end_of_the_epoch": {
            "cpu_ms_per_particle": round(1e3 * after_epoch["cpu_s"] / options.particles, 3),
            "peak_mb": round(after_epoch["peak_mb"]),
        },
    }


def usage_so_far(pid: int) -> dict[str, float]:
    """Processor seconds and peak of resident memory of a process that runs."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    return {
        "cpu_s": (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
        "peak_mb": int(status["VmHWM"].split()[0]) / 1024,
    }


def assert_trained(job: Path) -> None:
    """A training that learned nothing has no speed."""
    history = job / "history.csv"
    if history.is_file():
        gain = float(read_csv(history)["held_out_score"][0])
    else:
        (epoch,) = read_state(JobFolder(job).training_state).history
        gain = epoch.held_out_score
    if not gain > 0:
        raise SystemExit(f"the held-out score is no better than the neutral model's: {gain:g}")


if __name__ == "__main__":
    main()
