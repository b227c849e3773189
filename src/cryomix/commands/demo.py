"""`cryomix demo`: a simulated molecule from particles to report, and the truth beside it."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryomix.commands.flags import Flat
from cryomix.options import NeutralOptions, RuntimeOptions, SimulationOptions, TrainingOptions

if TYPE_CHECKING:
    from cryomix.files.job import JobFolder
    from cryomix.simulation import Simulation

_DEFAULT = SimulationOptions(particles=3000)
_RUNTIME = RuntimeOptions()


def demo(
    *,
    out: Annotated[
        Path, Parameter(name=["--out", "-o"], help="folder to write; must be empty or new")
    ] = Path("demo"),
    options: Annotated[SimulationOptions, Flat] = _DEFAULT,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> None:
    """Simulate a domain that moves along a line, find the motion, compare with the truth.

    Writes the particles to DIR/simulated and a job folder to DIR, with its report, and
    DIR/overview.png.

        cryomix demo -o demo
    """
    from cryomix.commands.device import prepare_device
    from cryomix.commands.evaluate import evaluate_into, tabulate
    from cryomix.commands.progress import say
    from cryomix.commands.record import describe_source, record_job
    from cryomix.commands.report import write_report
    from cryomix.commands.run import run_into
    from cryomix.commands.simulate import write_simulation
    from cryomix.files.job import create_job
    from cryomix.files.particle_file import read_particles
    from cryomix.simulation import simulate_particles

    device = prepare_device(runtime)
    job = create_job(out, resume=False)
    say(f"simulating {options.particles} particles of a domain that moves along a line")
    simulation = simulate_particles("linear", **asdict(options))
    source = write_simulation(out / "simulated", simulation)
    training = TrainingOptions(latent_size=1, seed=options.seed)
    settings = {
        **describe_source(source, None), "simulation": asdict(options), "training": asdict(training)
    }  # fmt: skip
    record_job(job, "demo", settings, [source], options.seed, device)

    fit = NeutralOptions(seed=options.seed)
    run_into(job, source, read_particles(source), simulation.consensus, None, fit, training, device)
    scores = evaluate_into(job, source.with_name("truth.npz"), out / "evaluation.json")
    write_report(job)
    _write_overview(job, simulation)

    print("how well the truth was recovered (1 is all of it):")
    print(tabulate(scores))
    print(f"report: {job.report}")


def _write_overview(job: "JobFolder", simulation: "Simulation") -> None:
    import torch

    from cryomix.files.atomic import write_atomically
    from cryomix.files.checkpoint import read_array
    from cryomix.files.mrc import read_volume
    from cryomix.files.training import read_latents, read_model
    from cryomix.report.overview import draw_overview

    model = read_model(job.model)
    path = read_latents(job.trajectories / "curve.npy", model.settings.latent_size)
    picture = draw_overview(
        simulation.particles.images.read(torch.arange(9)),
        torch.from_numpy(read_array(job.latents)[:, 0]),
        simulation.molecule.coordinate[simulation.state],
        model.decode(torch.from_numpy(path)),
        [read_volume(file) for file in sorted(job.volumes.glob("curve[0-9][0-9][0-9].mrc"))],
    )
    with write_atomically(job.path / "overview.png") as file:
        file.write(picture)
