"""`cryomix neutral`: the Gaussian model of what all particles have in common."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryomix.commands.flags import DataFolder, Flat, MaskFile, OutFolder
from cryomix.errors import OptionError
from cryomix.options import NeutralOptions, RuntimeOptions

if TYPE_CHECKING:
    from cryomix.commands.neutral_sources import NeutralSource
    from cryomix.fitting.neutral import NeutralFit

_DEFAULT = NeutralOptions()
_RUNTIME = RuntimeOptions()


def neutral(
    source: Annotated[
        Path | None,
        Parameter(name="MAP", help="consensus map (MRC), or an atomic model (PDB, mmCIF)"),
    ] = None,
    /,
    *,
    out: OutFolder,
    particles: Annotated[
        Path | None,
        Parameter(name="--particles", help="instead of a map: star or cs file with poses and CTF"),
    ] = None,
    datadir: DataFolder = None,
    reference: Annotated[
        Path | None,
        Parameter(name="--map", help="map in whose frame the atomic model lies, and on whose grid"),
    ] = None,
    mask: MaskFile = None,
    box_size: Annotated[
        int | None, Parameter(help="voxels along each edge, of an atomic model without --map")
    ] = None,
    pixel_size: Annotated[
        float | None,
        Parameter(help="Å per voxel [the header's, which must then be there]"),
    ] = None,
    options: Annotated[NeutralOptions, Flat] = _DEFAULT,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> None:
    """Fit Gaussians to a consensus map, to particles, or to an atomic model.

    Writes gaussians.safetensors, neutral.mrc (their density) and frc.csv (how well views agree,
    ring by ring; of particles, with those of the other half set, freed of noise). Centred in a
    box of its own, an atomic model has its centre of mass at the box centre.

        cryomix neutral consensus.mrc -o neutral
        cryomix neutral consensus.mrc -o neutral --resolution 12 --mask molecule.mrc
        cryomix neutral --particles particles.star -o neutral
        cryomix neutral fitted.pdb --map consensus.mrc -o neutral
        cryomix neutral model.cif --box 128 --pixel-size 2 -o neutral
    """
    from cryomix.commands.device import prepare_device
    from cryomix.files.job import create_job
    from cryomix.files.neutral_model import write_neutral
    from cryomix.files.run_record import write_run_record

    device = prepare_device(runtime)
    start = time.monotonic()
    opened = _open(source, particles, datadir, reference, mask, box_size, pixel_size, options)
    job = create_job(out, resume=False)

    fit = opened.fit()

    write_neutral(out, fit, opened.box_size, opened.voxel_size, opened.origin)
    grid = {"box_size": opened.box_size, "pixel_size": opened.voxel_size}
    settings = {**grid, **asdict(options)}
    write_run_record(
        job.run_record, "neutral", settings, list(opened.inputs), options.seed, str(device)
    )
    print(f"{summarize(fit, options.frc)} ({time.monotonic() - start:.0f} s)")


def summarize(fit: "NeutralFit", target: float) -> str:
    """One line for the user, who is told when the target was missed."""
    line = f"{len(fit.model)} Gaussians, mean FRC {fit.mean_frc:.3f} to {fit.resolution:.1f} Å"
    return line if fit.mean_frc > target else f"{line}: short of {target:g}"


def _open(
    source: Path | None,
    particles: Path | None,
    datadir: Path | None,
    reference: Path | None,
    mask: Path | None,
    box_size: int | None,
    pixel_size: float | None,
    options: NeutralOptions,
) -> "NeutralSource":
    """The one source that was given; refuses options that belong to another."""
    from cryomix.commands.neutral_sources import open_atoms, open_map, open_particles
    from cryomix.files.structure import is_structure_name

    grid = {"--map": reference, "--box": box_size}
    if particles is not None:
        _refuse("--particles", {"MAP": source, **grid, "--pixel-size": pixel_size})
        return open_particles(particles, datadir, mask, options)
    if source is None:
        raise OptionError("neutral: needs MAP (a map or an atomic model) or --particles, got none")
    if is_structure_name(source.name):
        _refuse("an atomic model", {"--datadir": datadir})
        return open_atoms(source, reference, box_size, pixel_size, mask, options)
    _refuse("a map", {**grid, "--datadir": datadir})
    return open_map(source, pixel_size, mask, options)


def _refuse(source: str, given: dict[str, Path | float | None]) -> None:
    for name, value in given.items():
        if value is not None:
            raise OptionError(f"{name}: must not be given with {source}, got {value}")
