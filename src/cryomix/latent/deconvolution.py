"""A density that explains what is seen of it through errors: expectation maximisation, smoothed."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

_SETTLED = 1e-5  # largest change of a weight in one round, over the largest weight
_CHECKED_EVERY = 10
_FOLDS = 4


def fit_weights(
    response: Float[Tensor, "seen parts"],
    count: Float[Tensor, "seen draws"],
    smoothing: Float[Tensor, "parts parts"],
    rounds: int = 400,
) -> Float[Tensor, "draws parts"]:
    """Weights of the parts of a density that explain best what was counted.

    Parameters
    ----------
    response
        Share of the particles of each part (columns) that are seen at each place (rows).
    count
        Particles seen at each place, in each of several draws that are fitted together.
    smoothing
        Applied to the weights after each round; columns sum to 1.
    rounds
        At most so many.

    Notes
    -----
    Expectation maximisation with a smoothing step: Silverman, Jones, Wilson & Nychka, J. R. Stat.
    Soc. B 52, 271–324 (1990).
    """
    parts, draws = response.shape[1], count.shape[1]
    weight = torch.full((parts, draws), 1 / parts, dtype=response.dtype)
    share = count / count.sum(dim=0)
    for step in range(rounds):
        ratio = share / (response @ weight).clamp_min(1e-30)
        found = smoothing @ (weight * (response.mT @ ratio))
        change = float((found - weight).abs().max() / found.max())
        weight = found
        if step % _CHECKED_EVERY == 0 and change < _SETTLED:
            break
    return (weight / weight.sum(dim=0)).mT


def choose_smoothing(
    response: Float[Tensor, "seen parts"],
    count: Float[Tensor, "seen"],
    candidates: Sequence[Float[Tensor, "parts parts"]],
    generator: torch.Generator,
) -> int:
    """Index of the first of `candidates` under which left-out particles are as likely as can be.

    As likely: within one standard error of the difference from the best. With the smoothest first,
    the smoothest that the particles do not speak against is taken.
    """
    particles = torch.repeat_interleave(torch.arange(len(count)), count.long())
    fold = torch.randperm(len(particles), generator=generator) % _FOLDS
    left_out = torch.stack(
        [torch.bincount(particles[fold == k], minlength=len(count)) for k in range(_FOLDS)], 1
    ).to(response)
    kept = count[:, None] - left_out
    scores = [
        (response @ fit_weights(response, kept, smoothing).mT).clamp_min(1e-30).log()
        for smoothing in candidates
    ]
    best = max(scores, key=lambda score: float((left_out * score).sum()))
    for index, score in enumerate(scores):
        gap = best - score
        mean = (left_out * gap).sum() / left_out.sum()
        variance = (left_out * (gap - mean).square()).sum() / left_out.sum()
        if mean <= (variance / left_out.sum()).sqrt():
            return index
    raise ValueError("no smoothing was given to choose from")


def line_smoothing(steps: int, width: float, is_closed: bool) -> Float[Tensor, "steps steps"]:
    """Normal kernel of `width` steps along a line whose ends reflect, or round a loop.

    Its columns sum to 1, so that no weight is lost; constant weights stay constant.
    """
    place = torch.arange(steps, dtype=torch.float64)
    kernel = torch.zeros(steps, steps, dtype=torch.float64)
    period = steps if is_closed else 2 * steps
    for turn in range(-3, 4):
        shift = turn * period
        kernel += torch.exp(-0.5 * ((place[:, None] - place + shift) / width) ** 2)
        if not is_closed:  # images mirrored at half a step before the first and after the last
            kernel += torch.exp(-0.5 * ((place[:, None] + place + 1 + shift) / width) ** 2)
    return kernel / kernel.sum(dim=0)


def draw_counts(
    count: Float[Tensor, "seen"], draws: int, generator: torch.Generator
) -> Float[Tensor, "seen draws"]:
    """What is counted when as many particles are drawn, with replacement, as there are."""
    seed = int(torch.randint(2**31, (1,), generator=generator))
    share = count.double().numpy() / float(count.sum())
    drawn = np.random.default_rng(seed).multinomial(int(count.sum()), share, size=draws)
    return torch.from_numpy(drawn.T.copy()).to(count)
