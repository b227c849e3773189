"""`cryomix check` on particle sets into which mistakes were planted: what it says of each.

Some particles of each set are written anew, with one mistake or two, and the command is run on
them. Two plus signs join mistakes of which at least one must be named; the others must be named
as what they are and nothing else. Sets named after ``--correct`` must pass whole.

Run: ``benchmark_check.py FOLDER … --other MAP --correct FOLDER …``; a folder holds
particles.star and consensus.mrc, and ``--other`` is a map of another molecule in the same box.
"""

import argparse
import contextlib
import io
import json
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from cryomix import __version__, cli
from cryomix.files.mrc import read_volume, write_volume
from cryomix.files.particle_file import read_particles
from cryomix.files.relion import write_particle_set
from cryomix.geometry.fourier import to_fourier, to_real
from cryomix.geometry.poses import Poses
from cryomix.imaging.ctf import evaluate_ctf
from cryomix.imaging.particles import ImageStack, Particles
from cryomix.imaging.volume import Volume
from cryomix.reconstruction.relation import magnify

FACTOR = 1.3


@dataclass(frozen=True, slots=True)
class Changed:
    """Images that are changed as they are read."""

    images: ImageStack
    change: Callable[[Tensor, Tensor], Tensor]

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: Tensor) -> Tensor:
        """The changed images at `index`."""
        return self.change(self.images.read(index), index)


Inputs = tuple[Particles, Volume]


def with_images(inputs: Inputs, change: Callable[[Tensor, Tensor], Tensor]) -> Inputs:
    """Each image as `change` makes it."""
    return replace(inputs[0], images=Changed(inputs[0].images, change)), inputs[1]


def with_poses(inputs: Inputs, rotation: Tensor, shift: Tensor) -> Inputs:
    """Other poses."""
    return replace(inputs[0], poses=Poses(rotation.contiguous(), shift)), inputs[1]


def with_map(inputs: Inputs, density: Tensor) -> Inputs:
    """Another density."""
    return inputs[0], replace(inputs[1], density=density)


def with_defocus(inputs: Inputs, factor: float) -> Inputs:
    """Defoci times `factor`."""
    ctf = inputs[0].ctf
    u, v = ctf.defocus_u * factor, ctf.defocus_v * factor
    return replace(inputs[0], ctf=replace(ctf, defocus_u=u, defocus_v=v)), inputs[1]


def flip_phases(inputs: Inputs) -> Inputs:
    """Images whose phases are flipped."""
    particles = inputs[0]

    def flip(image: Tensor, index: Tensor) -> Tensor:
        sign = evaluate_ctf(particles.ctf[index], particles.grid).sign()
        return to_real(to_fourier(image) * sign)

    return with_images(inputs, flip)


def mirror_poses(inputs: Inputs) -> Inputs:
    """Poses as a refinement against the mirrored map finds them: Z R Z sees it as R sees it."""
    mirror = torch.tensor([1.0, 1.0, -1.0])
    poses = inputs[0].poses
    return with_poses(inputs, mirror[:, None] * poses.rotation * mirror, poses.shift)


def scale_pixels(inputs: Inputs, *, of_map: bool, of_particles: bool) -> Inputs:
    """Headers that say 1.3 times the true size; nothing else changes."""
    particles, volume = inputs
    if of_particles:
        particles = replace(particles, pixel_size=particles.pixel_size * FACTOR)
    if of_map:
        volume = replace(volume, voxel_size=volume.voxel_size * FACTOR)
    return particles, volume


def rotate_rows(inputs: Inputs) -> Inputs:
    """Poses of other rows."""
    poses = inputs[0].poses
    return with_poses(inputs, poses.rotation.roll(1, 0), poses.shift.roll(1, 0))


def plant(other: Volume) -> dict[str, tuple[Callable[[Inputs], Inputs], str]]:
    """Name of each mistake → how it is made, and how the sentence about it begins."""

    def poses(change: Callable[[Poses], tuple[Tensor, Tensor]]) -> Callable[[Inputs], Inputs]:
        return lambda inputs: with_poses(inputs, *change(inputs[0].poses))

    hand = "the map has the other hand than the poses"
    pixel = f"the pixel size is {FACTOR}"
    return {
        "inverted contrast": (lambda x: with_images(x, lambda i, _: -i), "contrast is inverted"),
        "shifts negated": (poses(lambda p: (p.rotation, -p.shift)), "shifts have the wrong sign"),
        "rotations transposed": (
            poses(lambda p: (p.rotation.mT, p.shift)),
            "rotations are transposed",
        ),
        "pixel size, both headers": (
            lambda x: scale_pixels(x, of_map=True, of_particles=True),
            pixel,
        ),
        "pixel size, particles": (
            lambda x: scale_pixels(x, of_map=False, of_particles=True),
            pixel,
        ),
        "voxel size of map": (
            lambda x: scale_pixels(x, of_map=True, of_particles=False),
            "the header of the map says",
        ),
        "phases flipped, not declared": (flip_phases, "phases were flipped already"),
        "phases declared flipped, not so": (
            lambda x: (replace(x[0], has_flipped_phases=True), x[1]),
            "phases were not flipped although the file says so",
        ),
        "map mirrored in x": (
            lambda x: with_map(x, x[1].density.flip(2).roll(1, 2)),
            hand,
        ),
        "map mirrored through centre": (
            lambda x: with_map(x, x[1].density.flip((0, 1, 2)).roll((1, 1, 1), (0, 1, 2))),
            hand,
        ),
        "poses of the mirrored map": (mirror_poses, hand),
        "another structure": (
            lambda x: with_map(x, other.density),
            "the map does not show what the particles show",
        ),
        "images flipped in y": (
            lambda x: with_images(x, lambda i, _: i.flip(1).roll(1, 1)),
            "images are flipped in y",
        ),
        "defocus in µm": (lambda x: with_defocus(x, 1e-4), "defocus is not in Å"),
        "defocus in nm": (lambda x: with_defocus(x, 0.1), "defocus is in nm"),
        "defocus negated": (lambda x: with_defocus(x, -1), "defocus has the wrong sign"),
        "shifts in pixels": (
            lambda x: with_poses(x, x[0].poses.rotation, x[0].poses.shift / x[0].pixel_size),
            "shifts are ",
        ),
        "map moved by 5, -3, 2 voxels": (
            lambda x: with_map(x, x[1].density.roll((2, -3, 5), (0, 1, 2))),
            "the map lies elsewhere",
        ),
        "map shrunk 1.3 times": (
            lambda x: with_map(x, magnify(x[1], 1 / FACTOR).density),
            "the map has another scale",
        ),
        "poses of other rows": (rotate_rows, "rotations do not belong"),
    }


COMBINED = (
    "inverted contrast++shifts negated",
    "rotations transposed++phases flipped, not declared",
    "map mirrored in x++inverted contrast",
    "pixel size, both headers++shifts negated",
    "another structure++inverted contrast",
    "rotations transposed++phases declared flipped, not so",
    "map moved by 5, -3, 2 voxels++inverted contrast",
)


def main() -> None:
    """Plant, check, print a line for each and one of JSON; exit 1 if any was not as expected."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="*", help="sets that mistakes are planted in")
    parser.add_argument("--other", type=Path, help="a map of another molecule, of the same box")
    parser.add_argument("--correct", type=Path, nargs="*", default=[], help="sets that must pass")
    parser.add_argument("--particles", type=int, default=1600, help="how many are written anew")
    parser.add_argument("--only", nargs="*", help="names of mistakes [all]")
    options = parser.parse_args()

    torch.set_num_threads(1)
    results = [check_set(folder) for folder in options.correct]
    for folder in options.folders:
        particles, volume = read_some(folder, options.particles)
        mistakes = plant(read_volume(options.other))
        names = options.only or [*mistakes, *COMBINED]
        for name in names:
            results.append(check_planted(folder.name, name, (particles, volume), mistakes))
    failures = sum(not result["as_expected"] for result in results)
    summary = {
        "benchmark": "planted mistakes",
        "checked": len(results),
        "not_as_expected": failures,
        "median_cpu_s": sorted(result["cpu_s"] for result in results)[len(results) // 2],
        "device": platform.processor() or platform.machine(),
        "cryomix": __version__,
    }
    print(json.dumps(summary))
    raise SystemExit(1 if failures else 0)


def read_some(folder: Path, count: int) -> Inputs:
    """The first `count` particles of a set, which are drawn at random already, and its map."""
    particles = read_particles(folder / "particles.star")
    index = torch.arange(min(count, len(particles)))
    images = Changed(particles.images, lambda image, _: image)
    some = replace(
        particles,
        images=_First(images, len(index)),
        poses=particles.poses[index],
        ctf=particles.ctf[index],
        half_set=particles.half_set[index],
        source_row=index,
        same_image=None,
    )
    return some, read_volume(folder / "consensus.mrc")


@dataclass(frozen=True, slots=True)
class _First:
    images: ImageStack
    count: int

    def __len__(self) -> int:
        return self.count

    def read(self, index: Tensor) -> Tensor:
        return self.images.read(index)


def check_planted(
    source: str,
    name: str,
    inputs: Inputs,
    mistakes: dict[str, tuple[Callable[[Inputs], Inputs], str]],
) -> dict[str, object]:
    """Write the inputs with the mistake and check them."""
    parts = name.split("++")
    for part in parts:
        inputs = mistakes[part][0](inputs)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_particle_set(place / "particles.star", inputs[0])
        write_volume(place / "consensus.mrc", inputs[1])
        code, said, seconds = run_check(place)
    if len(parts) > 1:
        fine = code == 1
    else:
        fine = code == 1 and len(said) == 1 and said[0].startswith(mistakes[name][1])
    return tell(source, name, code, said, seconds, as_expected=fine)


def check_set(folder: Path) -> dict[str, object]:
    """Check a set as it is, which must pass."""
    code, said, seconds = run_check(folder)
    return tell(folder.name, "nothing", code, said, seconds, as_expected=code == 0)


def run_check(folder: Path) -> tuple[int, list[str], float]:
    """Exit code, what was found wrong or open, and processor seconds."""
    start, output = time.process_time(), io.StringIO()
    arguments = [str(folder / "particles.star"), "--map", str(folder / "consensus.mrc")]
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
        code = cli.main(["check", *arguments, "--json", "--threads", "1"])
    findings = json.loads(output.getvalue())["findings"]
    states = ("wrong",) if code else ("cannot tell",)
    said = [
        f"{one['answer'] if code else one['question']}: {one['evidence']}"
        for one in findings
        if one["state"] in states
    ]
    return code, said, time.process_time() - start


def tell(
    source: str, name: str, code: int, said: list[str], seconds: float, *, as_expected: bool
) -> dict[str, object]:
    """Print a line of the table."""
    mark = "ok " if as_expected else "BAD"
    found = "; ".join(said) or "all agrees"
    print(f"{mark} {source:28} {name:48} exit {code}, {seconds:4.1f} s: {found}", flush=True)
    return {"as_expected": as_expected, "cpu_s": round(seconds, 1)}


if __name__ == "__main__":
    main()
