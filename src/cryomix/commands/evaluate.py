"""`cryomix evaluate`: how well a known truth was recovered, and how well it could have been."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from cryomix.commands.flags import Flat, JobPath
from cryomix.commands.score_table import tabulate
from cryomix.errors import CheckpointError, CryomixError, InputFileError, OptionError
from cryomix.options import RuntimeOptions

if TYPE_CHECKING:
    import numpy as np

    from cryomix.evaluation.calibration import PredictedCoordinate
    from cryomix.evaluation.truth import TrueStates
    from cryomix.files.job import JobFolder
    from cryomix.imaging.particles import Particles

__all__ = ["evaluate", "evaluate_into", "tabulate"]

Maps = Literal["decode", "reconstruct", "none"]

_RUNTIME = RuntimeOptions()


def evaluate(
    job: JobPath,
    truth: Annotated[Path, Parameter(help="truth.npz of `cryomix simulate`")],
    *,
    maps: Annotated[
        Maps,
        Parameter(
            help="maps to compare with the true states: Gaussian models decoded at latents, or "
            "maps rebuilt there from the particles"
        ),
    ] = "decode",
    sample: Annotated[
        int, Parameter(help="particles of which the information limit is found; 0 leaves it out")
    ] = 2000,
    out: Annotated[
        Path | None,
        Parameter(name=["--out", "-o"], help="file to write [JOB/evaluation.json]"),
    ] = None,
    seed: Annotated[int, Parameter(help="of the particles that are drawn")] = 0,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> None:
    """Score a job against a known truth, beside what could be reached at best.

    Latents: recovery of the true coordinates, neighbourhoods, leak of pose and CTF, error bars;
    and the information limit, which no method can beat. Maps: FSC-AUC per conformation and per
    image, between that of the consensus and that of the true states. Prints a table and writes
    it as JSON; without --out a report that the job has is made anew. Maps and limit need a truth
    that holds the states.

        cryomix evaluate job simulated/truth.npz
        cryomix evaluate job simulated/truth.npz --maps reconstruct --sample 5000
    """
    from cryomix.commands.device import prepare_device
    from cryomix.commands.report import write_report
    from cryomix.files.job import open_job

    if sample < 0:
        raise OptionError(f"--sample must be at least 0, got {sample}")
    prepare_device(runtime)
    folder = open_job(job, needs=("latents",))

    target = out or job / "evaluation.json"
    print(tabulate(evaluate_into(folder, truth, target, maps=maps, sample=sample, seed=seed)))
    if out is None and folder.report.is_file():
        write_report(folder)


def evaluate_into(
    job: "JobFolder",
    truth: Path,
    out: Path,
    *,
    maps: Maps = "none",
    sample: int = 0,
    seed: int = 0,
) -> dict[str, float]:
    """Score `job`, and write the scores to `out`.

    Parameters
    ----------
    job, truth, out
        What is scored, against what, and the JSON file.
    maps
        Which maps are compared with the true states.
    sample
        Particles of which the information limit is found; 0 leaves it out.
    seed
        Of the particles that are drawn.
    """
    import json

    from cryomix.files.atomic import write_atomically

    try:
        scores = _score(job, truth, maps, sample, seed)
    except InputFileError as error:
        # What is wrong with the truth is found far from where its name is known.
        if str(error).startswith("the truth"):
            raise type(error)(f"{truth}: {error}") from error
        raise
    with write_atomically(out) as file:
        file.write((json.dumps(scores, indent=2) + "\n").encode())
    return scores


def _score(job: "JobFolder", truth: Path, maps: Maps, sample: int, seed: int) -> dict[str, float]:
    from cryomix.commands.bounds import score_maps
    from cryomix.commands.progress import say
    from cryomix.commands.record import read_source
    from cryomix.evaluation.scores import score_latents
    from cryomix.evaluation.truth import read_states
    from cryomix.files.job import open_job
    from cryomix.files.truth import read_truth

    latent = _read_latents(job)
    known = read_truth(truth)
    scores = score_latents(latent, known)
    scores |= _score_neighborhoods(latent, known, seed)
    scores |= _score_error_bars(job, latent, known, seed)
    wants_states = maps != "none" or sample > 0
    states = read_states(known) if wants_states else None
    if states is None:
        if wants_states:
            say(f"{truth}: holds no states, so neither maps nor information limit")
        return scores | _score_leaks(job, latent, seed)
    open_job(job.path, needs=("model",) if maps == "decode" else ())
    particles = read_source(job)[1]
    scores |= _leaks_of(particles, latent, seed)
    if sample > 0:
        scores |= find_limit(particles, states, sample, seed)
    if maps != "none":
        scores |= score_maps(maps, job, particles, states, latent)
    return scores


def find_limit(
    particles: "Particles", states: "TrueStates", sample: int, seed: int
) -> dict[str, float]:
    """The information limit of each score of latents, and its standard error.

    Of at most `sample` particles, drawn at random by `seed`.
    """
    import torch

    from cryomix.commands.progress import counting
    from cryomix.evaluation.information_limit import (
        estimate_noise,
        score_posterior,
        state_posterior,
    )
    from cryomix.evaluation.truth import at_true_poses

    placed = at_true_poses(particles, states)
    generator = torch.Generator().manual_seed(seed)
    index = torch.randperm(len(placed), generator=generator)[:sample].sort().values
    noise = estimate_noise(placed, states, index)
    with counting("particles compared with every true state") as report:
        posterior = state_posterior(placed, states, index, noise, report=report)
    limits = {"limit_particles": float(len(index))}
    for name, (value, error) in score_posterior(posterior, states, index).items():
        limits |= {f"limit_{name}": value, f"limit_{name}_error": error}
    return limits


def _read_latents(job: "JobFolder") -> "np.ndarray":
    from cryomix.files.checkpoint import read_array

    latents = read_array(job.latents)
    if latents.ndim != 2:
        raise CheckpointError(f"{job.latents}: latents must be rows, got shape {latents.shape}")
    return latents


def _score_neighborhoods(
    latent: "np.ndarray", truth: "Mapping[str, np.ndarray]", seed: int
) -> dict[str, float]:
    from cryomix.evaluation.neighborhoods import (
        information_imbalance,
        neighborhood_counts,
        neighborhood_curve,
        truth_space,
    )

    space = truth_space(truth)
    if space is None or len(space) < 100:
        return {}
    scores = {}
    counts = neighborhood_counts(len(latent))
    if counts:
        curve = neighborhood_curve(space, latent, counts, seed=seed)
        for count, five in zip(counts, curve.T, strict=True):
            scores[f"neighbourhood_k{count}"] = float(five.mean())
            scores[f"neighbourhood_k{count}_std"] = float(five.std())
    scores["imbalance_truth_latent"] = information_imbalance(space, latent, seed=seed)
    scores["imbalance_latent_truth"] = information_imbalance(latent, space, seed=seed)
    return scores


def _score_error_bars(
    job: "JobFolder", latent: "np.ndarray", truth: "Mapping[str, np.ndarray]", seed: int
) -> dict[str, float]:
    import numpy as np

    from cryomix.commands.states import read_covariance
    from cryomix.evaluation.calibration import predict_coordinate, score_calibration

    if "t" not in truth or len(latent) < 100:
        return {}
    covariance = read_covariance(job, latent)
    if covariance is None:
        return {}
    cyclic = bool(np.all(truth["cyclic"])) if "cyclic" in truth else False
    coordinate = np.asarray(truth["t"], dtype=np.float64)
    predicted = predict_coordinate(latent, covariance, coordinate, cyclic=cyclic, seed=seed)
    return score_calibration(predicted) | _score_flags(job, predicted, len(latent))


def _score_flags(
    job: "JobFolder", predicted: "PredictedCoordinate", particles: int
) -> dict[str, float]:
    from cryomix.evaluation.calibration import score_flags
    from cryomix.files.training import read_informative

    informative = read_informative(job, particles)
    if informative is None:
        return {}
    return score_flags(predicted, informative)


def _score_leaks(job: "JobFolder", latent: "np.ndarray", seed: int) -> dict[str, float]:
    """Leaks, if the particles are still there: latents alone can be scored without them."""
    from cryomix.commands.progress import say
    from cryomix.commands.record import read_source

    try:
        particles = read_source(job)[1]
    except CryomixError as error:
        say(f"no leak test, because poses and CTF are not known: {error}")
        return {}
    return _leaks_of(particles, latent, seed)


def _leaks_of(particles: "Particles", latent: "np.ndarray", seed: int) -> dict[str, float]:
    from cryomix.evaluation.neighborhoods import leaks

    if len(particles) != len(latent):
        raise CheckpointError(f"latents.npy: {len(latent)} rows, but {len(particles)} particles")
    return leaks(particles, latent, seed=seed)
