"""What prepared particles cost: to make, to keep in each precision, and to get back.

Run: ``python benchmarks/fitting/benchmark_loader.py --gaussians 3082 --box 128 --batch 64``.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from cryomix import __version__
from cryomix.files.mrc import open_stack, write_stack
from cryomix.fitting.gradients import neutral_gradient
from cryomix.fitting.networks import Decoder, Encoder, varying_parameters
from cryomix.fitting.preparation import PreparedParticles
from cryomix.fitting.score import Metric, make_metric
from cryomix.geometry.fourier import FourierGrid, to_real
from cryomix.geometry.poses import random_poses
from cryomix.imaging.ctf import Ctf, evaluate_ctf
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.noise import estimate_spectrum
from cryomix.imaging.particles import Particles, iterate_batches, read_batch
from cryomix.imaging.projection import project_gaussians

PIXEL_SIZE = 1.5
PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def main() -> None:
    """Assert that what is kept equals what is made, measure, print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gaussians", type=int, default=3082)
    parser.add_argument("--box", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--snr", type=float, default=0.05)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        particles, neutral = make_particles(Path(folder), options)
        metric, decoder = make_score(particles, neutral, options.batch)
        kept = PreparedParticles(particles, decoder, metric, memory_bytes=1e12)
        streamed = PreparedParticles(particles, decoder, metric, memory_bytes=0.0)
        assert_parity(kept, streamed)  # what is not the same bits may not be compared
        parts = torch.randperm(len(particles)).split(options.batch)
        result = {
            "benchmark": "prepared particles",
            "gaussians": options.gaussians,
            "box": options.box,
            "batch": options.batch,
            "particles": len(particles),
            "cpu_ms_per_particle": {
                "kept": cpu_of(lambda part: kept.batch(part), parts),
                "made_anew": cpu_of(lambda part: streamed.batch(part), parts),
                **cpu_of_parts(particles, decoder, metric, parts),
            },
            "bytes_per_particle": bytes_of(metric, options.gaussians),
            "relative_error": errors_of(particles, decoder, metric),
            "device": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "cryomix": __version__,
            "torch": torch.__version__,
        }
    print(json.dumps(result))


def make_particles(folder: Path, options: argparse.Namespace) -> tuple[Particles, GaussianModel]:
    """Noisy projections of models in which a fifth of the Gaussians moves, on disk."""
    generator = torch.Generator().manual_seed(0)
    count, gaussians = options.batch * options.batches, options.gaussians
    grid = FourierGrid(options.box, PIXEL_SIZE)
    center = (torch.rand(gaussians, 3, generator=generator) - 0.5) * 0.5 * grid.box_length
    width = 1.5 * PIXEL_SIZE * torch.ones(gaussians)
    neutral = GaussianModel(center, 0.5 * torch.ones(gaussians), width)
    poses, one = random_poses(count, generator), torch.ones(count)
    defocus = 8000 + 12000 * torch.rand(count, generator=generator)
    ctf = Ctf(defocus, defocus, 0 * one, 300 * one, 2.7 * one, 0.1 * one, 0 * one)
    images = []
    for part in torch.arange(count).split(options.batch):
        moved = center.repeat(len(part), 1, 1)
        moved[:, : gaussians // 5, 0] += 6 * torch.randn(len(part), 1, generator=generator)
        model = GaussianModel(
            moved, neutral.amplitude.expand(len(part), -1), width.expand(len(part), -1)
        )
        image = to_real(project_gaussians(model, poses[part], grid) * evaluate_ctf(ctf[part], grid))
        noise = image.std() / options.snr**0.5
        images.append(image + noise * torch.randn(image.shape, generator=generator))
    write_stack(folder / "particles.mrcs", images, PIXEL_SIZE)
    number = torch.arange(count)
    particles = Particles(
        open_stack(folder / "particles.mrcs"), poses, ctf, PIXEL_SIZE, options.box,
        (1 + number % 2).to(torch.int8), number,
    )  # fmt: skip
    return particles, neutral


def make_score(
    particles: Particles, neutral: GaussianModel, batch_size: int
) -> tuple[Metric, Decoder]:
    """The likelihood up to four fifths of Nyquist, as a working grid leaves it."""
    grid = particles.grid
    batches = iterate_batches(particles, grid, torch.arange(len(particles)), batch_size)
    metric = make_metric("snr", estimate_spectrum(neutral, batches, grid), grid, 2.5 * PIXEL_SIZE)
    varying = varying_parameters(len(neutral), ("centers", "amplitudes", "widths"))
    width = float(neutral.width.mean())
    return metric, Decoder(neutral, grid.box_length, width, varying, 4, 512)


def assert_parity(kept: PreparedParticles, streamed: PreparedParticles) -> None:
    """The same bits, whether a batch was kept or is made anew."""
    for part in torch.arange(len(kept)).split(50):
        kept.batch(part)
    index = torch.arange(0, len(kept), 7)
    first, second = kept.batch(index), streamed.batch(index)
    if not torch.equal(first.gradient, second.gradient):
        raise SystemExit("a batch differs from one that was kept")


def cpu_of(use: Callable[[Tensor], object], parts: tuple[Tensor, ...]) -> float:
    """Processor milliseconds per particle, user and system, of the second pass."""
    for part in parts[:2]:
        use(part)
    start = time.process_time()
    for part in parts:
        use(part)
    return round(1e3 * (time.process_time() - start) / sum(map(len, parts)), 4)


def cpu_of_parts(
    particles: Particles, decoder: Decoder, metric: Metric, parts: tuple[Tensor, ...]
) -> dict[str, float]:
    """The same of each step of the preparation."""
    grid, first = metric.grid, parts[0]
    batch = read_batch(particles, first, grid)
    gradient, _ = neutral_gradient(decoder, batch, metric)
    half, transfer = gradient.half(), batch.transfer.half()
    once = tuple(first for _ in parts)
    return {
        "reading": cpu_of(lambda part: particles.images.read(part), parts),
        "reading_and_transform": cpu_of(lambda part: read_batch(particles, part, grid), parts),
        "gradient": cpu_of(lambda _: neutral_gradient(decoder, batch, metric), once),
        "transfer_computed": cpu_of(lambda part: evaluate_ctf(particles.ctf[part], grid), parts),
        "transfer_from_float16": cpu_of(lambda _: transfer.float(), once),
        "gradient_from_float32": cpu_of(lambda _: gradient.clone(), once),
        "gradient_from_float16": cpu_of(lambda _: half.float(), once),
    }


def bytes_of(metric: Metric, gaussians: int) -> dict[str, int]:
    """Of one particle, for each way to keep it."""
    ring = metric.grid.ring
    band = int(((ring >= metric.first_ring) & (ring <= metric.last_ring)).sum())
    return {
        "gradient_float32": 20 * gaussians,
        "gradient_float16": 10 * gaussians + 20,
        "image_complex64": 8 * ring.numel(),
        "image_band_float16": 4 * band,
        "transfer_float32": 4 * ring.numel(),
        "transfer_band_float16": 2 * band,
        "as_kept": 10 * gaussians + 4 * band + 24,
    }


def errors_of(
    particles: Particles, decoder: Decoder, metric: Metric
) -> dict[str, dict[str, float]]:
    """Encoder's input, latents and score of each precision against those of single precision."""
    index = torch.arange(len(particles))
    batch = read_batch(particles, index, metric.grid)
    exact, score = neutral_gradient(decoder, batch, metric)
    encoder = Encoder(exact.shape[1], 4, 512)
    encoder.start_from(exact, decoder.groups, 0.3)
    latent = encoder(exact)
    unit = exact.abs().amax(1, keepdim=True)

    def compare(gradient: Tensor, found: Tensor) -> dict[str, float]:
        changed = (encoder(gradient) - latent).norm(dim=1) / latent.norm(dim=1).median()
        return {
            "gradient": float(((gradient - exact).norm(dim=1) / exact.norm(dim=1)).median()),
            "worst_gradient": float(((gradient - exact).norm(dim=1) / exact.norm(dim=1)).max()),
            "latent": float(changed.median()),
            "score_nats": float((found - score).abs().median()),
        }

    found = {
        f"gradient_{name}": compare((exact / unit).to(kind).float() * unit, score)
        for name, kind in PRECISIONS.items()
    }
    prepared = PreparedParticles(particles, decoder, metric, memory_bytes=0.0).batch(index)
    return found | {
        "image_and_gradient_float16": compare(prepared.gradient, prepared.neutral_score)
    }


if __name__ == "__main__":
    main()
