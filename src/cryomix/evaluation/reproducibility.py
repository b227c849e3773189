"""What two models, each trained on one half of the particles, find alike, against chance.

A latent space has no scale and no directions of its own, so two of them are compared through the
particles: what one model says of them is predicted from what the other says. Three things
would look alike without any variation of the molecule, and are kept out.

- The noise of the same image. Each comparison takes one side from every second Fourier
  coefficient of the images and the other side from the rest.
- View and CTF, which both models may have learned to tell apart. What depends on them smoothly
  is taken out before; and a gain in likelihood counts only above that of the one state which fits
  best the particles of like view and CTF.
- Images that a model has learned by heart. It is judged on the particles of the other half.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64
from scipy.special import logsumexp, softmax

from cryomix.evaluation.conditions import without

PERMUTATIONS = 200
SURE = 3.0  # standard errors


@dataclass(frozen=True, slots=True)
class Gain:
    """How much better a model explains the particles of the other half than one state does.

    Attributes
    ----------
    mean, error
        Nats per particle, and standard error. Without variation the mean is below 0.
    over_neutral
        The same above the neutral model, as it is.
    """

    mean: float
    error: float
    over_neutral: float

    @property
    def is_sure(self) -> bool:
        """Whether the mean is beyond chance."""
        return self.mean > SURE * self.error


@dataclass(frozen=True, slots=True)
class Agreement:
    """One coordinate of the particles, in two models.

    Attributes
    ----------
    within
        Correlation of the coordinate from one set of coefficients with the same from the other,
        over particles of the other half.
    within_chance
        The largest such correlation of any coordinate, particles permuted, in 200 trials.
    between
        Correlation of the coordinate with the other model's latents, from the other
        set of coefficients, over all particles.
    between_chance
        As above.
    """

    within: float
    within_chance: float
    between: float
    between_chance: float

    @property
    def is_reproducible(self) -> bool:
        """Whether both are beyond chance."""
        return self.within > self.within_chance and self.between > self.between_chance

    @property
    def share(self) -> float:
        """Of what the model sees along the coordinate, that which the other model sees as well."""
        return min(1.0, max(0.0, self.between / max(self.within, 1e-6)))


@dataclass(frozen=True, slots=True)
class Dimension:
    """A principal axis of one half's latents, and what moves along it in both halves.

    Attributes
    ----------
    axis
        From 1, by the spread of the latents.
    spread
        Share of the variance of the latents.
    agreement
        With the other half.
    displacement, other_displacement
        Root mean square, Å, from 1.5 standard deviations below the mean to 1.5 above, in this
        half's model and along the matching direction of the other's.
    alike
        Correlation of the two changes of density.
    """

    axis: int
    spread: float
    agreement: Agreement
    displacement: float
    other_displacement: float
    alike: float


@dataclass(frozen=True, slots=True)
class MatchedClass:
    """A class of the odd half, and the one of the even half whose map is most like its.

    Attributes
    ----------
    odd, even
        Numbers from 1.
    odd_particles, even_particles
        In each.
    resolution_half, resolution
        Å, at which the FSC of the two maps falls to 0.5 and to 0.143; None if it is nowhere above.
    alike
        Correlation of what the maps differ by from the mean of all classes.
    odd_agreement, even_agreement
        Of being in the class, by either model.
    """

    odd: int
    even: int
    odd_particles: int
    even_particles: int
    resolution_half: float | None
    resolution: float | None
    alike: float
    odd_agreement: Agreement
    even_agreement: Agreement

    @property
    def is_reproducible(self) -> bool:
        """Whether both models tell its particles from the rest, and alike."""
        return self.odd_agreement.is_reproducible and self.even_agreement.is_reproducible


@dataclass(frozen=True, slots=True)
class Reproducibility:
    """What two halves of the particles, analysed apart, have in common.

    Attributes
    ----------
    gain
        By half whose model it is.
    groups
        Separate groups found in each half.
    clusters
        Number of classes of each half.
    dimensions
        Of each half.
    classes
        As many as the half with fewer has.
    """

    gain: Mapping[str, Gain]
    groups: Mapping[str, int]
    clusters: Mapping[str, int]
    dimensions: Mapping[str, tuple[Dimension, ...]]
    classes: tuple[MatchedClass, ...]

    @property
    def is_anything(self) -> bool:
        """Whether each half's model explains the other half, in some dimension that both have."""
        return all(gain.is_sure for gain in self.gain.values()) and all(
            any(each.agreement.is_reproducible for each in dimensions)
            for dimensions in self.dimensions.values()
        )

    def reproducible_dimensions(self, half: str) -> tuple[Dimension, ...]:
        """Those of one half; none where nothing is reproducible."""
        if not self.is_anything:
            return ()
        return tuple(each for each in self.dimensions[half] if each.agreement.is_reproducible)

    @property
    def reproducible_classes(self) -> tuple[MatchedClass, ...]:
        """None where nothing is reproducible."""
        return tuple(each for each in self.classes if self.is_anything and each.is_reproducible)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one model says of the particles.

    Attributes
    ----------
    first, second
        Coordinates of each particle from either set of coefficients, freed of view and CTF.
    unseen
        Particles that the model was not trained on.
    """

    first: Float[np.ndarray, "particles axes"]
    second: Float[np.ndarray, "particles axes"]
    unseen: Int64[np.ndarray, "unseen"]


def read_coordinates(
    likelihoods: Sequence[Float[np.ndarray, "particles states"]],
    share: Float[np.ndarray, "states"],
    coordinate: Float[np.ndarray, "states axes"],
    terms: Float[np.ndarray, "particles terms"],
    unseen: Int64[np.ndarray, "unseen"],
) -> Reading:
    """Coordinates of the particles from either set of coefficients, freed of `terms`.

    Parameters
    ----------
    likelihoods
        Of every state, from the two sets; logarithms, nats.
    share
        Of the particles in each state.
    coordinate
        Of each state: its place along axes, or whether it is in a class.
    terms
        Functions of view and CTF.
    unseen
        Particles that the model was not trained on.
    """
    first, second = (
        without(expected_coordinates(likelihood, share, coordinate), terms)
        for likelihood in likelihoods
    )
    return Reading(first, second, unseen)


def expected_coordinates(
    likelihood: Float[np.ndarray, "particles states"],
    share: Float[np.ndarray, "states"],
    coordinate: Float[np.ndarray, "states axes"],
) -> Float[np.ndarray, "particles axes"]:
    """Mean over the posterior of each particle; `likelihood` is its logarithm, in nats."""
    posterior = softmax(likelihood + _log(share), axis=1)
    mean: np.ndarray = posterior @ coordinate
    return mean


def measure_gain(
    likelihood: Float[np.ndarray, "particles states"],
    single: Float[np.ndarray, "particles singles"],
    share: Float[np.ndarray, "states"],
    alike: Int64[np.ndarray, "particles neighbors"],
) -> Gain:
    """Gain of states with populations over the best single state, on particles not trained on.

    Single states are: the one of all that explains all the particles best, and for each
    particle the one that explains best those of like view and CTF. The better of the two is what
    the gain is counted from. Without variation, the logarithm of a mixture of states is below
    that of the true one on average.

    Parameters
    ----------
    likelihood
        Of the states, logarithms, in nats.
    single
        The same of the neutral model, and of others that a molecule in one state might be.
    share
        Of the particles of the model's own half in each state.
    alike
        Indices of particles most like each in view and CTF.
    """
    every = np.concatenate([single, likelihood], axis=1)
    mixture = logsumexp(likelihood + _log(share), axis=1)
    best = every[:, every.mean(axis=0).argmax()]
    by_condition = every[alike].mean(axis=1).argmax(axis=1)
    locally = np.take_along_axis(every, by_condition[:, None], axis=1)[:, 0]
    base = max((best, locally), key=lambda score: float(score.mean()))
    gained = mixture - base
    error = float(gained.std(ddof=1) / np.sqrt(len(gained)))
    return Gain(float(gained.mean()), error, float((mixture - single[:, 0]).mean()))


def compare_coordinates(model: Reading, other: Reading, seed: int) -> tuple[Agreement, ...]:
    """Each coordinate of `model`, in itself and in all coordinates of `other` together.

    Chance is the largest of all coordinates in each of 200 permutations of the particles, and
    the largest of these.
    """
    unseen = model.unseen
    within = _correlations(model.first[unseen], model.second[unseen])
    between = _between(model, other)
    generator = np.random.default_rng(seed)
    within_chance, between_chance = 0.0, 0.0
    for _ in range(PERMUTATIONS):
        mixed = generator.permutation(unseen)
        trial = _correlations(model.first[unseen], model.second[mixed])
        within_chance = max(within_chance, float(np.abs(trial).max()))
        order = generator.permutation(len(other.first))
        permuted = Reading(other.first[order], other.second[order], other.unseen)
        between_chance = max(between_chance, float(_between(model, permuted).max()))
    return tuple(
        Agreement(float(inside), within_chance, float(outside), between_chance)
        for inside, outside in zip(within, between, strict=True)
    )


def compare_memberships(
    model: Reading, other: Reading, pairs: Sequence[tuple[int, int]], seed: int
) -> tuple[Agreement, ...]:
    """As `compare_coordinates`, but each class of `model` only with its match in `other`."""
    mine = np.array([pair[0] for pair in pairs], dtype=np.int64)
    theirs = np.array([pair[1] for pair in pairs], dtype=np.int64)
    unseen = model.unseen
    generator = np.random.default_rng(seed)

    def between(order: Int64[np.ndarray, "particles"]) -> Float[np.ndarray, "pairs"]:
        ahead = _correlations(model.first[:, mine], other.second[order][:, theirs])
        back = _correlations(model.second[:, mine], other.first[order][:, theirs])
        mean: np.ndarray = (ahead + back) / 2
        return mean

    within = _correlations(model.first[unseen][:, mine], model.second[unseen][:, mine])
    everyone = np.arange(len(model.first))
    found = between(everyone)
    within_chance, between_chance = 0.0, 0.0
    for _ in range(PERMUTATIONS):
        mixed = generator.permutation(unseen)
        trial = _correlations(model.first[unseen][:, mine], model.second[mixed][:, mine])
        within_chance = max(within_chance, float(np.abs(trial).max()))
        trial = between(generator.permutation(everyone))
        between_chance = max(between_chance, float(np.abs(trial).max()))
    return tuple(
        Agreement(float(inside), within_chance, float(outside), between_chance)
        for inside, outside in zip(within, found, strict=True)
    )


def matching_direction(model: Reading, other: Reading, axis: int) -> Float[np.ndarray, "axes"]:
    """How the coordinates of `other` change per unit of coordinate `axis` of `model`.

    Both sets of coefficients measure the coordinate with errors of their own, so the slope is
    the covariance with the other model over that of the two measurements.
    """
    first, second = (_centered(side) for side in (model.first, model.second))
    spread = float(first[:, axis] @ second[:, axis])
    ahead = first[:, axis] @ _centered(other.second)
    back = second[:, axis] @ _centered(other.first)
    slope: np.ndarray = (ahead + back) / 2 / (spread if abs(spread) > 0 else np.inf)
    return slope


def _between(model: Reading, other: Reading) -> Float[np.ndarray, "axes"]:
    ahead = _multiple_correlations(model.first, other.second)
    back = _multiple_correlations(model.second, other.first)
    mean: np.ndarray = (ahead + back) / 2
    return mean


def _multiple_correlations(
    values: Float[np.ndarray, "particles axes"], predictors: Float[np.ndarray, "particles others"]
) -> Float[np.ndarray, "axes"]:
    """Of each column with the best linear combination of `predictors`."""
    target = _centered(values)
    # An orthonormal basis of the predictors, without directions that hold nothing.
    basis, size, _ = np.linalg.svd(_centered(predictors), full_matrices=False)
    basis = basis[:, size > 1e-6 * max(float(size.max()), 1e-30)]
    power = np.square(target).sum(axis=0)
    explained = np.square(basis.T @ target).sum(axis=0)
    root: np.ndarray = np.sqrt(explained / np.where(power > 0, power, np.inf))
    return root


def _correlations(
    first: Float[np.ndarray, "particles axes"], second: Float[np.ndarray, "particles axes"]
) -> Float[np.ndarray, "axes"]:
    a, b = _centered(first), _centered(second)
    power = np.square(a).sum(axis=0) * np.square(b).sum(axis=0)
    correlation: np.ndarray = (a * b).sum(axis=0) / np.sqrt(np.where(power > 0, power, np.inf))
    return correlation


def _centered(values: Float[np.ndarray, "particles axes"]) -> Float[np.ndarray, "particles axes"]:
    centered: np.ndarray = values - values.mean(axis=0)
    return centered


def _log(share: Float[np.ndarray, "states"]) -> Float[np.ndarray, "states"]:
    logarithm: np.ndarray = np.log(np.maximum(share, 1e-12))
    return logarithm
