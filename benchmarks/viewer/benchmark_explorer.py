"""Explorer in a real browser: mouse to Gaussians, first map, lasso, turns, memory of the server."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from playwright.sync_api import Page, sync_playwright

import cryomix
from cryomix.files.checkpoint import write_array
from cryomix.files.domain_motions import write_domain_motions
from cryomix.files.job import JobFolder
from cryomix.files.run_record import write_run_record
from cryomix.files.training import write_model
from cryomix.fitting.trained_model import ModelSettings, TrainedModel
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.noise import Spectrum
from cryomix.latent.localized_path import DomainMotion
from cryomix.latent.screw_motion import ScrewMotion

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-gl=angle", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]  # fmt: skip
BOX, PIXEL_SIZE = 128, 2.0
NAMES = ("first", "second")  # domains; a third of the Gaussians is in neither
STAR_COLUMNS = (
    "rlnDefocusU", "rlnAngleTilt", "rlnMicrographName", "rlnAutopickFigureOfMerit",
    "rlnRandomSubset",
)  # fmt: skip


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--particles", type=int, default=300_000)
    parser.add_argument("--gaussians", type=int, default=3_000)
    parser.add_argument("--moves", type=int, default=200)
    parser.add_argument("--turns", action="store_true", help="tell how three domains turn")
    parser.add_argument(
        "--star", action="store_true", help="a particles.star of 26 columns, to colour by five"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        job = make_job(JobFolder(Path(folder) / "job"), options.particles, options.gaussians)
        if options.star:
            make_star(job.particles(Path("particles.star")), options.particles)
        server = subprocess.Popen(
            [sys.executable, "-m", "cryomix", "view", str(job.path), "--no-browser"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            if server.stdout is None:
                raise SystemExit("the server has no output")
            address = server.stdout.readline().strip()
            result = measure(
                address, job, options.moves, STAR_COLUMNS if options.star else (),
                turns=options.turns,
            )  # fmt: skip
            beyond = {"server": memory_of(server.pid), "peak": peak_memory_of(server.pid)}
            of_torch = memory_of_torch()
            for name, memory in beyond.items():
                result[f"{name}_mb_beyond_torch"] = round(memory - of_torch)
        finally:
            server.terminate()
            server.wait()
    told = {
        "benchmark": "explorer",
        "particles": options.particles,
        "gaussians": options.gaussians,
        **result,
        "device": platform.processor() or platform.machine(),
        "processors": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "cryomix": cryomix.__version__,
        "torch": torch.__version__,
    }
    print(json.dumps(told))


def make_job(job: JobFolder, particles: int, gaussians: int) -> JobFolder:
    """Latents of a bent cloud, and a decoder as training begins with."""
    job.path.mkdir()
    random = np.random.default_rng(0)
    latent = random.normal(size=(particles, 4)) * [1, 0.6, 0.3, 0.2]
    latent[:, 1] += 0.5 * latent[:, 0] ** 2
    write_array(job.latents, latent.astype(np.float32))
    write_array(job.clusters, (latent[:, 0] > 0).astype(np.int64))
    torch.manual_seed(0)
    neutral = GaussianModel(
        20 * torch.randn(gaussians, 3).clamp(-2.5, 2.5),
        0.5 * torch.ones(gaussians),
        4 * torch.ones(gaussians),
    )
    rings = torch.ones(BOX // 2 + 1)
    settings = ModelSettings(
        BOX, PIXEL_SIZE, 8.0, 4.0, 4, 512, "snr", ("centers", "amplitudes"), "shared"
    )
    model = TrainedModel(settings, neutral, Spectrum(rings, rings, rings, torch.tensor(0.01)))
    write_model(job.model, model)
    write_run_record(job.run_record, "train", {"particles": "particles.star"}, [], 0, "cpu")
    still = torch.zeros(3, dtype=torch.float64)
    rigid = ScrewMotion(0.0, 0.0, still, 0.0, still, 0.0, 0.0, 0.0, 1.0)
    third = neutral.center[:, 0].argsort().argsort() // (1 + gaussians // 3)
    for number, name in enumerate(NAMES):
        write_array(job.domain_members(name), (third == number).numpy())
    motions = [DomainMotion(name, gaussians // 3, 0.0, 0.0, 1.0, rigid) for name in NAMES]
    write_domain_motions(job.domain_motions, motions)
    return job


def make_star(path: Path, particles: int) -> None:
    """As RELION pads it, of 26 columns, with a few micrographs' names."""
    sys.path.append(str(Path(__file__).parents[1] / "files"))
    from benchmark_star import make_file

    make_file(path, particles)


def measure(
    address: str, job: JobFolder, moves: int, columns: Sequence[str], *, turns: bool
) -> dict[str, Any]:
    """Milliseconds, as the page sees them."""
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.goto(address)
        until = time.monotonic() + 120
        while not page.evaluate("window.cryomix?.marks.ready ?? 0"):
            if time.monotonic() > until:
                raise SystemExit("the page was not drawn in two minutes")
            time.sleep(0.05)
        ready = page.evaluate("window.cryomix.marks.ready")
        page.wait_for_timeout(3000)  # the neighbours of the particles are found meanwhile
        if turns:
            page.click("#turns-button")
            page.check("[aria-label='hold first still']")
        box = page.locator("#over").bounding_box()
        if box is None:
            raise SystemExit("there is no map")
        page.mouse.move(box["x"] + 100, box["y"] + 100)
        page.mouse.down()
        for step in range(moves):
            page.mouse.move(box["x"] + 100 + step % 200, box["y"] + 100 + step)
            page.wait_for_timeout(16)
        page.mouse.up()
        page.wait_for_timeout(500)
        latency = page.evaluate("window.cryomix.latencies")
        lasso = page.evaluate(
            """() => {
                const map = window.cryomix.map, start = performance.now(), outline = [];
                for (let i = 0; i < 200; i++)
                    outline.push([Math.cos(i * Math.PI / 100), 0.5 * Math.sin(i * Math.PI / 100)]);
                map.choose(outline, "replace");
                map.paint();
                return [performance.now() - start, map.selection.count];
            }"""
        )
        told = page.evaluate(
            """() => {
                const { view } = window.cryomix, { domains } = view, taken = [];
                for (let i = 0; i < 50; i++) {
                    const start = performance.now();
                    const model = domains.list[0].part.hold(view.model, view.compared);
                    for (const { part } of [...domains.list, { part: domains.whole }]) {
                        part.turn(view.compared, model);
                        part.rootMeanSquare(view.compared, model);
                    }
                    taken.push(performance.now() - start);
                }
                return taken;
            }"""
        )
        colored = {name: color_by(page, name) for name in columns}
        browser.close()
    if not 0 < lasso[1] < len(np.load(job.latents)):
        raise SystemExit("the lasso chose nothing")
    return {
        "median_ms": round(statistics.median(latency), 1),
        "p90_ms": round(float(np.percentile(latency, 90)), 1),
        "answers": len(latency),
        "page_to_map_ms": round(ready),
        "lasso_drawn_ms": round(lasso[0]),
        "turns_median_ms": round(statistics.median(told), 2),
        "turns_p90_ms": round(float(np.percentile(told, 90)), 2),
        "colored_ms": colored,
    }


def color_by(page: Page, name: str) -> int:
    """From choosing a column to the coloured map, milliseconds."""
    page.evaluate(
        """(name) => {
            const list = document.getElementById("shade"), map = window.cryomix.map;
            const drawn = map.onDraw, start = performance.now();
            window.colored = 0;
            map.onDraw = () => {
                drawn();
                if (map.shade?.info.name === name) window.colored ||= performance.now() - start;
            };
            list.value = name;
            list.dispatchEvent(new Event("change"));
        }""",
        name,
    )
    until = time.monotonic() + 120
    while not (took := page.evaluate("window.colored")):
        if time.monotonic() > until:
            raise SystemExit(f"the map was not coloured by {name} in two minutes")
        page.wait_for_timeout(20)
    return round(took)


def memory_of(process: int) -> float:
    """Resident memory, MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak_memory_of(process: int) -> float:
    """The most that it ever was, MB."""
    status = Path(f"/proc/{process}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def memory_of_torch() -> float:
    """The same of a process that has imported PyTorch and multiplied."""
    code = (
        "import torch; torch.ones(512, 512) @ torch.ones(512, 512); "
        "print(open('/proc/self/statm').read().split()[1])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(told.stdout) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
