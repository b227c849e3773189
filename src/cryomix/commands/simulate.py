"""`cryomix simulate`: particle sets with known truth."""

import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

from cyclopts import Parameter

from cryomix.commands.flags import Flat, OutFolder
from cryomix.commands.progress import counting
from cryomix.errors import DataWarning, InputFileError, OptionError
from cryomix.options import MotionOptions, RuntimeOptions, SimulationOptions

if TYPE_CHECKING:
    from torch import Tensor

    from cryomix.imaging.particles import ImageStack
    from cryomix.simulation import MovingMolecule, Simulation

_DEFAULT = SimulationOptions()
_STILL = MotionOptions()
_RUNTIME = RuntimeOptions()
_SYSTEMS = ("linear", "cyclic", "mixture")


def simulate(
    system: Annotated[
        str,
        Parameter(
            help="`linear`: a domain on a line; `cyclic`: on a circle; `mixture`: on a line, and a "
            "ligand that half of the molecules lack; or an atomic model (PDB, mmCIF)"
        ),
    ],
    *,
    out: OutFolder,
    model: Annotated[MotionOptions, Flat] = _STILL,
    trajectory: Annotated[
        Path | None, Parameter(help="frames of the atomic model, in the order of the motion (DCD)")
    ] = None,
    noise_spectrum: Annotated[
        Path | None,
        Parameter(help="power of the noise, a value per ring (.npz, text) [white noise]"),
    ] = None,
    options: Annotated[SimulationOptions, Flat] = _DEFAULT,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> None:
    """Make particles of a molecule that moves, with known truth.

    Writes particles.star with particles.mrcs, consensus.mrc, mask.mrc (where something moves)
    and truth.npz. Chains and residues are selected as in ChimeraX: /A, /A,B, /A:1-230/B.

        cryomix simulate linear -o simulated
        cryomix simulate 1hzh.pdb --motion "rotate /H:1-230/L by 360 about /H:230" -o simulated
        cryomix simulate model.cif --motion "shift /B:5-99 by 0,0,12" --without /C -o simulated
        cryomix simulate open.pdb --trajectory open_to_closed.dcd -o simulated
    """
    from cryomix.commands.device import prepare_device
    from cryomix.files.job import create_job
    from cryomix.files.noise_spectrum import read_noise_spectrum
    from cryomix.files.run_record import write_run_record
    from cryomix.files.structure import is_structure_name
    from cryomix.simulation import System, observe_molecule, simulate_system

    device = prepare_device(runtime)
    power = read_noise_spectrum(noise_spectrum) if noise_spectrum else None
    inputs = [path for path in (trajectory, noise_spectrum) if path is not None]
    if is_structure_name(system):
        inputs = [Path(system), *inputs]
        molecule = _read_molecule(Path(system), model, trajectory, options.pixel_size)
    else:
        _require_system(system, model, trajectory)
        molecule = None
    job = create_job(out, resume=False)

    if molecule is None:
        simulation = simulate_system(cast(System, system), options, power)
    else:
        simulation = observe_molecule(molecule, options, power)

    star = write_simulation(out, simulation)
    settings = {"system": system, **asdict(model), **asdict(options)}
    write_run_record(job.run_record, "simulate", settings, inputs, options.seed, str(device))
    states = len(simulation.molecule.coordinate)
    print(f"{star}: {options.particles} particles of the {states} states of {system}")


def write_simulation(folder: Path, simulation: "Simulation") -> Path:
    """Write particles, consensus, mask and truth; returns the star file."""
    from cryomix.files.mrc import write_volume
    from cryomix.files.relion import write_particle_set
    from cryomix.files.truth import write_truth

    star = folder / "particles.star"
    with counting("particles simulated") as report:
        images = _CountedStack(simulation.particles.images, report)
        write_particle_set(star, replace(simulation.particles, images=images))
    write_volume(folder / "consensus.mrc", simulation.consensus)
    write_volume(folder / "mask.mrc", simulation.mask)
    write_truth(folder / "truth.npz", simulation)
    return star


@dataclass(frozen=True, slots=True)
class _CountedStack:
    """Images that say how far they have been read, which is from the first to the last."""

    images: "ImageStack"
    report: Callable[[int, int], None]

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: "Tensor") -> "Tensor":
        images = self.images.read(index)
        self.report(int(index[-1]) + 1, len(self))
        return images


def _read_molecule(
    path: Path, model: MotionOptions, trajectory: Path | None, pixel_size: float
) -> "MovingMolecule":
    from cryomix.files.dcd import open_dcd
    from cryomix.files.structure import read_structure
    from cryomix.simulation.atomic_model import choose_frames, move_frames, move_model

    if model.motion and trajectory is not None:
        raise OptionError("--motion and --trajectory: must be one or the other, got both")
    structure = read_structure(path)
    models = len(structure.position)
    if models > 1 and (model.motion or trajectory is not None):
        text = f"{path}: only its first model is used, of {models}"
        warnings.warn(text, DataWarning, stacklevel=2)
    if trajectory is None and (model.motion or models == 1):
        return move_model(structure, model, pixel_size)
    if trajectory is None:
        chosen = choose_frames(models, model.states, str(path))
        return move_frames(structure, structure.position[chosen], model, pixel_size)
    dcd = open_dcd(trajectory)
    if dcd.atoms != structure.rows:
        raise InputFileError(
            f"{trajectory}: must have the atoms of {path}, {structure.rows}, got {dcd.atoms}"
        )
    frames = dcd.read(choose_frames(dcd.frames, model.states, str(trajectory)))
    return move_frames(structure, frames[:, structure.row], model, pixel_size)


def _require_system(system: str, model: MotionOptions, trajectory: Path | None) -> None:
    if system not in _SYSTEMS:
        known = ", ".join(f'"{name}"' for name in _SYSTEMS)
        raise OptionError(
            f"SYSTEM must be one of {known}, or a file .pdb, .ent, .cif or .mmcif, got {system!r}"
        )
    if model != _STILL or trajectory is not None:
        raise OptionError(
            f"--motion, --without, --states, --superpose, --trajectory: need an atomic model, "
            f"got the system {system}"
        )
