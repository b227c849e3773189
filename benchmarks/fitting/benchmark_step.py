"""One step of training: encoder, decoder, projection, score, gradient and Adam.

The step is the one that `train` takes, on prepared particles; reading and preparing them is
measured by ``benchmark_loader.py``. On a GPU (``--device cuda``) particles per second are by
the wall clock around many steps, of which the last is waited for.

Run: ``python benchmarks/fitting/benchmark_step.py --gaussians 3082 --box 128 --batch 64``.
"""

import argparse
import json
import platform
import resource
import statistics
import time

import torch

from cryomix import __version__
from cryomix.fitting.preparation import PreparedBatch
from cryomix.fitting.rigidity import Rigidity
from cryomix.fitting.score import score_projections
from cryomix.fitting.trained_model import ModelSettings, TrainedModel
from cryomix.fitting.training_step import make_optimizer, training_loss, training_step
from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses, random_poses
from cryomix.imaging.ctf import Ctf, evaluate_ctf
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.noise import estimate_spectrum
from cryomix.imaging.particles import ParticleBatch
from cryomix.imaging.projection import project_gaussians
from cryomix.imaging.projection_factorized import project_gaussians_factorized
from cryomix.options import TrainingOptions

PIXEL_SIZE = 2.0


def main() -> None:
    """Assert that a step's loss and gradient are right, measure, print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gaussians", type=int, default=3082)
    parser.add_argument("--box", type=int, default=128)
    parser.add_argument("--batch", type=int, nargs="+", default=[64])
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--loss", choices=["snr", "flat"], default="snr")
    parser.add_argument("--decoder", choices=["dense", "shared"], default="dense")
    parser.add_argument("--rigidity", type=float, default=0.0)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = parser.parse_args()

    device = torch.device(options.device)
    result = {
        "benchmark": "training step",
        "gaussians": options.gaussians,
        "box": options.box,
        "hidden": options.hidden,
        "loss": options.loss,
        "decoder": options.decoder,
        "rigidity": options.rigidity,
        "results": [measure(batch, device, options) for batch in options.batch],
        "device": (
            torch.cuda.get_device_name(device)
            if device.type == "cuda"
            else platform.processor() or platform.machine()
        ),
        "threads": torch.get_num_threads(),
        "cryomix": __version__,
        "torch": torch.__version__,
    }
    print(json.dumps(result))


def measure(
    batch_size: int, device: torch.device, options: argparse.Namespace
) -> dict[str, float | int]:
    """Steps on one batch, after two that warm up."""
    training = TrainingOptions(batch_size=batch_size, hidden=options.hidden, loss=options.loss)
    model, batch = make_problem(batch_size, device, options)
    assert_parity(model, batch, training)
    optimizer = make_optimizer(model, training)
    rigidity = None
    if options.rigidity:
        neutral, base_width = model.decoder.neutral, model.settings.base_width
        rigidity = Rigidity(neutral, base_width, options.rigidity).to(device)
    noise = torch.zeros(batch_size, training.latent_size, device=device)
    cpu, wall = [], []
    for _ in range(options.steps + 2):
        start, wall_start = time.process_time(), time.perf_counter()
        training_step(model, batch, noise, optimizer, training, rigidity, whole=batch_size)
        if device.type == "cuda":
            torch.cuda.synchronize()
        cpu.append(time.process_time() - start)
        wall.append(time.perf_counter() - wall_start)
    seconds = statistics.median(wall[2:])
    found: dict[str, float | int] = {
        "batch": batch_size,
        "cpu_ms_per_particle": round(1e3 * statistics.median(cpu[2:]) / batch_size, 3),
        "wall_ms_per_particle": round(1e3 * seconds / batch_size, 3),
        "particles_per_second": round(batch_size / seconds),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    if device.type == "cuda":
        found["gpu_peak_mb"] = round(torch.cuda.max_memory_allocated() / 2**20)
    return found


def make_problem(
    batch_size: int, device: torch.device, options: argparse.Namespace
) -> tuple[TrainedModel, PreparedBatch]:
    """A model of a ball of Gaussians, and noisy images of it with part of them moved."""
    generator = torch.Generator().manual_seed(0)
    grid = FourierGrid(options.box, PIXEL_SIZE)
    gaussians = options.gaussians
    center = (torch.rand(gaussians, 3, generator=generator) - 0.5) * 0.6 * grid.box_length
    width = 1.2 * PIXEL_SIZE * (1 + 0.6 * (torch.rand(gaussians, generator=generator) - 0.5))
    neutral = GaussianModel(center, 0.2 + 0.6 * torch.rand(gaussians, generator=generator), width)
    poses, one = random_poses(batch_size, generator), torch.ones(batch_size)
    defocus = 8000 + 12000 * torch.rand(batch_size, generator=generator)
    ctf = Ctf(defocus, defocus, 0 * one, 300 * one, 2.7 * one, 0.1 * one, 0 * one)
    moved = center.repeat(batch_size, 1, 1)
    moved[:, : gaussians // 5, 0] += 6 * torch.randn(batch_size, 1, generator=generator)
    shown = GaussianModel(
        moved, neutral.amplitude.repeat(batch_size, 1), width.repeat(batch_size, 1)
    )
    transfer = evaluate_ctf(ctf, grid)
    signal = project_gaussians(shown, poses, grid) * transfer
    noise = torch.randn(signal.shape, dtype=torch.complex64, generator=generator)
    image_ft = signal + 4 * signal.abs().square().mean().sqrt() * noise
    particles = ParticleBatch(image_ft, transfer, poses, torch.arange(batch_size))

    settings = ModelSettings(
        options.box, PIXEL_SIZE, 2.2 * PIXEL_SIZE, 1.2 * PIXEL_SIZE,
        4, options.hidden, options.loss, ("centers", "amplitudes", "widths"), options.decoder,
    )  # fmt: skip
    torch.manual_seed(0)
    model = TrainedModel(settings, neutral, estimate_spectrum(neutral, [particles], grid))
    gradient = 0.1 * torch.randn(batch_size, gaussians, 5, generator=generator)
    score = score_projections(project_gaussians(neutral, poses, grid), particles, model.metric)
    model = model.to(device)
    there = ParticleBatch(
        image_ft.to(device), transfer.to(device),
        Poses(poses.rotation.to(device), poses.shift.to(device)), particles.index,
    )  # fmt: skip
    return model, PreparedBatch(there, gradient.to(device), score.to(device))


def assert_parity(model: TrainedModel, batch: PreparedBatch, training: TrainingOptions) -> None:
    """Scores with the fast projection are those with the exact one, and the loss has a slope."""
    few = batch[: min(4, len(batch))]
    with torch.no_grad():
        shown = model.decode(model.encoder(few.gradient))
        poses, grid = few.particles.poses, model.metric.grid
        fast, exact = (
            score_projections(project(shown, poses, grid), few.particles, model.metric)
            for project in (project_gaussians, project_gaussians_factorized)
        )
    if not torch.allclose(fast, exact, rtol=2e-3):
        raise SystemExit(f"scores {fast.tolist()} should be {exact.tolist()}")
    noise = torch.zeros(len(few), training.latent_size, device=fast.device)
    loss, _, _ = training_loss(model, few, noise, training)
    slope = torch.autograd.grad(loss, model.decoder.last.weight)[0]
    if not float(slope.abs().sum()) > 0:
        raise SystemExit("the loss does not depend on the decoder")


if __name__ == "__main__":
    main()
