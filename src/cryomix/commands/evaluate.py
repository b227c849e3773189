"""`cryomix evaluate`: how well a known truth was recovered."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryomix.commands.flags import Flat, JobPath, Seed
from cryomix.errors import CheckpointError
from cryomix.options import RuntimeOptions

if TYPE_CHECKING:
    from cryomix.files.job import JobFolder

_RUNTIME = RuntimeOptions()
_MEANING = {
    "t_knn_R": "correlation of the motion with that of neighbours in the latent space",
    "t_spearman": "rank correlation of the motion with a principal component",
    "t_cos": "mean cosine of the angle round the cycle",
    "c_knn_accuracy": "share of particles among neighbours of their own class",
    "c_mixture_purity": "share of particles in the mixture part of their own class",
    "neighbourhood_similarity": "share of true neighbours that are latent neighbours",
}


def evaluate(
    job: JobPath,
    truth: Annotated[Path, Parameter(help="truth.npz of `cryomix simulate`")],
    *,
    out: Annotated[
        Path | None,
        Parameter(name=["--out", "-o"], help="file to write [JOB/evaluation.json]"),
    ] = None,
    seed: Seed = 0,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> None:
    """Score the latents of a job against a known truth.

    Prints a table and writes it as JSON.

        cryomix evaluate job simulated/truth.npz
    """
    from cryomix.commands.device import prepare_device
    from cryomix.files.job import open_job

    prepare_device(runtime)
    folder = open_job(job, needs=("latents",))

    print(tabulate(evaluate_into(folder, truth, out or job / "evaluation.json")))


def evaluate_into(job: "JobFolder", truth: Path, out: Path) -> dict[str, float]:
    """Score the latents of `job`, and write the scores to `out`."""
    import json

    from cryomix.evaluation.scores import score_latents
    from cryomix.files.atomic import write_atomically
    from cryomix.files.checkpoint import read_array
    from cryomix.files.truth import read_truth

    latents = read_array(job.latents)
    if latents.ndim != 2:
        raise CheckpointError(f"{job.latents}: latents must be rows, got shape {latents.shape}")
    scores = score_latents(latents, read_truth(truth))
    with write_atomically(out) as file:
        file.write((json.dumps(scores, indent=2) + "\n").encode())
    return scores


def tabulate(scores: Mapping[str, float]) -> str:
    """One line per score, with what it means."""
    width = max(len(name) for name in scores)
    return "\n".join(
        f"{name:{width}}  {value:.4f}  {_MEANING.get(name, '')}".rstrip()
        for name, value in scores.items()
    )
