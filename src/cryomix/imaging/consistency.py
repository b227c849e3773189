"""Whether particles, poses and a map agree, found by measuring and not by trusting headers."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from cryomix.imaging.comparison import Comparison
from cryomix.imaging.particles import Particles
from cryomix.imaging.readings import (
    AS_GIVEN,
    ROTATIONS,
    Astigmatism,
    Reading,
    Transfer,
    reading_given,
)
from cryomix.imaging.volume import Volume

SURE = 5.0  # standard errors of a paired difference, as there are thousands of readings

_SHIFTS = (1.0, -1.0, 0.0)
_STEP = 1.04
_FINE_STEP = 1.01
# By what Fourier space may be stretched, from half to double: the defocus goes with its square.
_STRETCHES = tuple(_STEP**power for power in range(-18, 19))
_UNITS = (10.0, 1e4)  # a defocus in nm or µm
# Factors by which shifts are tried, coarse to fine; the first has pixels read as Å and back.
_SEARCH = tuple(
    [step**power for power in range(-most, most + 1)]
    for step, most in ((1.25, 9), (1.06, 3), (1.02, 3))
)
LEAST_STRETCH, LEAST_SHIFT_FACTOR = 0.05, 0.15  # less is no mistake: natural logarithms


@dataclass(frozen=True, slots=True)
class Range:
    """A measured factor, and the ends between which the images do not tell it from another."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a map fits particles as the metadata say, and as they might have said.

    Attributes
    ----------
    given
        What the metadata say.
    best
        What the images say: it differs from `given` only in what is surely wrong.
    is_inverted
        Whether protein is dark in the images.
    particles
        How many were compared.
    resolution
        Finest detail compared, Å.
    given_correlation, correlation
        Mean whitened correlation of image and projection, as given and at best.
    significance
        The latter in its standard errors.
    margins
        By how much `best` is better than each other reading that differs from it in one thing:
        standard errors of the paired difference. Contrast has the name ``contrast``, a stretch
        of Fourier space ``stretch``.
    stretch
        By what spatial frequencies must be multiplied for the CTF to fit: the square root of a
        factor on the defocus.
    """

    given: Reading
    best: Reading
    is_inverted: bool
    particles: int
    resolution: float
    given_correlation: float
    correlation: float
    significance: float
    margins: dict[str, float]
    stretch: Range

    @property
    def is_related(self) -> bool:
        """Whether the map fits the particles at all, in the best of the readings."""
        return self.significance > SURE

    @property
    def has_rotations(self) -> bool:
        """Whether each particle's own rotation is surely better than another particle's."""
        return self.best.rotation != "shuffled" and not self.cannot_tell(["shuffled"])

    def cannot_tell(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that fit as well as the best, as far as the images show."""
        return [name for name in names if self.margins.get(name, math.inf) < SURE]


def measure_agreement(
    particles: Particles,
    volume: Volume,
    *,
    sample: int,
    resolution: float,
    seed: int = 0,
    rotations: Iterable[str] = tuple(ROTATIONS),
) -> Agreement:
    """Compare `volume` with some particles under every reading of their metadata.

    Every image is compared with the projection that each reading predicts. All readings see the
    same images, so that they are told apart by paired differences: one is surely better if the
    mean difference of its correlations is five standard errors.

    Parameters
    ----------
    particles
        With poses and CTF as given.
    volume
        The consensus map, with the box and the pixel size of the particles.
    sample
        How many particles, drawn at random.
    resolution
        Finest detail compared, Å.
    seed
        Of the draw.
    rotations
        Names of the readings of the rotations that are tried; the given one always is.
    """
    index = draw_sample(particles, sample, seed)
    wanted = {AS_GIVEN, *rotations}
    tried = [name for name in ROTATIONS if name in wanted]
    comparison = Comparison(particles, volume, index, resolution)
    given = reading_given(particles)
    readings, table = _survey(comparison, given, tried)
    strongest = int(table.mean(1).abs().argmax())
    sign = -1.0 if float(table[strongest].mean()) < 0 else 1.0
    best = _refine(comparison, readings[strongest], sign)
    best = _forgive(comparison, best, given, sign)
    best = _turn_astigmatism(comparison, best, sign)
    chosen = sign * comparison.correlate(best)
    return Agreement(
        given=given,
        best=best,
        is_inverted=sign < 0,
        particles=len(index),
        resolution=resolution,
        given_correlation=float(comparison.correlate(given).mean()),
        correlation=float(chosen.mean()),
        significance=significance(chosen),
        margins=_margins(comparison, best, sign, tried),
        stretch=_range_of_stretch(comparison, best, sign),
    )


def draw_sample(particles: Particles, sample: int, seed: int) -> Int64[Tensor, "sample"]:
    """Indices of particles drawn at random, in the order of the stack."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(len(particles), generator=generator)[:sample].sort().values


def significance(values: Float[Tensor, "particles"]) -> float:
    """Mean in units of its standard error."""
    error = float(values.std()) / math.sqrt(len(values))
    return float(values.mean()) / error if error > 0 else 0.0


def _survey(
    comparison: Comparison, given: Reading, rotations: Sequence[str]
) -> tuple[list[Reading], Float[Tensor, "readings sample"]]:
    """All combinations; the given one first, so that it wins where others are the same."""
    factors = [1.0, *(stretch**2 for stretch in _STRETCHES if stretch != 1), *_UNITS]
    if float(comparison.ctf.defocus_u.median()) < 0:
        factors += [-factor for factor in factors]
    kinds: tuple[Transfer, ...] = (given.transfer, *_other_transfers(given))
    transfers = [(kind, factor) for kind in kinds[:2] for factor in factors] + [(kinds[2], 1.0)]
    table = comparison.correlate_all(rotations, _SHIFTS, transfers)
    readings = [
        Reading(rotation, shift, kind, factor)
        for rotation in rotations
        for shift in _SHIFTS
        for kind, factor in transfers
    ]
    return readings, table.flatten(0, 2)


def _other_transfers(given: Reading) -> tuple[Transfer, Transfer]:
    """That phases are flipped or not, against what is said; that there is no CTF."""
    return ("signed" if given.transfer == "absolute" else "absolute"), "none"


def _refine(comparison: Comparison, start: Reading, sign: float) -> Reading:
    """The factors of shift and defocus, which are free, to a hundredth."""

    def best_of(readings: list[Reading]) -> Reading:
        return max(readings, key=lambda one: float(comparison.score(one, sign).mean()))

    best = start
    for steps in _SEARCH:
        if best.shift:
            best = best_of([best, *(replace(best, shift=best.shift * step) for step in steps)])
        if best.transfer != "none":
            stretches = [_FINE_STEP ** (2 * power) for power in range(-4, 5)]
            best = best_of([replace(best, defocus=best.defocus * step) for step in stretches])
    return best


def _forgive(comparison: Comparison, best: Reading, given: Reading, sign: float) -> Reading:
    """Take back whatever `best` reads otherwise than given without being surely better."""

    def loss(trial: Reading) -> float:
        return significance(comparison.score(best, sign) - comparison.score(trial, sign))

    direction = math.copysign(1.0, best.shift) if best.shift else 0.0
    stretch = math.sqrt(abs(best.defocus))
    if abs(math.log(stretch)) < LEAST_STRETCH:
        best = replace(best, defocus=math.copysign(1.0, best.defocus))
    if best.shift and abs(math.log(abs(best.shift))) < LEAST_SHIFT_FACTOR:
        best = replace(best, shift=direction)
    # Shifts that are stretched as the CTF is say that the pixel size is wrong, not the defocus.
    for change in (
        {"shift": direction * stretch},
        {"shift": direction},
        {"shift": direction, "defocus": 1.0},
        {"defocus": 1.0},
        {"shift": 1.0},
        {"transfer": given.transfer},
        {"transfer": given.transfer, "defocus": 1.0},
        {"rotation": AS_GIVEN},
    ):
        trial = replace(best, **change)
        if trial != best and loss(trial) < SURE:
            best = trial
    return best


def _turn_astigmatism(comparison: Comparison, best: Reading, sign: float) -> Reading:
    """`best`, unless another astigmatism is surely better; it is too weak for the survey."""
    for trial in _astigmatisms(best):
        if significance(comparison.score(trial, sign) - comparison.score(best, sign)) > SURE:
            best = trial
    return best


def _astigmatisms(reading: Reading) -> list[Reading]:
    names: tuple[Astigmatism, ...] = ("as given", "exchanged", "mirrored")
    return [replace(reading, astigmatism=name) for name in names if name != reading.astigmatism]


def _margins(
    comparison: Comparison, best: Reading, sign: float, rotations: Sequence[str]
) -> dict[str, float]:
    chosen = comparison.score(best, sign)
    margins = {"contrast": significance(sign * comparison.correlate(best))}

    def compare(name: str, trial: Reading) -> None:
        margins[name] = significance(chosen - comparison.score(trial, sign))

    for rotation in rotations:
        if rotation != best.rotation:
            compare(rotation, replace(best, rotation=rotation))
    for name, shift in (("opposite", -best.shift or 1.0), ("no shifts", 0.0)):
        if shift != best.shift:
            compare(name, replace(best, shift=shift))
    for transfer in ("signed", "absolute", "none"):
        if transfer != best.transfer:
            compare(transfer, replace(best, transfer=transfer))
    for trial in _astigmatisms(best):
        compare(f"astigmatism {trial.astigmatism}", trial)
    return margins


def _range_of_stretch(comparison: Comparison, best: Reading, sign: float) -> Range:
    """The stretch of the CTF at `best`, and what fits within two standard errors of it."""
    value = math.sqrt(abs(best.defocus))
    if best.transfer == "none":
        return Range(1.0, 0.0, math.inf)
    unit = math.copysign(1.0, best.defocus)
    chosen = comparison.score(best, sign)
    ends = []
    for step in (1 / 1.01, 1.01):
        end = value
        for _ in range(70):
            trial = replace(best, defocus=unit * (end * step) ** 2)
            if significance(chosen - comparison.score(trial, sign)) > 2:
                break
            end *= step
        else:
            end = 0.0 if step < 1 else math.inf
        ends.append(end)
    return Range(value, *ends)
