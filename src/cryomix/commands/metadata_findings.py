"""What `cryomix check` says of the particles by themselves, before any map."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cryomix.commands.finding import Finding

if TYPE_CHECKING:
    from cryomix.imaging.particles import Particles
    from cryomix.imaging.plausibility import Plausibility

_SMALLEST_DEFOCUS = 100.0  # Å; in µm, no defocus is as large
_SMALL_DEFOCUS = 3000.0  # Å; below, the map has to say whether it is in nm
_UNEVEN = 0.4  # share of the smaller half set
_FEW = 1000
_COVERED = 0.9
_BACKGROUNDS = 200  # images whose background is measured
_NORMAL = 0.5


def judge_particles(source: Path, particles: "Particles") -> Iterator[Finding]:
    """One finding for each thing that a particle set can have wrong by itself."""
    from cryomix.imaging.plausibility import judge_metadata

    known = judge_metadata(particles)
    yield from _judge_images(source, particles)
    yield from _judge_repeats(source, particles, known)
    yield _judge_defocus(known)
    yield _judge_views(known)
    first, second = known.half_sets
    uneven = min(first, second) < _UNEVEN * max(first, second)
    answer = "uneven: half maps will differ" if uneven else "even"
    yield Finding("half sets", answer, f"{first} and {second}", "note" if uneven else "ok")


def _judge_images(source: Path, particles: "Particles") -> Iterator[Finding]:
    from cryomix.commands.progress import counting
    from cryomix.commands.record import bad_images
    from cryomix.files.mrc import find_bad_images

    count = len(particles)
    size = f"{count} particles, {particles.box_size} px box, {particles.pixel_size:g} Å per pixel"
    yield Finding("particles", size, str(source), "note" if count < _FEW else "ok")
    with counting("images read") as report:
        bad = find_bad_images(particles.images, report)
    if bad:
        cure = "leave these rows out, or extract them again"
        yield Finding("images", bad_images(source, bad), "", "wrong", cure)
    else:
        yield Finding("images", "finite, none constant", f"{count} read")
        yield _judge_normalisation(particles)


def _judge_normalisation(particles: "Particles") -> Finding:
    import torch

    from cryomix.imaging.plausibility import measure_background

    step = max(1, len(particles) // _BACKGROUNDS)
    mean, deviation = measure_background(
        particles.images.read(torch.arange(len(particles))[::step])
    )
    evidence = f"background {mean:.3g} ± {deviation:.3g}"
    if abs(mean) < _NORMAL * deviation and _NORMAL < deviation < 1 / _NORMAL:
        return Finding("normalisation", "normalised", evidence)
    # cryomix normalises every image itself, so that this is for the programs that do not.
    return Finding("normalisation", "not normalised", evidence, "note")


def _judge_repeats(
    source: Path, particles: "Particles", known: "Plausibility"
) -> Iterator[Finding]:
    repeated = known.repeated.tolist()
    if repeated:
        rows = ", ".join(str(row + 1) for row in repeated[:5]) + (", …" if repeated[5:] else "")
        words = f"{source}: {len(repeated)} rows repeat an earlier one, image and pose"
        cure = "leave them out: RELION's Subset selection has 'remove duplicates'"
        yield Finding("repeats", words, f"rows {rows}", "wrong", cure)
    elif particles.same_image is not None:
        images = len(particles.same_image.unique())
        yield Finding("repeats", "images in several poses", f"{images} images", "note")


def _judge_defocus(known: "Plausibility") -> Finding:
    least, median, greatest = known.defocus
    evidence = f"{least / 1e4:.2f} to {greatest / 1e4:.2f} µm"
    if 0 < greatest < _SMALLEST_DEFOCUS:
        words = f"defocus is not in Å: it is {median:g} at the median"
        cure = "multiply _rlnDefocusU and _rlnDefocusV by 10000: µm to Å"
        return Finding("defocus", words, "", "wrong", cure)
    if known.overfocused == 1:
        cure = "negate _rlnDefocusU and _rlnDefocusV: underfocus is positive"
        return Finding("defocus", "defocus has the wrong sign", evidence, "wrong", cure)
    if known.overfocused > 0:
        share = f"{100 * known.overfocused:.1f} % of the particles are overfocused"
        return Finding("defocus", evidence, share, "note")
    return Finding("defocus", evidence, f"astigmatism to {known.astigmatism:.0f} Å")


def _judge_views(known: "Plausibility") -> Finding:
    evidence = f"{100 * known.coverage:.0f} % of all directions are seen within 15°"
    if known.has_one_rotation:
        cure = "take the particles of a refinement (RELION run_data.star, cryoSPARC alignments3D)"
        return Finding("views", "all rotations are the same", evidence, "wrong", cure)
    if known.coverage < _COVERED:
        return Finding("views", "some directions are missing", evidence, "note")
    return Finding("views", "from all sides", evidence)
