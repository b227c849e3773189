"""`cryomix analyze`: what the latent space holds."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryomix.commands.flags import Flat, JobPath
from cryomix.options import AnalysisOptions, RuntimeOptions

if TYPE_CHECKING:
    from torch import Tensor

    from cryomix.files.job import JobFolder
    from cryomix.latent.trajectory import Trajectory

_DEFAULT = AnalysisOptions()
_RUNTIME = RuntimeOptions()
_MOST_AXES = 3
_NO_PARTS = (
    "no rigid parts: nothing moves enough, or density is passed on from Gaussian to Gaussian "
    "rather than carried; give --domain a mask"
)


def analyze(
    job: JobPath,
    *,
    domain: Annotated[
        tuple[Path, ...],
        Parameter(
            help="mask of a domain (MRC), or numbers of its Gaussians (.npy); may be given again. "
            "Finds the motions of each alone, and of two together",
            show_default=False,
        ),
    ] = (),
    parts: Annotated[
        bool, Parameter(negative="", help="find the rigid parts of the molecule as domains")
    ] = False,
    options: Annotated[AnalysisOptions, Flat] = _DEFAULT,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> None:
    """Find principal components, UMAP, clusters and trajectories.

    Writes JOB/analysis and the clusters into JOB/particles.star, .cs or .lst. Trajectories are
    axis1.npy and on, along the principal axes, and curve.npy (or loop.npy where the particles form
    a ring), along the particles themselves; rows are latents. populations.csv says how many
    particles are where along that path, and the free energy. Of each domain it writes
    localized_NAME.npy (latent directions that move it alone), coordinate_NAME.npy (how far each
    particle went, Å), domain_NAME.npy (its Gaussians), trajectories/localized_NAME.npy and
    domains.json: rotation, axis, hinge and shift.

        cryomix analyze job
        cryomix analyze job --clusters 6 --domain arm.mrc --domain foot.mrc
        cryomix analyze job --parts
    """
    from cryomix.commands.device import prepare_device
    from cryomix.commands.domains import find_parts, localize_into, read_domains
    from cryomix.commands.record import read_source
    from cryomix.commands.report import write_report
    from cryomix.files.job import open_job
    from cryomix.files.run_record import write_run_record
    from cryomix.files.training import read_model

    device = prepare_device(runtime)
    folder = open_job(job, needs=("latents", "model"))
    source, particles = read_source(folder)

    domains = read_domains(domain, read_model(folder.model).decoder.neutral, particles)
    lines = analyze_into(folder, source, particles.source_row, options)
    if parts:
        found = find_parts(folder, options.seed)
        lines += [f"{len(found) + 1} rigid parts" if found else _NO_PARTS]
        domains |= found
    lines += localize_into(folder, domains, options.steps)

    record = folder.analysis / "run.toml"
    inputs = [folder.latents, *domain]
    write_run_record(record, "analyze", asdict(options), inputs, options.seed, str(device))
    write_report(folder)
    print("\n".join(lines))


def analyze_into(
    job: "JobFolder", source: Path, rows: "Tensor", options: AnalysisOptions
) -> list[str]:
    """Analyze the latents of `job`, write what is found, and say it in a few lines.

    They belong to the `rows` of the particles in `source`.
    """
    import torch

    from cryomix.commands.populations import populate_into
    from cryomix.commands.progress import say
    from cryomix.commands.states import read_covariance
    from cryomix.files.checkpoint import read_array, write_array
    from cryomix.files.particle_file import write_latents
    from cryomix.latent.clusters import cluster
    from cryomix.latent.reduction import fit_pca, fit_umap

    latents = read_array(job.latents)
    latent = torch.from_numpy(latents)
    pca = fit_pca(latent)
    covariance = read_covariance(job, latents)
    clusters = cluster(
        latent,
        None if covariance is None else torch.from_numpy(covariance),
        count=options.clusters or None,
        method=options.method,
        seed=options.seed,
    )
    say("laying out the UMAP")
    umap = fit_umap(latent, options.seed, options.neighbors)

    write_array(job.pca, pca.point.numpy())
    write_array(job.umap, umap.point.numpy())
    write_array(job.clusters, clusters.label.numpy())
    write_array(job.groups, clusters.group.numpy())
    # Between separate groups there are no particles for a path to follow.
    inside = clusters.group == torch.bincount(clusters.group).argmax()
    paths = _find_paths(latent, inside, options.steps)
    for former in {"curve", "loop"} - paths.keys():
        (job.trajectories / f"{former}.npy").unlink(missing_ok=True)
    for name, path in paths.items():
        write_array(job.trajectories / f"{name}.npy", path.latent.numpy())
    number = clusters.label.numpy() + 1
    write_latents(source, job.particles(source), latents, rows=rows.numpy(), cluster=number)
    populations = populate_into(job, latent, inside, is_closed="loop" in paths, options=options)
    share = pca.explained_variance
    told = [] if share is None else [f"{100 * part:.0f} %" for part in share / share.sum()]
    return [
        f"principal components explain {', '.join(told)}",
        f"{clusters.groups} separate {'group' if clusters.groups == 1 else 'groups'}, "
        f"{len(clusters)} clusters of "
        f"{', '.join(str(int(size)) for size in clusters.size)} particles",
        *populations,
    ]


def _find_paths(latent: "Tensor", inside: "Tensor", steps: int) -> "dict[str, Trajectory]":
    from cryomix.latent.reduction import fit_pca
    from cryomix.latent.trajectory import (
        along_principal_axis,
        along_principal_curve,
        around_loop,
        is_loop,
    )

    pca = fit_pca(latent)
    axes = range(min(_MOST_AXES, latent.shape[1]))
    paths = {f"axis{axis + 1}": along_principal_axis(pca, axis, steps) for axis in axes}
    if is_loop(latent[inside]):
        paths["loop"] = around_loop(latent[inside], steps)
    else:
        paths["curve"] = along_principal_curve(latent[inside], steps)
    return paths
