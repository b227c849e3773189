"""`cryomix simulate`: particle sets with known truth."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from cryomix.commands.flags import Flat, OutFolder
from cryomix.options import RuntimeOptions, SimulationOptions

if TYPE_CHECKING:
    from cryomix.simulation import Simulation

_DEFAULT = SimulationOptions()
_RUNTIME = RuntimeOptions()


def simulate(
    system: Annotated[
        Literal["linear", "cyclic", "mixture"],
        Parameter(
            help="a domain on a line; a domain on a circle; a domain on a line and a ligand "
            "that half of the molecules lack"
        ),
    ],
    *,
    out: OutFolder,
    options: Annotated[SimulationOptions, Flat] = _DEFAULT,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> None:
    """Make particles of a molecule that moves, with known truth.

    Writes particles.star with particles.mrcs, consensus.mrc, mask.mrc (where the domain moves)
    and truth.npz.

        cryomix simulate linear -o simulated
        cryomix simulate mixture -o simulated --particles 8000 --snr 0.02 --seed 2
    """
    from cryomix.commands.device import prepare_device
    from cryomix.files.job import create_job
    from cryomix.files.run_record import write_run_record
    from cryomix.simulation import simulate_particles

    device = prepare_device(runtime)
    job = create_job(out, resume=False)

    simulation = simulate_particles(system, **asdict(options))

    star = write_simulation(out, simulation)
    settings = {"system": system, **asdict(options)}
    write_run_record(job.run_record, "simulate", settings, [], options.seed, str(device))
    print(f"{star}: {options.particles} particles of the {system} system")


def write_simulation(folder: Path, simulation: "Simulation") -> Path:
    """Write particles, consensus, mask and truth; returns the star file."""
    from cryomix.files.mrc import write_volume
    from cryomix.files.relion import write_particle_set
    from cryomix.files.truth import write_truth

    star = folder / "particles.star"
    write_particle_set(star, simulation.particles)
    write_volume(folder / "consensus.mrc", simulation.consensus)
    write_volume(folder / "mask.mrc", simulation.mask)
    write_truth(folder / "truth.npz", simulation)
    return star
