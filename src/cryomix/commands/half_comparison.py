"""What the jobs of two halves of the particles have in common, as numbers, words and a page."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

    from cryomix.evaluation.conditions import Conditions
    from cryomix.evaluation.reproducibility import (
        Dimension,
        Gain,
        MatchedClass,
        Reading,
        Reproducibility,
    )
    from cryomix.files.job import JobFolder
    from cryomix.fitting.state_scores import States, StateScores
    from cryomix.fitting.trained_model import TrainedModel
    from cryomix.imaging.half_sets import Half
    from cryomix.imaging.particles import Particles
    from cryomix.imaging.volume import Volume
    from cryomix.latent.reduction import Embedding
    from cryomix.report.content import Curve
    from cryomix.report.reproducibility import ClassPair

_SAMPLE = 3000  # particles of each half that are compared
_REACH = 1.5  # standard deviations to either side of the mean


@dataclass(frozen=True, slots=True)
class _Side:
    """One half's job, and what its model says of the compared particles of both halves."""

    job: "JobFolder"
    model: "TrainedModel"
    pca: "Embedding"
    states: "States"
    scores: "StateScores"
    unseen: "np.ndarray"
    latents: "Reading"
    memberships: "Reading"


def compare_halves(
    whole: "JobFolder",
    particles: "Particles",
    mask: "Volume",
    seed: int,
    device: "torch.device",
) -> list[str]:
    """Compare the jobs in the folders ``odd`` and ``even`` of `whole`; the verdict, in lines.

    Writes reproducibility.json and report.html.
    """
    from cryomix.evaluation.conditions import Conditions
    from cryomix.evaluation.reproducibility import Reproducibility
    from cryomix.imaging.half_sets import NUMBER
    from cryomix.report.verdict import judge

    index = _sample(particles, seed)
    conditions = Conditions.of(particles, index)
    sides = {
        half: _read_side(whole.path / half, half, particles, index, conditions, seed, device)
        for half in NUMBER
    }
    odd, even = sides["odd"], sides["even"]
    pairs = _pair_classes(odd, even, mask)
    found = Reproducibility(
        gain={half: _measure_gain(side, conditions) for half, side in sides.items()},
        groups={half: _count(side.job.groups) for half, side in sides.items()},
        clusters={half: _count(side.job.clusters) for half, side in sides.items()},
        dimensions={
            "odd": _compare_dimensions(odd, even, seed),
            "even": _compare_dimensions(even, odd, seed),
        },
        classes=_compare_classes(odd, even, pairs, seed),
    )
    _write(whole, found, pairs, odd, even)
    lines = [finding.text for finding in judge(found)]
    return [*lines, f"report: {whole.report}"]


def _sample(particles: "Particles", seed: int) -> "Tensor":
    import torch

    from cryomix.imaging.half_sets import NUMBER

    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for number in NUMBER.values():
        inside = (particles.half_set == number).nonzero().flatten()
        chosen.append(inside[torch.randperm(len(inside), generator=generator)[:_SAMPLE]])
    return torch.cat(chosen).sort().values


def _read_side(
    folder: Path,
    half: "Half",
    particles: "Particles",
    index: "Tensor",
    conditions: "Conditions",
    seed: int,
    device: "torch.device",
) -> _Side:
    import torch

    from cryomix.commands.progress import counting
    from cryomix.evaluation.reproducibility import read_coordinates
    from cryomix.files.checkpoint import read_array
    from cryomix.files.job import open_job
    from cryomix.files.training import read_model
    from cryomix.fitting.state_scores import find_states, score_states
    from cryomix.imaging.half_sets import NUMBER
    from cryomix.latent.reduction import fit_pca

    job = open_job(folder, needs=("model", "latents", "clusters", "groups"))
    model = read_model(job.model).to(device)
    latent, cluster = (torch.from_numpy(read_array(path)) for path in (job.latents, job.clusters))
    pca = fit_pca(latent)
    states = find_states(latent, cluster, seed)
    with counting(f"particles compared with the states of the {half} half") as report:
        scores = score_states(model, particles, index, states, report)
    is_own = particles.half_set[index].eq(NUMBER[half])
    unseen = is_own.logical_not().nonzero().flatten().numpy()
    likelihoods = (scores.first.double().numpy(), scores.second.double().numpy())
    share = states.share.double().numpy()
    place = pca.to_embedding(states.latent).double().numpy()
    inside = torch.nn.functional.one_hot(states.cluster).double().numpy()
    latents, memberships = (
        read_coordinates(likelihoods, share, coordinate, conditions.terms, unseen)
        for coordinate in (place, inside)
    )
    return _Side(job, model, pca, states, scores, unseen, latents, memberships)


def _measure_gain(side: _Side, conditions: "Conditions") -> "Gain":
    from cryomix.evaluation.reproducibility import measure_gain

    return measure_gain(
        side.scores.whole.double().numpy()[side.unseen],
        side.scores.single.double().numpy()[side.unseen],
        side.states.share.double().numpy(),
        conditions.alike(side.unseen),
    )


def _compare_dimensions(side: _Side, other: _Side, seed: int) -> "tuple[Dimension, ...]":
    from cryomix.evaluation.reproducibility import Dimension, compare_coordinates

    variance = side.pca.explained_variance
    if variance is None:
        raise ValueError("dimensions need principal components")
    share = (variance / variance.sum()).tolist()
    found = []
    for axis, agreement in enumerate(compare_coordinates(side.latents, other.latents, seed)):
        motion = _compare_motion(side, other, axis, float(variance[axis]) ** 0.5)
        found.append(Dimension(axis + 1, share[axis], agreement, *motion))
    return tuple(found)


def _compare_motion(
    side: _Side, other: _Side, axis: int, spread: float
) -> tuple[float, float, float]:
    """Displacements along an axis in both models, Å, and correlation of the changes of density."""
    import torch

    from cryomix.evaluation.reproducibility import matching_direction
    from cryomix.imaging.gaussians import render_volume
    from cryomix.latent.motion import displacement_along

    slope = matching_direction(side.latents, other.latents, axis)
    own = torch.zeros(side.pca.point.shape[1])
    own[axis] = _REACH * spread
    matching = torch.from_numpy(_REACH * spread * slope).float()
    travelled, changes = [], []
    for each, offset in ((side, own), (other, matching)):
        middle = each.pca.point.mean(dim=0)
        ends = each.pca.to_latent(torch.stack([middle - offset, middle + offset]))
        models = each.model.decode(ends.to(each.model.device))
        grid = each.model.settings.grid
        low, high = (
            render_volume(models[end], grid.box_size, grid.pixel_size).density.cpu()
            for end in (0, 1)
        )
        travelled.append(float(displacement_along(models)[-1]))
        changes.append((high - low).flatten())
    alike = float(torch.corrcoef(torch.stack(changes))[0, 1].nan_to_num())
    return travelled[0], travelled[1], alike


def _pair_classes(odd: _Side, even: _Side, mask: "Volume") -> "tuple[ClassPair, ...]":
    """Classes matched by their maps, with the FSC between the halves."""
    from cryomix.evaluation.class_maps import match_classes
    from cryomix.reconstruction.resolution import HalfMaps, half_map_correlation
    from cryomix.report.reproducibility import ClassPair

    shown = [[volume for volume, _ in _read_maps(side.job)] for side in (odd, even)]
    plain = [[volume for _, volume in _read_maps(side.job)] for side in (odd, even)]
    sizes = [_sizes(side.job) for side in (odd, even)]
    matched = match_classes(shown[0], shown[1], (sizes[0], sizes[1]), mask)
    pairs = []
    for first, second in matched.pairs:
        halves = HalfMaps(plain[0][first], plain[1][second])
        pairs.append(
            ClassPair(
                first, second, (sizes[0][first], sizes[1][second]),
                float(matched.alike[first, second]),
                _to_curve(half_map_correlation(halves, mask), halves.first),
                (shown[0][first], shown[1][second]),
            )
        )  # fmt: skip
    return tuple(pairs)


def _read_maps(job: "JobFolder") -> "list[tuple[Volume, Volume]]":
    """The map of each class as it is shown, and the mean of its half maps as they are."""
    from cryomix.files.mrc import read_volume
    from cryomix.reconstruction.resolution import HalfMaps, average

    maps = []
    for number in range(1, _count(job.clusters) + 1):
        name = f"cluster{number:02d}"
        shown, first, second = (
            read_volume(job.volumes / f"{name}{suffix}.mrc") for suffix in ("", "_half1", "_half2")
        )
        maps.append((shown, average(HalfMaps(first, second))))
    return maps


def _to_curve(fsc: "Tensor", volume: "Volume") -> "Curve":
    import torch

    from cryomix.report.content import Curve

    length = volume.box_size * volume.voxel_size
    return Curve(frequency=torch.arange(len(fsc)) / length, correlation=fsc)


def _compare_classes(
    odd: _Side, even: _Side, pairs: "tuple[ClassPair, ...]", seed: int
) -> "tuple[MatchedClass, ...]":
    from cryomix.evaluation.reproducibility import MatchedClass, compare_memberships

    forth = [(pair.odd, pair.even) for pair in pairs]
    back = [(pair.even, pair.odd) for pair in pairs]
    by_odd = compare_memberships(odd.memberships, even.memberships, forth, seed)
    by_even = compare_memberships(even.memberships, odd.memberships, back, seed)
    classes = []
    for pair, first, second in zip(pairs, by_odd, by_even, strict=True):
        half, seventh = (_reached(pair, level) for level in (0.5, 0.143))
        classes.append(
            MatchedClass(
                pair.odd + 1, pair.even + 1, *pair.particles, half, seventh, pair.alike,
                first, second,
            )
        )  # fmt: skip
    return tuple(classes)


def _reached(pair: "ClassPair", level: float) -> float | None:
    """Resolution, Å, at which the FSC falls to `level`; None where it is nowhere above."""
    import math

    from cryomix.reconstruction.resolution import resolution_at

    volume = pair.maps[0]
    reached = resolution_at(
        pair.fsc.correlation, volume.voxel_size, level, box_size=volume.box_size
    )
    return reached if math.isfinite(reached) else None


def _sizes(job: "JobFolder") -> list[int]:
    import numpy as np

    from cryomix.files.checkpoint import read_array

    return np.bincount(read_array(job.clusters)).tolist()


def _count(path: Path) -> int:
    from cryomix.files.checkpoint import read_array

    return int(read_array(path).max()) + 1


def _write(
    whole: "JobFolder",
    found: "Reproducibility",
    pairs: "tuple[ClassPair, ...]",
    odd: _Side,
    even: _Side,
) -> None:
    import json
    from datetime import datetime

    from cryomix.files.atomic import write_atomically
    from cryomix.files.run_record import read_run_record
    from cryomix.report.reproducibility import build_comparison

    record = read_run_record(whole.run_record)
    told = json.dumps(_tabulate(found), indent=2, ensure_ascii=False)
    with write_atomically(whole.reproducibility) as file:
        file.write((told + "\n").encode())
    page = build_comparison(
        found, pairs, (odd.latents, even.latents),
        title=whole.path.resolve().name,
        subtitle=str(record.options.get("particles", "")),
        command=record.line,
        created=datetime.now().isoformat(sep=" ", timespec="minutes"),
    )  # fmt: skip
    with write_atomically(whole.report) as file:
        file.write(page.encode())


def _tabulate(found: "Reproducibility") -> dict[str, object]:
    """All numbers, with the verdict on each."""
    from dataclasses import asdict

    from cryomix.report.verdict import judge

    return {
        "verdict": [finding.text for finding in judge(found)],
        "reproducible": found.is_anything,
        "groups": dict(found.groups),
        "clusters": dict(found.clusters),
        "gain_nats": {half: asdict(gain) for half, gain in found.gain.items()},
        "dimensions": {
            half: [
                {**asdict(each), "reproducible": each in found.reproducible_dimensions(half)}
                for each in dimensions
            ]
            for half, dimensions in found.dimensions.items()
        },
        "classes": [
            {**asdict(each), "reproducible": each in found.reproducible_classes}
            for each in found.classes
        ],
    }
