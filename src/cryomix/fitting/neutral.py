"""The neutral model: Gaussians fitted to the consensus map, coarse to fine."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from cryomix.errors import ResolutionError
from cryomix.fitting.units import to_physical_units
from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses, spread_poses
from cryomix.imaging.correlation import ring_correlation
from cryomix.imaging.gaussians import GaussianModel, select_inside
from cryomix.imaging.masking import apply_mask, soft_mask
from cryomix.imaging.projection import project_gaussians
from cryomix.imaging.volume import Volume, crop_volume, project_volume, transform_volume
from cryomix.options import NeutralOptions

WIDTH_PER_RESOLUTION = 1 / 3  # base σ of a model that describes detail down to a resolution


@dataclass(frozen=True, slots=True)
class NeutralFit:
    """What a fit to a map found.

    Attributes
    ----------
    model
        The Gaussians, centres in Å from the box centre.
    base_width
        Widths lie in (0.5, 1.5) times this, Å.
    box_length
        Edge of the box, Å.
    resolution
        Finest detail compared, Å.
    frc
        Mean FRC of each ring with views that were not fitted.
    mean_frc
        Mean of `frc` from ring 1 to the resolution.
    """

    model: GaussianModel
    base_width: float
    box_length: float
    resolution: float
    frc: Float[Tensor, "rings"]
    mean_frc: float


Report = Callable[[str], None]


def fit_neutral(
    volume: Volume, options: NeutralOptions, *, mask: Volume | None = None, report: Report
) -> NeutralFit:
    """Fit Gaussians to `volume`: few and wide first, then twice as many and sharper.

    Stops when the mean FRC with views of the map exceeds `options.frc` at the target
    resolution, or at the given number of Gaussians (design section 2; paper, Methods).

    Raises
    ------
    ResolutionError
        If the target is finer than the map's sampling allows.
    """
    resolution = options.resolution or default_resolution(volume)
    if resolution < 2 * volume.voxel_size:
        raise ResolutionError(
            f"resolution {resolution:g} Å: finer than twice the voxel size, "
            f"{2 * volume.voxel_size:g} Å"
        )
    mask = mask or soft_mask(volume, resolution)
    fit = _Fit(apply_mask(volume, mask), mask, options, report)
    ladder = _resolutions(resolution, options)
    fit.seed(min(options.start_gaussians, fit.most), ladder[0])
    for number, stage_resolution in enumerate(ladder):
        is_last = number == len(ladder) - 1
        fit.sharpen(stage_resolution)
        while fit.is_short_of_target(is_last):
            fit.split()
    return fit.result()


def default_resolution(volume: Volume) -> float:
    """Three voxels, but not finer than 10 Å: motions are seen well before side chains are."""
    return max(3 * volume.voxel_size, 10.0)


def _resolutions(resolution: float, options: NeutralOptions) -> list[float]:
    """Å, coarse to fine, in even ratios of at most 1.7."""
    first = max(options.start_resolution, resolution)
    steps = math.ceil(math.log(first / resolution) / math.log(1.7))
    return [first * (resolution / first) ** (step / max(steps, 1)) for step in range(steps + 1)]


class _Fit:
    """A model on its way from coarse to fine; its parameters are logits of network units."""

    def __init__(
        self, volume: Volume, mask: Volume, options: NeutralOptions, report: Report
    ) -> None:
        self.volume = volume
        self.mask = mask
        self.options = options
        self.report = report
        self.most = options.gaussians or options.most_gaussians
        self.generator = torch.Generator().manual_seed(options.seed)

    def seed(self, count: int, resolution: float) -> None:
        self.width = resolution * WIDTH_PER_RESOLUTION
        self.logit = _seed(self.volume, count, self.generator)

    def sharpen(self, resolution: float) -> None:
        self.resolution = resolution
        self.views = _Views.of(self.volume, resolution, self.options.views)
        new_width = resolution * WIDTH_PER_RESOLUTION
        self.logit = _narrow(self.logit, self.width, new_width)
        self.width = new_width
        self._optimise()

    def split(self) -> None:
        count = min(2 * len(self.logit), self.most)
        self.logit = _split(self.logit, count, self.width / self.views.box_length, self.generator)
        self._optimise()

    def is_short_of_target(self, is_last: bool) -> bool:
        if len(self.logit) >= self.most:
            return False
        asked = self.options.gaussians is not None and is_last
        return asked or self.mean_frc <= self.options.frc

    def result(self) -> NeutralFit:
        return NeutralFit(
            self.model, self.width, self.views.box_length, self.resolution, self.frc, self.mean_frc
        )

    def _optimise(self) -> None:
        count = len(self.logit)
        self.report(f"{count} Gaussians at {self.resolution:.0f} Å")
        self.logit = _optimise(self.logit, self.width, self.views, self.options, self.generator)
        self.model = to_physical_units(self.logit.sigmoid(), self.views.box_length, self.width)
        inside = select_inside(self.model, self.mask)
        self.logit, self.model = self.logit[inside], self.model.subset(inside)
        self.frc = _validate(self.model, self.volume, self.resolution)
        self.mean_frc = float(self.frc[1 : self.views.last_ring + 1].mean())


@dataclass(frozen=True, slots=True)
class _Views:
    """Projections of the map, band-limited by their sampling."""

    image_ft: Complex[Tensor, "views rows columns"]
    poses: Poses
    grid: FourierGrid
    last_ring: int

    @property
    def box_length(self) -> float:
        return self.grid.box_length

    @staticmethod
    def of(volume: Volume, resolution: float, count: int, offset: int = 0) -> "_Views":
        length = volume.box_size * volume.voxel_size
        box_size = min(volume.box_size, max(2 * int(1.25 * length / resolution + 1), 16))
        # Twice the asked views, every second one: the others are left for validation.
        poses = spread_poses(2 * count)[offset::2]
        grid = FourierGrid(box_size, length / box_size)
        transform = transform_volume(crop_volume(volume, box_size))
        image_ft = project_volume(transform, poses, grid)
        return _Views(image_ft, poses, grid, grid.ring_of(resolution))


def _seed(volume: Volume, count: int, generator: torch.Generator) -> Float[Tensor, "gaussians 5"]:
    """Gaussians drawn from the density itself, all alike, as logits of network units."""
    n = volume.box_size
    weight = (volume.density - 2 * volume.density.std()).clamp_min(0)
    if float(weight.sum()) == 0:
        raise ResolutionError("the map has no density above two standard deviations")
    # Drawn voxel by voxel through the running sum: multinomial is limited to 2^24 voxels.
    running = weight.flatten().double().cumsum(0)
    draw = torch.rand(count, generator=generator, dtype=torch.float64) * running[-1]
    chosen = torch.searchsorted(running, draw).clamp_max(n**3 - 1)
    z, y, x = chosen // (n * n), chosen // n % n, chosen % n
    voxel = torch.stack([x, y, z], dim=-1) + torch.rand(count, 3, generator=generator) - 0.5
    unit = torch.full((count, 5), 0.5)
    unit[:, :3] = ((voxel - n // 2) / n + 0.5).clamp(0.01, 0.99)
    unit[:, 3] = 0.3
    return torch.logit(unit)


def _narrow(
    logit: Float[Tensor, "gaussians 5"], width: float, new_width: float
) -> Float[Tensor, "gaussians 5"]:
    """The same Gaussians with widths around `new_width`, each keeping its share of the mass."""
    unit = logit.sigmoid()
    old = (unit[:, 4] + 0.5) * width
    new = old.clamp(0.6 * new_width, 1.4 * new_width)
    amplitude = unit[:, 3] * (old / new) ** 3
    amplitude = amplitude * (0.3 / amplitude.mean())  # the FRC does not see the scale
    narrowed = torch.cat([unit[:, :3], amplitude[:, None], (new / new_width - 0.5)[:, None]], dim=1)
    return torch.logit(narrowed.clamp(0.01, 0.99))


def _split(
    logit: Float[Tensor, "gaussians 5"], count: int, width: float, generator: torch.Generator
) -> Float[Tensor, "more 5"]:
    """Seed each new Gaussian beside a heavy old one, which gives it half of its amplitude.

    `width` is the base width as a fraction of the box.
    """
    unit = logit.sigmoid()
    mass = unit[:, 3] * (unit[:, 4] + 0.5) ** 3
    parent = torch.multinomial(mass, count - len(unit), generator=generator)
    twin = unit[parent].clone()
    twin[:, :3] += torch.randn(len(parent), 3, generator=generator) * (0.7 * width)
    joined = torch.cat([unit, twin])
    halved = torch.cat([parent, torch.arange(len(unit), len(joined))])
    joined[halved, 3] *= 0.5
    return torch.logit(joined.clamp(0.01, 0.99))


def _optimise(
    logit: Float[Tensor, "gaussians 5"],
    width: float,
    views: _Views,
    options: NeutralOptions,
    generator: torch.Generator,
) -> Float[Tensor, "gaussians 5"]:
    center, other = logit[:, :3].clone(), logit[:, 3:].clone()
    center.requires_grad_()
    other.requires_grad_()
    # One Adam step moves a centre by a tenth of the base width: dx = box/4 · d(logit).
    rate = 0.1 * width * 4 / views.box_length
    optimizer = torch.optim.Adam([{"params": [center], "lr": rate}, {"params": [other], "lr": 0.1}])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps, rate * 0.02)
    for _ in range(options.steps):
        chosen = torch.randint(len(views.poses), (options.batch_size,), generator=generator)
        unit = torch.cat([center, other], dim=-1).sigmoid()
        model = to_physical_units(unit, views.box_length, width)
        projection = project_gaussians(model, views.poses[chosen], views.grid)
        image_ft = views.image_ft[chosen]
        frc = ring_correlation(projection, image_ft, views.grid)[:, 1 : views.last_ring + 1]
        # The FRC leaves the strength of each ring open; the image as a whole settles it.
        whole = _correlation(projection, image_ft, views)
        loss = -(frc.mean() + 0.5 * whole.mean())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return torch.cat([center, other], dim=-1).detach()


def _correlation(first: Tensor, second: Tensor, views: _Views) -> Float[Tensor, "particles"]:
    ring = views.grid.ring
    weight = views.grid.multiplicity * ((ring >= 1) & (ring <= views.last_ring))
    cross = ((first * second.conj()).real * weight).sum((-2, -1))
    power = (first.abs().square() * weight).sum((-2, -1))
    return cross / (power * (second.abs().square() * weight).sum((-2, -1))).sqrt()


def _validate(model: GaussianModel, volume: Volume, resolution: float) -> Float[Tensor, "rings"]:
    """Mean FRC per ring over 60 views between those that were fitted."""
    views = _Views.of(volume, resolution, 60, offset=1)
    with torch.no_grad():
        projection = project_gaussians(model, views.poses, views.grid)
        return ring_correlation(projection, views.image_ft, views.grid).mean(0)
