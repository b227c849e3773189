"""The information limit: how well the images determine the state when all else is known."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from cryomix.evaluation.truth import CLASS, COORDINATES, TrueStates, still_part
from cryomix.geometry.fourier import FourierGrid
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.particles import ParticleBatch, Particles, iterate_batches
from cryomix.imaging.products import likelihood_products
from cryomix.imaging.projection import project_gaussians

BATCH_SIZE = 64
_ROUNDS = 2  # of gain from noise and noise from gain

Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class SeenNoise:
    """How strongly the true states show in the images, and the noise that is in them.

    Attributes
    ----------
    gain
        Image = gain · CTF · projection + noise.
    power
        Mean squared noise of a coefficient on each ring, the corners beyond Nyquist included;
        infinite where the images hold nothing, as beyond a band limit.
    """

    gain: float
    power: Float[Tensor, "all_rings"]


def estimate_noise(
    particles: Particles, states: TrueStates, index: Int64[Tensor, "chosen"]
) -> SeenNoise:
    """What is left of the images at `index` when their own true projections are taken off.

    Parameters
    ----------
    particles
        With true poses.
    states, index
        The truth, and the particles to look at.
    """
    grid = particles.grid
    rings = int(grid.ring.max()) + 1
    sums = torch.zeros(3, rings, dtype=torch.float64)
    for batch in iterate_batches(particles, grid, index, BATCH_SIZE):
        model = states.model[states.state[batch.index]]
        expected = project_gaussians(model, batch.poses, grid) * batch.transfer
        terms = [
            (batch.image_ft * expected.conj()).real, _squared(expected), _squared(batch.image_ft),
        ]  # fmt: skip
        sums += torch.stack([_sum_over_all_rings(term, grid) for term in terms])
    cross, signal, total = sums[:, 1:]  # the mean of each image was taken off
    ones = torch.ones(len(index), grid.box_size, grid.half_size)
    coefficients = _sum_over_all_rings(ones, grid)[1:]
    empty = total < 1e-6 * (total.sum() / coefficients.sum()) * coefficients
    power = torch.where(empty, math.inf, total / coefficients)
    gain = torch.zeros(())
    for _ in range(_ROUNDS):
        gain = (cross / power).sum() / (signal / power).sum().clamp_min(1e-30)
        power = (total - 2 * gain * cross + gain.square() * signal) / coefficients
        power = power.clamp_min(1e-9 * float(total.sum() / coefficients.sum()))
        power = torch.where(empty, math.inf, power)
    return SeenNoise(float(gain), torch.cat([power[:1], power]).float())


def state_posterior(
    particles: Particles,
    states: TrueStates,
    index: Int64[Tensor, "chosen"],
    noise: SeenNoise,
    *,
    report: Report | None = None,
) -> Float[Tensor, "chosen states"]:
    """Probability of each state given one image, its true pose, its CTF and the noise.

    log p(state | image) = Σ (Re(image* · g C P) − ½ |g C P|²) / noise + log(share of the
    particles in the state) + constant, summed over all coefficients but the mean. The part of
    the molecule that is the same in all states is projected once for each image.

    Parameters
    ----------
    particles
        With true poses.
    states
        The truth.
    index
        Which particles.
    noise
        As `estimate_noise` finds it.
    report
        Called with the number of particles done and to do.
    """
    grid = particles.grid
    occupied = torch.bincount(states.state, minlength=len(states)).float()
    prior = (occupied / occupied.sum()).log()
    rows = []
    for batch in iterate_batches(particles, grid, index, BATCH_SIZE):
        likelihood = _log_likelihood(batch, states.model, noise, grid)
        rows.append((likelihood + prior).softmax(dim=1))
        if report is not None:
            report(sum(map(len, rows)), len(index))
    return torch.cat(rows)


def score_posterior(
    posterior: Float[Tensor, "chosen states"], states: TrueStates, index: Int64[Tensor, "chosen"]
) -> dict[str, tuple[float, float]]:
    """The best that latents could score, with its standard error for so many particles.

    ``t_cos`` (cyclic) is the mean cosine between true angle and posterior mean direction, and
    ``t_cos_mode`` that with the most probable state; ``t_knn_R`` is the correlation of the truth
    with the posterior mean; ``c_knn_accuracy`` is the share of particles whose most probable
    class is theirs. The names are those of the scores of latents that they bound.
    """
    probability = posterior.double().numpy()
    true_state = states.state[index].numpy()
    scores = {}
    for name in (name for name in COORDINATES if name in states.coordinate):
        coordinate = np.nan_to_num(states.coordinate[name])  # states without particles have p = 0
        truth = coordinate[true_state]
        if states.cyclic:
            direction = np.exp(2j * np.pi * coordinate)
            mean = probability @ direction
            at_mode = direction[probability.argmax(axis=1)]
            cosine = _cosine(mean, direction[true_state])
            scores[f"{name}_cos"] = _mean_and_error(cosine)
            scores[f"{name}_cos_mode"] = _mean_and_error(_cosine(at_mode, direction[true_state]))
        else:
            scores[f"{name}_knn_R"] = _correlation_and_error(probability @ coordinate, truth)
    if CLASS in states.coordinate:
        label = states.coordinate[CLASS]
        names = np.unique(label[~np.isnan(label)])
        votes = np.stack([probability[:, label == name].sum(axis=1) for name in names], axis=1)
        right = names[votes.argmax(axis=1)] == label[true_state]
        scores["c_knn_accuracy"] = _mean_and_error(right.astype(np.float64))
    return scores


def _log_likelihood(
    batch: ParticleBatch, model: GaussianModel, noise: SeenNoise, grid: FourierGrid
) -> Float[Tensor, "batch states"]:
    still = still_part(model)
    moving = model.subset(~still)
    weight = grid.multiplicity.float() / noise.power[grid.ring]
    weight[0, 0] = 0  # the mean of each image was taken off
    gain = torch.full_like(weight, noise.gain)
    residual = batch.image_ft
    if bool(still.any()):
        at_rest = project_gaussians(model[0].subset(still), batch.poses, grid)
        residual = residual - at_rest * batch.transfer * noise.gain
    columns = []
    for state in range(len(model.center)):
        projection = project_gaussians(moving[state], batch.poses, grid)
        cross, power = likelihood_products(residual, projection, batch.transfer, gain, weight)
        columns.append(cross - 0.5 * power)
    return torch.stack(columns, dim=1)


def _sum_over_all_rings(
    values: Float[Tensor, "batch rows columns"], grid: FourierGrid
) -> Float[Tensor, "all_rings"]:
    """As `sum_over_rings`, of the whole batch, and on to the corners."""
    sums = torch.zeros(int(grid.ring.max()) + 1, dtype=torch.float64)
    weighted = values.double().sum(0) * grid.multiplicity
    return sums.index_add(0, grid.ring.flatten(), weighted.flatten())


def _squared(values: Tensor) -> Tensor:
    return values.real.square() + values.imag.square()


def _cosine(
    first: "np.ndarray[tuple[int], np.dtype[np.complex128]]",
    second: "np.ndarray[tuple[int], np.dtype[np.complex128]]",
) -> Float[np.ndarray, "chosen"]:
    return (first / np.maximum(np.abs(first), 1e-12) * second.conj()).real


def _mean_and_error(values: Float[np.ndarray, "chosen"]) -> tuple[float, float]:
    return float(values.mean()), float(values.std() / math.sqrt(len(values)))


def _correlation_and_error(
    first: Float[np.ndarray, "chosen"], second: Float[np.ndarray, "chosen"]
) -> tuple[float, float]:
    if first.std() < 1e-12 or second.std() < 1e-12:
        return 0.0, 0.0
    value = float(np.corrcoef(first, second)[0, 1])
    return value, (1 - value**2) / math.sqrt(max(len(first) - 1, 1))
