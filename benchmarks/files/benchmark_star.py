"""What a star file of a million particles costs: to read, and to write a selection of.

Run: ``python benchmarks/files/benchmark_star.py --particles 1000000 --selected 300000``. Each part
runs in a process of its own, whose peak memory includes PyTorch and everything else.
"""

import argparse
import json
import multiprocessing
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from cryomix import __version__
from cryomix.files.mrc_header import HEADER_BYTES, make_header
from cryomix.files.particle_file import read_particles, write_particles
from cryomix.files.relion_latents import write_latents as write_job_particles

COLUMNS = (
    "CoordinateX", "CoordinateY", "ImageName", "MicrographName", "OpticsGroup",
    "CtfMaxResolution", "CtfFigureOfMerit", "DefocusU", "DefocusV", "DefocusAngle", "CtfBfactor",
    "CtfScalefactor", "PhaseShift", "GroupNumber", "AngleRot", "AngleTilt", "AnglePsi",
    "OriginXAngst", "OriginYAngst", "ClassNumber", "NormCorrection", "LogLikeliContribution",
    "MaxValueProbDistribution", "NrOfSignificantSamples", "RandomSubset",
    "AutopickFigureOfMerit",
)  # fmt: skip
OPTICS = """
# version 30001

data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnVoltage #3
_rlnSphericalAberration #4
_rlnAmplitudeContrast #5
_rlnImagePixelSize #6
_rlnImageSize #7
_rlnImageDimensionality #8
1 opticsGroup1   300.000000     2.700000     0.100000     1.060000           64            2
2 opticsGroup2   200.000000     2.700000     0.100000     1.060000           64            2

# version 30001

data_particles

loop_
"""
BOX_SIZE, IN_A_STACK = 64, 5000


def main() -> None:
    """Make the file, measure, assert that what was selected comes back, print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--particles", type=int, default=1_000_000)
    parser.add_argument("--selected", type=int, default=300_000)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "particles.star"
        make_file(path, options.particles)
        arguments = (path, options.particles, options.selected)
        result = {
            "benchmark": "star file",
            "particles": options.particles,
            "columns": len(COLUMNS),
            "selected": options.selected,
            "file_mb": round(path.stat().st_size / 1e6),
            "import": measured(nothing, arguments),
            "read": measured(read, arguments),
            "write_selection": measured(write_selection, arguments),
            "write_latents": measured(write_latents, arguments),
            "device": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "cryomix": __version__,
        }
    print(json.dumps(result))


def make_file(path: Path, count: int) -> None:
    """Rows of 26 columns as RELION pads them, and sparse stacks of the images that they name."""
    generator = np.random.default_rng(0)
    rest = [row(generator) for _ in range(10_000)]
    with path.open("w") as file:
        file.write(OPTICS + "".join(f"_rln{name} #{i + 1} \n" for i, name in enumerate(COLUMNS)))
        for number in range(count):
            stack, section = divmod(number, IN_A_STACK)
            name = f"{section + 1:06d}@Extract/job012/Movies/FoilHole_{stack:05d}_frames.mrcs"
            before, after = rest[number % len(rest)]
            file.write(
                f"{before} {name} MotionCorr/job002/Movies/FoilHole_{stack:05d}_frames.mrc {after}"
            )
        file.write("\n")
    for stack in range(-(-count // IN_A_STACK)):
        place = path.parent / f"Extract/job012/Movies/FoilHole_{stack:05d}_frames.mrcs"
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as file:
            file.write(make_header((IN_A_STACK, BOX_SIZE, BOX_SIZE), 1.06, is_stack=True))
            file.truncate(HEADER_BYTES + IN_A_STACK * BOX_SIZE**2 * 4)


def row(generator: np.random.Generator) -> tuple[str, str]:
    """What stands before and after the names of image and micrograph."""
    x, y = generator.uniform(0, 4000, 2)
    u, v = generator.uniform(8e3, 2e4, 2)
    rot, psi = generator.uniform(-180, 180, 2)
    tilt, angle = generator.uniform(0, 180, 2)
    shift_x, shift_y = generator.normal(0, 4, 2)
    group, half = generator.integers(1, 3, 2)
    numbers = [4.34, 0.1455, u, v, angle, 0.0, 1.0, 0.0]
    middle = " ".join(f"{value:12.6f}" for value in numbers)
    pose = " ".join(f"{value:12.6f}" for value in (rot, tilt, psi, shift_x, shift_y))
    after = (
        f"{group:12d} {middle} {1:12d} {pose} {1:12d} {0.64:12.6f} {8.546714e5:12.6e} "
        f"{0.3913:12.6f} {4:12d} {half:12d} {16.46:12.6f} \n"
    )
    return f"{x:12.6f} {y:12.6f}", after


def measured(
    work: Callable[[Path, int, int], None], arguments: tuple[Path, int, int]
) -> dict[str, float]:
    """CPU seconds and peak memory of `work` in a process of its own."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=report, args=(sender, work, arguments))
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(process.exitcode)
    seconds, peak = receiver.recv()
    return {"cpu_s": round(seconds, 2), "peak_mb": round(peak)}


def report(
    sender: "multiprocessing.connection.Connection",
    work: Callable[[Path, int, int], None],
    arguments: tuple[Path, int, int],
) -> None:
    """Do the work and send what it took."""
    start = time.process_time()
    work(*arguments)
    unit = 1e6 if sys.platform == "darwin" else 1e3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sender.send((time.process_time() - start, peak / unit))


def nothing(path: Path, count: int, selected: int) -> None:
    """What remains is the memory of the program itself."""


def read(path: Path, count: int, selected: int) -> None:
    """Poses, CTF and where each image is."""
    particles = read_particles(path)
    assert len(particles) == count
    assert particles.images.read(torch.tensor([count - 1])).shape == (1, BOX_SIZE, BOX_SIZE)


def write_selection(path: Path, count: int, selected: int) -> None:
    """Some rows, verbatim."""
    rows = np.sort(np.random.default_rng(0).permutation(count)[:selected])
    out = path.with_name("selected.star")
    write_particles(path, out, rows=rows)
    assert sum(b"@" in line for line in out.open("rb")) == selected


def write_latents(path: Path, count: int, selected: int) -> None:
    """All rows with four latents and the cluster, as a job's particles.star has them."""
    latent = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    cluster = np.arange(count) % 9 + 1
    write_job_particles(path, path.with_name("job.star"), latent, cluster=cluster)


if __name__ == "__main__":
    main()
