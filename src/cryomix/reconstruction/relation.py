"""How particles and a map are related: as given, or once the map is moved or scaled."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.imaging.consistency import Agreement, draw_sample, measure_agreement
from cryomix.imaging.correlation import shell_correlation, shell_sizes
from cryomix.imaging.particles import Particles
from cryomix.imaging.readings import read_as
from cryomix.imaging.volume import Volume, crop_volume
from cryomix.reconstruction.likeness import Likeness, compare_with_own, rebuild
from cryomix.reconstruction.resolution import average

# Maps of the particles have 0.99 to 1.01, of the same molecule in other motion 0.81 to 0.94, of
# other molecules at most 0.66. In between lie maps that were masked or sharpened in parts.
LEAST_LIKENESS = 0.75
WHOLE_LIKENESS = 0.9

_COARSE = tuple(1.03**power for power in range(-24, 25))  # from half to double
_FINE = tuple(1.005**power for power in range(-6, 7))
_SCALE_SHELLS = 8
_LEAST_MOVE_PX = 1.5
_LEAST_SCALE = 0.03  # natural logarithm
_MORE = 4  # times as many particles for a map as for the readings


@dataclass(frozen=True, slots=True)
class Relation:
    """What was found.

    Attributes
    ----------
    agreement, likeness
        Of the particles with the map, after `moved` and `scaled`.
    moved
        (x, y, z) by which the map must be moved to lie where the particles' poses have it, Å.
    scaled
        By what it must be magnified, in voxels.
    """

    agreement: Agreement
    likeness: Likeness
    moved: tuple[float, float, float] | None = None
    scaled: float | None = None

    @property
    def is_same(self) -> bool | None:
        """Whether the map shows what the particles show; None if it cannot be told.

        It cannot where rotations of other particles fit as well: averaged over all rotations,
        all molecules are alike.
        """
        if not self.agreement.is_related:
            return False
        share = self.likeness.share
        if math.isnan(share) or not self.agreement.has_rotations:
            return None
        return share >= LEAST_LIKENESS

    @property
    def is_whole(self) -> bool:
        """Whether the map shows all that the particles show."""
        return self.is_same is True and self.likeness.share >= WHOLE_LIKENESS


def relate(
    particles: Particles, volume: Volume, *, sample: int, resolution: float, seed: int = 0
) -> Relation:
    """Compare images with projections, and the map with one rebuilt from the particles.

    The parameters are those of `measure_agreement`. Where the map is not what the particles
    show, it is tried whether it is once it is moved or magnified.
    """
    index = draw_sample(particles, _MORE * sample, seed)

    def compare(known: Volume) -> Relation:
        agreement = measure_agreement(
            particles, known, sample=sample, resolution=resolution, seed=seed
        )
        halves = rebuild(read_as(particles, agreement.best), index, resolution)
        sign = -1 if agreement.is_inverted else 1
        seen = replace(known, density=sign * known.density)
        return Relation(agreement, compare_with_own(halves, seen, len(index)))

    found = compare(volume)
    if not found.is_whole:
        own = average(rebuild(particles, index, resolution))
        found = _repair(found, compare, volume, own)
    if not found.is_same or found.moved or found.scaled:
        return found
    # Astigmatism is often too weak for any number of particles.
    margins = found.agreement.margins
    names = [name for name in margins if not name.startswith("astigmatism")]
    open_names = found.agreement.cannot_tell(names)
    if not open_names or len(index) == found.agreement.particles:
        return found
    more = measure_agreement(
        particles,
        volume,
        sample=_MORE * sample,
        resolution=resolution,
        seed=seed,
        rotations=[found.agreement.best.rotation, *open_names],
    )
    return replace(found, agreement=replace(more, margins={**margins, **more.margins}))


def _repair(
    found: Relation, compare: Callable[[Volume], Relation], volume: Volume, own: Volume
) -> Relation:
    """`found`, unless the map shows what the particles show once it is moved or magnified."""
    moved = find_move(own, volume)
    if max(abs(part) for part in moved) > _LEAST_MOVE_PX * volume.voxel_size:
        trial = compare(move(volume, moved))
        if trial.is_whole:
            return replace(trial, moved=moved)
    scaled = find_scale(own, volume)
    if abs(math.log(scaled)) > _LEAST_SCALE:
        trial = compare(magnify(volume, scaled))
        if trial.is_whole:
            return replace(trial, scaled=scaled)
    return found


def find_move(own: Volume, volume: Volume) -> tuple[float, float, float]:
    """(x, y, z) by which `volume` must be moved to lie on `own`, either way of contrast; Å."""
    coarse, n = own.box_size, volume.box_size
    first = torch.fft.rfftn(own.density)
    second = torch.fft.rfftn(crop_volume(volume, coarse).density)
    product = first * second.conj()
    product[0, 0, 0] = 0
    # Filled up with zeros, so that the peak is found to a voxel of the map.
    fine = product.new_zeros(n, n, n // 2 + 1)
    low, high = torch.arange(coarse // 2), torch.arange(1 - coarse // 2, 0)
    rows = torch.cat([low, high])
    columns = coarse // 2
    fine[rows[:, None] % n, rows % n, :columns] = product[rows[:, None], rows, :columns]
    peak = int(torch.fft.irfftn(fine, s=(n, n, n)).abs().argmax())
    steps = [(index + n // 2) % n - n // 2 for index in (peak % n, peak // n % n, peak // n**2)]
    x, y, z = (step * volume.voxel_size for step in steps)
    return x, y, z


def move(volume: Volume, by: tuple[float, float, float]) -> Volume:
    """`volume` moved by (x, y, z) Å, to whole voxels; what leaves the box comes in again."""
    steps = [round(part / volume.voxel_size) for part in reversed(by)]
    return Volume(volume.density.roll(steps, (0, 1, 2)), volume.voxel_size, volume.origin)


def find_scale(own: Volume, volume: Volume) -> float:
    """By what `volume` must be magnified about its centre to be like `own`."""
    known = crop_volume(volume, own.box_size)
    size = shell_sizes(own.box_size)[2:_SCALE_SHELLS]

    def fit(scale: float) -> float:
        fsc = shell_correlation(own, magnify(known, scale))[2:_SCALE_SHELLS]
        return abs(float((size * fsc).sum()))

    coarse = max(_COARSE, key=fit)
    return max((coarse * step for step in _FINE), key=fit)


def magnify(volume: Volume, scale: float) -> Volume:
    """`volume` enlarged by `scale` about its centre, on the same grid; trilinear."""
    n = volume.box_size
    at = (torch.arange(n) - n // 2) / scale + n // 2
    # grid_sample wants −1 and 1 at the first and last voxel, and (x, y, z).
    at = 2 * at / (n - 1) - 1
    z, y, x = torch.meshgrid(at, at, at, indexing="ij")
    where: Float[Tensor, "1 n n n 3"] = torch.stack([x, y, z], -1)[None].to(volume.density)
    density = torch.nn.functional.grid_sample(
        volume.density[None, None], where, align_corners=True
    )[0, 0]
    return Volume(density, volume.voxel_size, volume.origin)
