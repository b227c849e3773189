"""The maps that a job is judged by: its own, those of the consensus and of the true states."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from cryomix.evaluation.truth import TrueStates
    from cryomix.files.job import JobFolder
    from cryomix.imaging.particles import Particles
    from cryomix.imaging.volume import Volume

IMAGES = 100  # whose own latents are judged
_TOGETHER = (1, 3, 5, 9, 17, 33, 65)  # neighbouring true states that may share a map
_TRIED_ON = 8  # states on which their number is chosen
_AT_ONCE = 32  # groups of particles whose maps are held at once
_PADDING = 1.5


@dataclass(frozen=True, slots=True)
class Bounds:
    """How like each true state the maps are that need no latents.

    Attributes
    ----------
    consensus
        FSC-AUC of the map of all particles, at the poses that the job has.
    alone
        Of the map of the particles of the state, at their true poses.
    true_states
        The same, with the particles of neighbouring states added, each weighted.
    together
        Number of states that share a map.
    """

    consensus: "dict[int, float]"
    alone: "dict[int, float]"
    true_states: "dict[int, float]"
    together: int


def score_maps(
    maps: Literal["decode", "reconstruct"],
    job: "JobFolder",
    particles: "Particles",
    states: "TrueStates",
    latent: "np.ndarray",
) -> dict[str, float]:
    """FSC-AUC of the maps of a job, per conformation and per image, between their bounds.

    Parameters
    ----------
    maps
        Gaussian models decoded at a latent, or maps rebuilt there from the particles.
    job, particles, latent
        The job, and the particles that it was trained on.
    states
        The truth.
    """
    from cryomix.commands.progress import counting
    from cryomix.evaluation.maps import fsc_auc, largest_auc, render_states, summarize, union_mask

    with counting("true states rendered") as report:
        truth = render_states(states, report)
    mask = union_mask(truth)
    bounds = find_bounds(particles, states, truth, mask)
    state = states.state.numpy()
    scores = {"fsc_auc_maximum": largest_auc(states.box_size)}
    for name, index, of_state in (
        ("conformation", *conformation_images(latent, state)),
        ("image", *chosen_images(state)),
    ):
        made = _make_maps(maps, job, particles, latent, index)
        areas = [
            fsc_auc(volume, truth[number], mask)
            for volume, number in zip(made, of_state, strict=True)
        ]
        scores |= summarize(areas, f"fsc_auc_{name}")
        lowest = float(np.mean([bounds.consensus[number] for number in of_state]))
        highest = float(np.mean([bounds.true_states[number] for number in of_state]))
        if highest > lowest:
            share = (scores[f"fsc_auc_{name}"] - lowest) / (highest - lowest)
            scores[f"fsc_auc_{name}_share"] = share
    if maps == "decode":
        (neutral,) = _decode(job, particles, np.zeros_like(latent[:1]))
        areas = [fsc_auc(neutral, truth[number], mask) for number in bounds.consensus]
        scores["fsc_auc_neutral"] = float(np.mean(areas))
    for name, found in (("consensus", bounds.consensus), ("true_states", bounds.true_states)):
        areas = list(found.values())
        scores[f"fsc_auc_{name}"] = float(np.mean(areas))
        scores[f"fsc_auc_{name}_std"] = float(np.std(areas))
    scores["fsc_auc_true_states_alone"] = float(np.mean(list(bounds.alone.values())))
    scores["true_states_together"] = float(bounds.together)
    return scores


def conformation_images(
    latent: "np.ndarray", state: "np.ndarray"
) -> "tuple[np.ndarray, np.ndarray]":
    """For each state, the particle whose latent is nearest to the mean of the state's latents."""
    present = np.unique(state)
    index = []
    for number in present:
        mean = latent[state == number].mean(axis=0)
        index.append(int(((latent - mean) ** 2).sum(axis=1).argmin()))
    return np.array(index), present


def chosen_images(state: "np.ndarray") -> "tuple[np.ndarray, np.ndarray]":
    """A hundred particles evenly along the file, from the first on, and their states."""
    index = np.arange(0, len(state), max(1, len(state) // IMAGES))
    return index, state[index]


def find_bounds(
    particles: "Particles",
    states: "TrueStates",
    truth: "Sequence[Volume]",
    mask: "Volume",
) -> Bounds:
    """Maps of all particles, and of the particles of each true state at their true poses.

    How many neighbouring states share a map is chosen on eight states against their truth, so
    that the bound is the highest that such a kernel can reach.
    """
    import torch

    from cryomix.evaluation.maps import fsc_auc, state_distances
    from cryomix.evaluation.truth import at_true_poses

    present = np.unique(states.state.numpy())
    well_placed = at_true_poses(particles, states)
    distance = state_distances([truth[number] for number in present])

    def compare(volume: "Volume", number: int) -> float:
        return fsc_auc(volume, truth[number], mask)

    def compare_all(volumes: "Iterator[Volume]") -> dict[int, float]:
        pairs = zip(present.tolist(), volumes, strict=True)
        return {number: compare(volume, number) for number, volume in pairs}

    everyone = torch.arange(len(particles))
    (consensus,) = _reconstruct(particles, [(everyone, torch.ones(len(everyone)))], "consensus")
    together = _choose_together(well_placed, states, present, distance, compare)
    alone = compare_all(_of_states(well_placed, states, present, distance, 1))
    shared = alone
    if together > 1:
        shared = compare_all(_of_states(well_placed, states, present, distance, together))
    return Bounds(compare_all(iter([consensus] * len(present))), alone, shared, together)


def _make_maps(
    maps: Literal["decode", "reconstruct"],
    job: "JobFolder",
    particles: "Particles",
    latent: "np.ndarray",
    index: "np.ndarray",
) -> "Iterator[Volume]":
    if maps == "decode":
        return _decode(job, particles, latent[index])
    return _around(job, particles, latent, latent[index])


def _decode(job: "JobFolder", particles: "Particles", rows: "np.ndarray") -> "Iterator[Volume]":
    import torch

    from cryomix.commands.progress import counting
    from cryomix.errors import CheckpointError
    from cryomix.evaluation.maps import render_band_limited
    from cryomix.files.training import read_model

    model = read_model(job.model)
    if rows.shape[1] != model.settings.latent_size:
        raise CheckpointError(
            f"{job.latents}: latents must be of size {model.settings.latent_size} as the model's, "
            f"got {rows.shape[1]}"
        )
    with counting("models decoded and compared") as report:
        for done, row in enumerate(torch.from_numpy(rows).float(), start=1):
            shown = model.decode(row[None])[0]
            yield render_band_limited(shown, particles.box_size, particles.pixel_size)
            report(done, len(rows))


def _around(
    job: "JobFolder", particles: "Particles", latent: "np.ndarray", rows: "np.ndarray"
) -> "Iterator[Volume]":
    """As `cryomix reconstruct --at`, neither filtered nor flattened."""
    from cryomix.commands.states import rebuild_states
    from cryomix.reconstruction.resolution import average

    for state in rebuild_states(job, particles, latent, rows, _PADDING):
        yield average(state.halves)


def _of_states(
    particles: "Particles",
    states: "TrueStates",
    present: "np.ndarray",
    distance: "np.ndarray",
    together: int,
) -> "Iterator[Volume]":
    groups = [_group(states.state, present, distance, row, together) for row in range(len(present))]
    return _reconstruct(particles, groups, f"maps of {together} true states each")


def _group(
    state: "Tensor", present: "np.ndarray", distance: "np.ndarray", row: int, together: int
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Particles of the states most like that of `row`, and how much each counts."""
    import torch

    from cryomix.evaluation.maps import neighboring_states

    near, share = neighboring_states(distance, row, together)
    weight = torch.zeros(int(state.max()) + 1)
    weight[torch.from_numpy(present[near])] = torch.from_numpy(share).float()
    index = (weight[state] > 0).nonzero().flatten()
    return index, weight[state[index]]


def _choose_together(
    particles: "Particles",
    states: "TrueStates",
    present: "np.ndarray",
    distance: "np.ndarray",
    compare: "Callable[[Volume, int], float]",
) -> int:
    possible = [count for count in _TOGETHER if count < len(present)] or [1]
    tried = np.unique(np.linspace(0, len(present) - 1, _TRIED_ON).astype(int))
    pairs = [(row, count) for row in tried.tolist() for count in possible]
    groups = [_group(states.state, present, distance, row, count) for row, count in pairs]
    volumes = _reconstruct(particles, groups, "neighbouring true states joined")
    quality = dict.fromkeys(possible, 0.0)
    for (row, count), volume in zip(pairs, volumes, strict=True):
        quality[count] += compare(volume, int(present[row]))
    return max(possible, key=lambda count: quality[count])


def _reconstruct(
    particles: "Particles", groups: "Sequence[tuple[Tensor, Tensor]]", label: str
) -> "Iterator[Volume]":
    """Averages of half maps, some groups at a time."""
    from cryomix.commands.progress import counting
    from cryomix.reconstruction.backprojection import reconstruct_groups
    from cryomix.reconstruction.resolution import average

    with counting(f"{label}: maps rebuilt") as report:
        for start in range(0, len(groups), _AT_ONCE):
            part = groups[start : start + _AT_ONCE]
            for halves in reconstruct_groups(
                particles, [index for index, _ in part],
                weights=[weight for _, weight in part], padding=_PADDING,
            ):  # fmt: skip
                yield average(halves)
            report(start + len(part), len(groups))
