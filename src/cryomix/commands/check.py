"""`cryomix check`: whether inputs agree, in plain words."""

from collections.abc import Iterator
from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryomix.commands.flags import DataFolder, Flat, MaskFile, ParticlesFile
from cryomix.errors import CryomixError, InputFileError
from cryomix.options import CheckOptions, RuntimeOptions

if TYPE_CHECKING:
    from cryomix.commands.finding import Finding
    from cryomix.imaging.particles import Particles
    from cryomix.imaging.volume import Volume

_DEFAULT = CheckOptions()
_RUNTIME = RuntimeOptions()
_FIRST = ("images", "defocus", "views")  # what must be right before a map can be compared


def check(
    particles: ParticlesFile,
    *,
    volume: Annotated[
        Path | None,
        Parameter(name=["--map", "--in_3dref"], help="consensus map of the particles (MRC)"),
    ] = None,
    mask: MaskFile = None,
    datadir: DataFolder = None,
    json: Annotated[bool, Parameter(negative="", help="print one JSON object instead")] = False,
    options: Annotated[CheckOptions, Flat] = _DEFAULT,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> int:
    """Say whether particles, poses, CTF and map agree, by measuring them, and how to mend it.

    Reads every image once. With a map, compares its projections with some of the particles, and
    the map with one rebuilt from them: contrast, shifts, rotations, hand, phases, pixel size,
    structure. Exit 0 if nothing is wrong, 1 if something is.

        cryomix check particles.star --map consensus.mrc
        cryomix check particles.star --map consensus.mrc --mask mask.mrc --json
    """
    from cryomix.commands.device import prepare_device
    from cryomix.commands.finding import Finding, format_table, problems_of, verdict

    prepare_device(runtime)
    given = [path for path in (particles, volume, mask) if path is not None]
    for path in given:
        if not path.is_file():
            raise InputFileError(f"{path}: there is no such file")
    findings: list[Finding] = []
    try:
        for finding in _examine(particles, volume, mask, datadir, options):
            findings.append(finding)
    except CryomixError as error:
        findings.append(Finding("input", str(error), state="wrong"))
    problems = problems_of(findings)
    if json:
        print(dumps({"findings": [asdict(one) for one in findings], "problems": len(problems)}))
        return 1 if problems else 0
    table = [one for one in findings if one.question != "input"]
    if table:
        print(format_table(table), end="\n\n")
    for problem in problems:
        print(f"problem: {problem}")
    print(verdict(findings))
    return 1 if problems else 0


def _examine(
    source: Path,
    volume_path: Path | None,
    mask_path: Path | None,
    data_folder: Path | None,
    options: CheckOptions,
) -> Iterator["Finding"]:
    from cryomix.commands.diagnosis import judge_relation
    from cryomix.commands.finding import Finding
    from cryomix.commands.metadata_findings import judge_particles
    from cryomix.files.agreement import read_map_of_any_voxel, read_mask
    from cryomix.files.particle_file import read_particles
    from cryomix.reconstruction.relation import relate

    particles = read_particles(source, data_folder=data_folder)
    alone = list(judge_particles(source, particles))
    yield from alone
    if volume_path is None:
        return
    volume, voxel_size = read_map_of_any_voxel(volume_path, particles)
    if mask_path is not None:
        yield _judge_mask(mask_path, read_mask(mask_path, volume), volume)
    if any(one.state == "wrong" and one.question in _FIRST for one in alone):
        yield Finding("map", "not compared with the particles before they are mended", state="note")
        return
    resolution = options.resolution or default_resolution(particles)
    relation = relate(
        particles, volume, sample=options.sample, resolution=resolution, seed=options.seed
    )
    yield from judge_relation(relation, particles, voxel_size)


def default_resolution(particles: "Particles") -> float:
    """Finest detail compared, Å: three pixels, at least 10 Å, and no finer than the images."""
    return max(3 * particles.pixel_size, 10.0, particles.finest)


def _judge_mask(path: Path, mask: "Volume", volume: "Volume") -> "Finding":
    from cryomix.commands.finding import Finding

    low, high = float(mask.density.min()), float(mask.density.max())
    inside = mask.density > 0.5
    share = float(inside.float().mean())
    if low < -0.01 or high > 1.01:
        words = f"{path}: a mask must lie between 0 and 1, got {low:g} to {high:g}"
        return Finding("mask", words, "", "wrong", "divide it by its greatest value")
    if share == 0:
        words = f"{path}: a mask must be above 0.5 somewhere, its largest value is {high:g}"
        return Finding("mask", words, "", "wrong")
    strongest = volume.density.flatten().topk(max(1, volume.density.numel() // 100)).indices
    held = float(inside.flatten()[strongest].float().mean())
    evidence = f"{100 * share:.1f} % of the box, {100 * held:.0f} % of the strongest density"
    if held < share:
        words = "the mask lies where the map has no density"
        cure = "take a mask on the grid of this map: were its origin or its axes changed?"
        return Finding("mask", words, evidence, "wrong", cure)
    return Finding("mask", "on the density", evidence)
