"""`cryomix check`: whether inputs agree, in plain words."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryomix.commands.flags import DataFolder, Flat, MaskFile, ParticlesFile
from cryomix.errors import CryomixError, InputFileError
from cryomix.options import CheckOptions, RuntimeOptions

if TYPE_CHECKING:
    from cryomix.imaging.consistency import Agreement, Reading
    from cryomix.imaging.particles import Particles
    from cryomix.imaging.volume import Volume

_DEFAULT = CheckOptions()
_RUNTIME = RuntimeOptions()


def check(
    particles: ParticlesFile,
    *,
    volume: Annotated[
        Path | None,
        Parameter(name=["--map", "--in_3dref"], help="consensus map of the particles (MRC)"),
    ] = None,
    mask: MaskFile = None,
    datadir: DataFolder = None,
    options: Annotated[CheckOptions, Flat] = _DEFAULT,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> int:
    """Say whether particles, poses, CTF and map agree, by measuring them.

    Reads every image. With a map, compares its projections with the particles: contrast, sign of
    the shifts, rotations, hand, phases. Exit 0 if all agrees, 1 if not.

        cryomix check particles.star --map consensus.mrc
    """
    from cryomix.commands.device import prepare_device

    prepare_device(runtime)
    given = [path for path in (particles, volume, mask) if path is not None]
    for path in given:
        if not path.is_file():
            raise InputFileError(f"{path}: there is no such file")
    try:
        problems = _find_problems(particles, volume, mask, datadir, options)
    except CryomixError as error:
        problems = [str(error)]
    for problem in problems:
        print(f"problem: {problem}")
    print(f"{len(problems)} found" if problems else "all inputs agree")
    return 1 if problems else 0


def _find_problems(
    source: Path,
    volume_path: Path | None,
    mask_path: Path | None,
    data_folder: Path | None,
    options: CheckOptions,
) -> list[str]:
    from cryomix.commands.progress import counting
    from cryomix.commands.record import bad_images
    from cryomix.files.agreement import read_consensus, read_mask
    from cryomix.files.mrc import find_bad_images
    from cryomix.files.particle_file import read_particles
    from cryomix.imaging.consistency import measure_agreement

    particles = read_particles(source, data_folder=data_folder)
    _describe(source, particles)
    with counting("images read") as report:
        bad = find_bad_images(particles.images, report)
    problems = []
    if bad:
        problems.append(bad_images(source, bad))
    if volume_path is None:
        return problems
    volume = read_consensus(volume_path, particles)
    print(f"{volume_path}: {volume.box_size} px box, {volume.voxel_size:g} Å per voxel")
    if mask_path is not None:
        problems += _judge_mask(mask_path, read_mask(mask_path, volume))
    if bad:
        return [*problems, "the map was not compared with the particles because of their images"]
    resolution = options.resolution or default_resolution(particles)
    agreement = measure_agreement(
        particles, volume, sample=options.sample, resolution=resolution, seed=options.seed
    )
    given = agreement.given
    print(
        f"correlation of map and particles to {resolution:g} Å: {given.mean:.3f}, "
        f"{given.significance:.0f} standard errors, {len(given.correlation)} particles"
    )
    return problems + judge_agreement(agreement, particles)


def default_resolution(particles: "Particles") -> float:
    """Finest detail compared, Å: three pixels, at least 10 Å, and no finer than the images."""
    return max(3 * particles.pixel_size, 10.0, particles.finest)


def _describe(source: Path, particles: "Particles") -> None:
    defocus = (particles.ctf.defocus_u + particles.ctf.defocus_v) / 2e4
    first = int((particles.half_set == 1).sum())
    print(
        f"{source}: {len(particles)} particles, {particles.box_size} px box, "
        f"{particles.pixel_size:g} Å per pixel, defocus {float(defocus.min()):.2f} to "
        f"{float(defocus.max()):.2f} µm, half sets of {first} and {len(particles) - first}"
    )


def _judge_mask(path: Path, mask: "Volume") -> list[str]:
    low, high = float(mask.density.min()), float(mask.density.max())
    share = float((mask.density > 0.5).float().mean())
    print(f"{path}: {100 * share:.1f} % of the box")
    if low < -0.01 or high > 1.01:
        return [f"{path}: a mask must lie between 0 and 1, got {low:g} to {high:g}"]
    if share == 0:
        return [f"{path}: a mask must be above 0.5 somewhere, its largest value is {high:g}"]
    return []


def judge_agreement(agreement: "Agreement", particles: "Particles") -> list[str]:
    """What is wrong with the poses, the contrast or the phases, and what to do about it."""
    best, given = agreement.best, agreement.given
    if not agreement.is_related:
        return [
            "the map does not show what the particles show, however their poses are read: "
            f"correlation {best.mean:.3f}, {abs(best.significance):.1f} standard errors; take the "
            "map and the poses of one refinement"
        ]
    problems = []
    if best.inverted:
        problems.append(
            f"contrast is inverted, protein is dark (correlation {best.mean:.3f}): "
            "multiply the images by -1"
        )
    found = f"correlation {given.mean:.3f} as given, {abs(best.mean):.3f} so"
    return problems + [f"{words} ({found}): {cure}" for words, cure in _faults(best, particles)]


def _faults(best: "Reading", particles: "Particles") -> list[tuple[str, str]]:
    faults = []
    if best.rotation == "transposed":
        cure = "replace (rot, tilt, psi) by (-psi, -tilt, -rot)"
        faults.append(("rotations are transposed", cure))
    if best.rotation == "mirrored":
        cure = "mirror the map, or take the one that was refined with these poses"
        faults.append(("the map has the other hand than the poses", cure))
    if best.shift == "opposite":
        faults.append(("shifts have the wrong sign", "negate _rlnOriginXAngst and YAngst"))
    if best.shift == "none":
        cure = "set the origins to 0; were the images centred when they were extracted?"
        faults.append(("shifts do not belong to these images", cure))
    if best.phases == "other" and particles.has_flipped_phases:
        cure = "set _rlnCtfDataArePhaseFlipped to 0"
        faults.append(("phases were not flipped although the file says so", cure))
    elif best.phases == "other":
        cure = "set _rlnCtfDataArePhaseFlipped to 1"
        faults.append(("phases were flipped already", cure))
    return faults
