"""What a report says in words of populations: where they are, and where nothing can be said."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.latent.deconvolution import line_smoothing
from cryomix.latent.wells import Well, find_wells
from cryomix.report.content import Populations
from cryomix.report.findings import Finding, count_in_words

_UNSURE = 2.0  # kT between the ends of an interval: more than 1 kT either way


def summarize_populations(
    populations: Populations | None, whose: str = "the particles"
) -> list[Finding]:
    """The wells along the path, and how many of the particles counted along it they hold."""
    if populations is None:
        return []
    wells = _wells(populations)
    if len(wells) == 1:
        text = f"Along the path no barrier is surely higher than 1 kT: {whose} are one population."
        return [Finding(text + _middle_half(populations))]
    told = [
        f"{_percent(populations.share[well.stretches].sum())} "
        f"({_interval(populations.draws[:, well.stretches].sum(dim=1))}) "
        f"{_place(populations, well.bottom)}"
        for well in wells
    ]
    listed = f"{', '.join(told[:-1])} and {told[-1]}"
    number = count_in_words(len(wells))
    text = f"Barriers of more than 1 kT divide {whose} into {number} populations: {listed}."
    return [Finding(text), Finding(_compare(populations, wells[0], wells[1]))]


def judge_populations(populations: Populations) -> list[Finding]:
    """What a single image can tell, and where nothing can be said."""
    unit = populations.unit
    error = float((populations.share * populations.particle_error).sum())
    findings = [
        Finding(
            f"A single image places its particle along the path to ± {error:.1f} {unit}. Wells "
            "closer to each other than about twice that would look like one."
        )
    ]
    if len(_wells_by_length(populations)) > len(_wells(populations)):
        text = (
            "Where the figure shows a barrier and yet no lack of particles, Gaussians pass density "
            "on to each other, and the path is long for that: it parts nothing."
        )
        findings.append(Finding(text, "bad"))
    gap = populations.free_energy_high_kt - populations.free_energy_low_kt
    unsure = (gap > _UNSURE).nonzero()[:, 0]
    if len(unsure):
        where = _stretches(populations, unsure)
        text = (
            f"{where} the free energy of a stretch is uncertain by more than 1 kT either way: of "
            "so short a part of the path nothing can be said there."
        )
        findings.append(Finding(text, "bad"))
    return findings


def _wells(populations: Populations) -> list[Well]:
    """Wells along the path, as few as two measures of length agree on.

    Where one Gaussian passes density on to the next, a little way in latent space is a long one in
    Å: only what divides the particles in both is a barrier.
    """
    return min(_wells_by_length(populations), _wells_by_latent(populations), key=len)


def _wells_by_length(populations: Populations) -> list[Well]:
    return _smooth_wells(populations, populations.length.double())


def _wells_by_latent(populations: Populations) -> list[Well]:
    return _smooth_wells(populations, torch.ones_like(populations.length.double()))


def _smooth_wells(populations: Populations, length: Float[Tensor, "stretches"]) -> list[Well]:
    """Wells of a density per length, each stretch smoothed with its neighbours.

    States that follow each other in short steps leave dips between them, which part nothing.
    """
    closed = populations.is_closed
    smoothing = line_smoothing(len(populations.share), 1.0, closed).double()
    share, drawn = (
        (part.double() @ smoothing.mT).clamp_min(1e-6)
        for part in (populations.share, populations.draws)
    )
    smooth = smoothing @ length
    return find_wells(-(share / smooth).log(), -(drawn / smooth).log(), closed)


def _compare(populations: Populations, first: Well, second: Well) -> str:
    ratio = populations.share[first.stretches].sum() / populations.share[second.stretches].sum()
    one, other = (populations.draws[:, well.stretches].sum(dim=1) for well in (first, second))
    drawn = one / other.clamp_min(1e-9)
    low, high = _limits(drawn)
    energies = sorted((float(low.log()), float(high.log())))
    return (
        f"The first holds {float(ratio):.1f} ({float(low):.1f}–{float(high):.1f}) times as many as "
        f"the second: a difference in free energy of {float(ratio.log()):.2f} kT "
        f"({energies[0]:.2f} to {energies[1]:.2f})."
    ).replace("-", "−")


def _middle_half(populations: Populations) -> str:
    """Where along an open path the middle half of the particles is."""
    if populations.is_closed:
        return ""
    end = (populations.distance + populations.length / 2).numpy()
    reached = populations.share.cumsum(0).numpy()
    low, high = np.interp((0.25, 0.75), reached, end)
    return f" The middle half of them is between {low:.0f} and {high:.0f} {populations.unit}."


def _place(populations: Populations, stretch: int) -> str:
    text = f"around {float(populations.distance[stretch]):.1f} {populations.unit}"
    if populations.state is not None:
        text += f" (state {int(populations.state[stretch]) + 1})"
    return text


def _stretches(populations: Populations, chosen: Tensor) -> str:
    """The parts of the path that neighbouring stretches make up, as the start of a sentence."""
    start = (populations.distance - populations.length / 2).clamp_min(0)
    end = populations.distance + populations.length / 2
    runs: list[list[int]] = []
    for stretch in chosen.tolist():
        if runs and stretch == runs[-1][1] + 1:
            runs[-1][1] = stretch
        else:
            runs.append([stretch, stretch])
    told = [
        f"from {float(start[a]):.1f} to {float(end[b]):.1f} {populations.unit}" for a, b in runs
    ]
    text = told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"
    return text[:1].upper() + text[1:]


def _limits(drawn: Float[Tensor, "draws"]) -> tuple[Tensor, Tensor]:
    low, high = drawn.quantile(drawn.new_tensor([0.025, 0.975]))
    return low, high


def _interval(drawn: Float[Tensor, "draws"]) -> str:
    low, high = _limits(drawn)
    return f"{100 * float(low):.0f}–{_percent(high)}"


def _percent(share: Tensor) -> str:
    return f"{100 * float(share):.0f} %"
