"""`cryomix neutral`: the Gaussian model of the consensus map."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryomix.commands.flags import Flat, MaskFile, OutFolder
from cryomix.options import NeutralOptions, RuntimeOptions

if TYPE_CHECKING:
    from cryomix.fitting.neutral import NeutralFit

_DEFAULT = NeutralOptions()
_RUNTIME = RuntimeOptions()


def neutral(
    volume: Annotated[Path, Parameter(name="MAP", help="consensus map (MRC)")],
    *,
    out: OutFolder,
    mask: MaskFile = None,
    pixel_size: Annotated[
        float | None, Parameter(help="Å per voxel [the header's, which must then be there]")
    ] = None,
    options: Annotated[NeutralOptions, Flat] = _DEFAULT,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> None:
    """Fit Gaussians to a consensus map, coarse to fine.

    Writes gaussians.safetensors, neutral.mrc (their density) and frc.csv (how well views of the
    two agree, ring by ring).

        cryomix neutral consensus.mrc -o neutral
        cryomix neutral consensus.mrc -o neutral --resolution 12 --mask molecule.mrc
    """
    from cryomix.commands.device import prepare_device
    from cryomix.commands.progress import say
    from cryomix.files.agreement import read_mask
    from cryomix.files.job import create_job
    from cryomix.files.mrc import read_volume
    from cryomix.files.neutral_model import write_neutral
    from cryomix.files.run_record import write_run_record
    from cryomix.fitting.neutral import fit_neutral

    device = prepare_device(runtime)
    consensus = read_volume(volume, voxel_size=pixel_size)
    region = read_mask(mask, consensus) if mask else None
    job = create_job(out, resume=False)

    fit = fit_neutral(consensus, options, mask=region, report=say)

    write_neutral(out, fit, consensus)
    inputs = [path for path in (volume, mask) if path is not None]
    settings = {"pixel_size": consensus.voxel_size, **asdict(options)}
    write_run_record(job.run_record, "neutral", settings, inputs, options.seed, str(device))
    print(summarize(fit, options.frc))


def summarize(fit: "NeutralFit", target: float) -> str:
    """One line for the user, who is told when the target was missed."""
    line = f"{len(fit.model)} Gaussians, mean FRC {fit.mean_frc:.3f} to {fit.resolution:.1f} Å"
    return line if fit.mean_frc > target else f"{line}: short of {target:g}"
