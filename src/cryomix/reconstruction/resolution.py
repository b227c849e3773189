"""How far two half maps agree, and a map filtered to that."""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from cryomix.imaging.correlation import shell_correlation
from cryomix.imaging.masking import soft_mask
from cryomix.imaging.volume import Volume

RANDOMIZE_BELOW = 0.8  # phases are randomised beyond the shell where the FSC drops below this
CUT_BELOW = 0.143
EDGE_SHELLS = 3.0


@dataclass(frozen=True, slots=True)
class HalfMaps:
    """Two maps of the same thing from disjoint halves of the particles.

    Attributes
    ----------
    first, second
        From the particles of half set 1 and 2.
    """

    first: Volume
    second: Volume


def average(halves: HalfMaps) -> Volume:
    """Mean of the two maps."""
    first = halves.first
    density = (first.density + halves.second.density) / 2
    return Volume(density, first.voxel_size, first.origin)


def surround(halves: HalfMaps, resolution: float) -> Volume:
    """A soft mask around the molecule, as noise lets one see it, `resolution` Å at best."""
    fsc = half_map_correlation(halves)
    size, box_size = halves.first.voxel_size, halves.first.box_size
    seen = resolution_at(fsc, size, box_size=box_size)
    # Without any agreement the mask is one of noise, which whoever takes it will find out.
    coarsest = box_size * size / 2
    return soft_mask(filter_by_fsc(average(halves), fsc), min(max(resolution, seen), coarsest))


def half_map_correlation(
    halves: HalfMaps, mask: Volume | None = None, *, seed: int = 0
) -> Float[Tensor, "shells"]:
    """FSC of two half maps, shells 0 to Nyquist.

    Parameters
    ----------
    halves
        Unfiltered half maps.
    mask
        Between 0 and 1, with a soft edge. The correlation that the mask itself brings in is
        measured on maps with randomised phases and taken out:
        (FSC − FSC_random) / (1 − FSC_random), from two shells beyond the first randomised one.
    seed
        Of the random phases.

    Notes
    -----
    The correction is that of Chen et al., Ultramicroscopy 135, 24–35 (2013).
    """
    unmasked = shell_correlation(halves.first, halves.second)
    if mask is None:
        return unmasked
    if mask.box_size != halves.first.box_size:
        raise ValueError(f"mask of {mask.box_size} voxels, maps of {halves.first.box_size}")
    masked = shell_correlation(_times(halves.first, mask), _times(halves.second, mask))
    start = _first_below(unmasked, RANDOMIZE_BELOW)
    generator = torch.Generator().manual_seed(seed)
    noise = shell_correlation(
        _times(_randomize_phases(halves.first, start, generator), mask),
        _times(_randomize_phases(halves.second, start, generator), mask),
    )
    corrected = (masked - noise) / (1 - noise).clamp_min(1e-6)
    return torch.where(torch.arange(len(masked)) >= start + 2, corrected, masked)


def resolution_at(
    fsc: Float[Tensor, "shells"],
    voxel_size: float,
    threshold: float = 0.143,
    *,
    box_size: int | None = None,
) -> float:
    """Resolution, Å, at which `fsc` first drops below `threshold`.

    Linear between shells. Nyquist (two voxels) if it never drops; infinity if it is below from
    shell 1 on. `box_size` is needed only for odd boxes, whose shells are as many as those of
    the even box below.
    """
    shell = _first_below(fsc, threshold)
    if shell == 1:
        return float("inf")
    if shell == len(fsc):
        return 2 * voxel_size
    above, below = float(fsc[shell - 1]), float(fsc[shell])
    crossing = shell - 1 + (above - threshold) / (above - below)
    return (box_size or 2 * (len(fsc) - 1)) * voxel_size / crossing


def resolution_of_curve(
    frequency: Float[Tensor, "shells"], fsc: Float[Tensor, "shells"], threshold: float = 0.143
) -> float:
    """As `resolution_at`, of a curve whose shells are given by their frequencies, Å⁻¹.

    The last shell if it never drops below `threshold`.
    """
    shell = _first_below(fsc, threshold)
    if shell == 1:
        return float("inf")
    if shell == len(fsc):
        return 1 / float(frequency[-1])
    above, below = float(fsc[shell - 1]), float(fsc[shell])
    share = (above - threshold) / (above - below)
    return 1 / float(torch.lerp(frequency[shell - 1], frequency[shell], share))


def filter_by_fsc(volume: Volume, fsc: Float[Tensor, "shells"]) -> Volume:
    """The average of two half maps, each shell weighted by √(2·FSC / (1 + FSC)).

    That is the expected correlation with the noise-free map (Rosenthal & Henderson, 2003).
    Shells beyond the first with FSC < 0.143 fade out over three shells, because what the FSC
    does from there on is chance.
    """
    n = volume.box_size
    if len(fsc) != n // 2 + 1:
        raise ValueError(f"{len(fsc)} shells do not belong to a box of {n}")
    agreement = fsc.clamp(0, 1).to(volume.density)
    beyond = torch.arange(len(fsc)).to(agreement) - (_first_below(fsc, CUT_BELOW) - 1)
    fade = 0.5 + 0.5 * torch.cos(torch.pi * (beyond / EDGE_SHELLS).clamp(0, 1))
    weight = (2 * agreement / (1 + agreement)).sqrt() * fade
    # The mean density is lost with the mean of each image, so shell 0 says nothing by itself.
    weight[0] = weight[1]
    weight = torch.cat([weight, weight.new_zeros(1)])
    shell = _shell_radius(n).to(weight).clamp(max=len(fsc))
    # Linear between shells, so that the filter has no steps that ring.
    low = shell.floor().long().clamp(max=len(fsc) - 1)
    per_voxel = torch.lerp(weight[low], weight[low + 1], shell - low)
    density = torch.fft.irfftn(torch.fft.rfftn(volume.density) * per_voxel, s=(n, n, n))
    return Volume(density, volume.voxel_size, volume.origin)


def _first_below(fsc: Float[Tensor, "shells"], threshold: float) -> int:
    """First shell ≥ 1 whose value is below `threshold`; the number of shells if there is none."""
    below = (fsc[1:] < threshold).nonzero()
    return int(below[0]) + 1 if len(below) else len(fsc)


def _times(volume: Volume, mask: Volume) -> Volume:
    return Volume(volume.density * mask.density, volume.voxel_size, volume.origin)


def _randomize_phases(volume: Volume, start: int, generator: torch.Generator) -> Volume:
    n = volume.box_size
    transform = torch.fft.rfftn(volume.density)
    # The phases of white noise are uniform and those of a real map.
    noise = torch.fft.rfftn(torch.randn(n, n, n, generator=generator))
    random = transform.abs() * (noise / noise.abs().clamp_min(1e-20)).to(transform)
    mixed: Complex[Tensor, "z y x"] = torch.where(_shell_radius(n) >= start, random, transform)
    return Volume(torch.fft.irfftn(mixed, s=(n, n, n)), volume.voxel_size, volume.origin)


def _shell_radius(n: int) -> Float[Tensor, "z y x"]:
    y, x = torch.fft.fftfreq(n) * n, torch.fft.rfftfreq(n) * n
    return torch.sqrt(y[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2)
