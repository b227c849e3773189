"""The report of a job, made anew from what lies in its folder."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from cryomix.files.job import JobFolder
    from cryomix.fitting.trained_model import TrainedModel
    from cryomix.imaging.gaussians import GaussianModel
    from cryomix.latent.clusters import Clusters
    from cryomix.report.content import (
        Curve,
        DecodedPath,
        EpochScore,
        HalvesAnswer,
        InputFacts,
        RebuiltMap,
    )

_UNIT = {"snr": "nats per particle", "flat": "FRC"}
_WORDS = {"loop": "round the ring of particles", "curve": "along the particles"}


def write_report(job: "JobFolder") -> None:
    """Write ``report.html`` with all that the folder holds; what is not there is left out."""
    from datetime import datetime

    import torch

    from cryomix.commands.populations import read_density, read_populations
    from cryomix.files.atomic import write_atomically
    from cryomix.files.checkpoint import read_array
    from cryomix.files.domain_motions import read_domain_motions
    from cryomix.files.run_record import read_run_record
    from cryomix.files.training import read_model
    from cryomix.latent.latent_map import LatentMap
    from cryomix.latent.reduction import Embedding, fit_pca
    from cryomix.report.content import ReportContent
    from cryomix.report.page import build_page

    record = read_run_record(job.run_record)
    model = read_model(job.model)
    latent = torch.from_numpy(read_array(job.latents))
    std = torch.from_numpy(read_array(job.latent_std))
    umap = torch.from_numpy(read_array(job.umap)) if job.umap.is_file() else None
    clusters = _read_clusters(job, latent)
    maps = _read_rebuilt(job)
    paths = _decode_paths(job, model, maps)
    content = ReportContent(
        title=job.path.resolve().name,
        subtitle=str(record.options.get("particles", "")),
        command=record.line,
        created=datetime.now().isoformat(sep=" ", timespec="minutes"),
        versions=record.versions,
        facts=_describe_inputs(job, model, len(latent)),
        neutral_frc=_read_neutral_frc(job),
        history=_read_history(job),
        score_unit=_UNIT[model.settings.loss],
        latent_map=LatentMap(latent, std, torch.arange(len(latent)), torch.zeros(len(latent))),
        pca=fit_pca(latent),
        umap=None if umap is None else Embedding(umap, "umap"),
        clusters=clusters,
        cluster_maps=_cluster_maps(maps, clusters),
        group_models=_decode_groups(model, latent, clusters),
        paths=paths,
        populations=read_populations(job, _states(paths)),
        density=read_density(job),
        unseeing=_read_unseeing(job, len(latent)),
        halves=_read_halves(job, str(record.options.get("particles", ""))),
        domains=read_domain_motions(job.domain_motions),
        scores=_read_scores(job),
    )
    with write_atomically(job.report) as file:
        file.write(build_page(content).encode())


def _describe_inputs(job: "JobFolder", model: "TrainedModel", particles: int) -> "InputFacts":
    from cryomix.files.mrc import read_volume
    from cryomix.report.content import InputFacts

    neutral = read_volume(job.neutral_map)
    return InputFacts(
        particles=particles,
        box_size=neutral.box_size,
        pixel_size=neutral.voxel_size,
        resolution=model.settings.resolution,
        gaussians=len(model.decoder.neutral),
        latents=model.settings.latent_size,
    )


def _read_neutral_frc(job: "JobFolder") -> "Curve | None":
    import torch

    from cryomix.files.checkpoint import read_csv
    from cryomix.report.content import Curve

    if not job.neutral_frc.is_file():
        return None
    table = read_csv(job.neutral_frc)
    frequency, frc = (torch.from_numpy(table[name]) for name in ("frequency", "frc"))
    return Curve(frequency=frequency, correlation=frc)


def _read_history(job: "JobFolder") -> "tuple[EpochScore, ...]":
    from cryomix.files.checkpoint import read_csv
    from cryomix.report.content import EpochScore

    table = read_csv(job.history)
    columns = (table[name] for name in ("number", "training_score", "held_out_score"))
    return tuple(
        EpochScore(epoch=int(number), training=float(training), held_out=float(held_out))
        for number, training, held_out in zip(*columns, strict=True)
    )


def _read_clusters(job: "JobFolder", latent: "Tensor") -> "Clusters | None":
    import torch

    from cryomix.files.checkpoint import read_array
    from cryomix.latent.clusters import Clusters

    if not job.clusters.is_file() or not job.groups.is_file():
        return None
    label, group = (torch.from_numpy(read_array(path)) for path in (job.clusters, job.groups))
    center = torch.stack([latent[label == k].mean(0) for k in range(int(label.max()) + 1)])
    return Clusters(label, center, group, suggested=True)


def _read_rebuilt(job: "JobFolder") -> "dict[str, RebuiltMap]":
    import torch

    from cryomix.files.checkpoint import read_csv
    from cryomix.files.mrc import read_volume
    from cryomix.files.volume_list import read_volume_list
    from cryomix.report.content import Curve, RebuiltMap

    rebuilt = {}
    for name, entry in read_volume_list(job.volumes).items():
        table = read_csv(job.volume_fsc / f"{name}.csv")
        frequency, fsc = (torch.from_numpy(table[column]) for column in ("frequency", "masked"))
        rebuilt[name] = RebuiltMap(
            name=name,
            particles=entry.particles,
            resolution=entry.resolution,
            fsc=Curve(frequency=frequency, correlation=fsc),
            volume=read_volume(job.volumes / f"{name}.mrc"),
            finest_particles=entry.finest_particles,
        )
    return rebuilt


def _cluster_maps(
    maps: "dict[str, RebuiltMap]", clusters: "Clusters | None"
) -> "tuple[RebuiltMap, ...]":
    """The maps of the clusters, unless they were divided anew since."""
    found = [maps[name] for name in sorted(maps) if name.startswith("cluster")]
    sizes = [] if clusters is None else clusters.size.tolist()
    return tuple(found) if [each.particles for each in found] == sizes else ()


def _decode_groups(
    model: "TrainedModel", latent: "Tensor", clusters: "Clusters | None"
) -> "GaussianModel | None":
    """The molecule in the middle of each separate group, where there are several."""
    import torch

    if clusters is None or clusters.groups == 1:
        return None
    groups = range(clusters.groups)
    return model.decode(torch.stack([latent[clusters.group == k].mean(dim=0) for k in groups]))


def _decode_paths(
    job: "JobFolder", model: "TrainedModel", maps: "dict[str, RebuiltMap]"
) -> "tuple[DecodedPath, ...]":
    import torch

    from cryomix.commands.domains import path_names
    from cryomix.files.domain_motions import read_domain_motions
    from cryomix.files.training import read_latents
    from cryomix.latent.trajectory import Trajectory
    from cryomix.report.content import DecodedPath

    size = model.settings.latent_size
    # With one latent dimension the axis is the path along the particles once more.
    axes = range(1, size + 1) if size > 1 else ()
    localized = path_names(read_domain_motions(job.domain_motions))
    words = {
        **_WORDS,
        **{f"axis{number}": f"along principal axis {number}" for number in axes},
        **{f"localized_{name}": told for name, told in localized.items()},
    }
    paths = []
    for name, told in words.items():
        file = job.trajectories / f"{name}.npy"
        if not file.is_file():
            continue
        latent = torch.from_numpy(read_latents(file, size))
        length = latent.diff(dim=0).norm(dim=1).cumsum(0)
        paths.append(
            DecodedPath(
                name=told,
                models=model.decode(latent),
                trajectory=Trajectory(latent, torch.cat([length.new_zeros(1), length])),
                maps=tuple(maps[key] for key in sorted(maps) if key[:-3] == name),
                is_closed=name == "loop",
            )
        )
    return tuple(paths)


def _states(paths: "tuple[DecodedPath, ...]") -> "Tensor | None":
    """Latents of the steps along the first path."""
    trajectory = paths[0].trajectory if paths else None
    return None if trajectory is None else trajectory.latent


def _read_scores(job: "JobFolder") -> dict[str, float]:
    import json

    file = job.path / "evaluation.json"
    if not file.is_file():
        return {}
    scores = json.loads(file.read_text(encoding="utf-8"))
    return {str(name): float(value) for name, value in scores.items()}


def _read_unseeing(job: "JobFolder", particles: int) -> float | None:
    """Share of the particles that do not see the motion, where the training said which."""
    from cryomix.files.training import read_informative

    informative = read_informative(job, particles)
    return None if informative is None else float(1 - informative.mean())


def _read_halves(job: "JobFolder", particles: str) -> "HalvesAnswer | None":
    """What both halves of the same particles show, where they were compared."""
    import os

    from cryomix.files.halves_verdict import find_halves_verdict
    from cryomix.report.content import HalvesAnswer

    found = find_halves_verdict(job, particles)
    if found is None:
        return None
    page = os.path.relpath(found.folder.report, job.path.resolve())
    return HalvesAnswer(is_reproducible=found.is_reproducible, verdict=found.verdict, page=page)
