"""The neutral model: Gaussians fitted to the consensus map, coarse to fine."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.errors import ResolutionError
from cryomix.fitting.map_views import MapViews, agreement_of, validate_model
from cryomix.fitting.units import to_physical_units
from cryomix.imaging.correlation import ring_correlation
from cryomix.imaging.gaussians import GaussianModel, select_inside
from cryomix.imaging.masking import apply_mask, soft_mask
from cryomix.imaging.projection import project_gaussians
from cryomix.imaging.volume import Volume
from cryomix.options import NeutralOptions

WIDTH_PER_RESOLUTION = 1 / 3  # base σ of a model that describes detail down to a resolution
_LEAST_GAIN = 0.005  # of the mean FRC, by twice as many Gaussians of half maps
_LEAST_AGREEMENT = 0.05  # of half maps; less cannot be told from chance


@dataclass(frozen=True, slots=True)
class NeutralFit:
    """What a fit found.

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
        Mean FRC of each ring with views that were not fitted; of half maps with those of the
        other half, freed of its noise.
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
    resolution = target_resolution(volume, options)
    mask = mask or soft_mask(volume, resolution)
    fit = _Fit(apply_mask(volume, mask), mask, options, report)
    fit.climb(resolution)
    return fit.result()


def fit_neutral_to_halves(
    first: Volume,
    second: Volume,
    options: NeutralOptions,
    *,
    mask: Volume,
    report: Report,
) -> NeutralFit:
    """Fit Gaussians to what two half maps have in common, and not to their noise.

    As `fit_neutral`, but fitted to the first and judged by the second, so that more Gaussians gain
    nothing by describing noise: their number is no longer doubled when the judge gains less than
    0.005. Last, they are fitted to the mean of both; `frc` is from before that.

    Notes
    -----
    A model m of the first half shares no noise with the second, so that its FRC with the molecule
    is FRC(m, second) / √FRC(first, second). Rings count in the fit by that FRC(first, second), the
    share of signal in their power.
    """
    resolution = target_resolution(first, options)
    half, judge = apply_mask(first, mask), apply_mask(second, mask)
    fit = _Fit(half, mask, options, report, judge)
    fit.climb(resolution)
    fit.refine()
    return fit.result()


def target_resolution(volume: Volume, options: NeutralOptions) -> float:
    """What was asked for, or three voxels but at least 10 Å, Å.

    Motions are seen well before side chains are.

    Raises
    ------
    ResolutionError
        If it is finer than the map's sampling allows.
    """
    resolution = options.resolution or default_resolution(volume)
    if resolution < 2 * volume.voxel_size:
        raise ResolutionError(
            f"resolution {resolution:g} Å: finer than twice the voxel size, "
            f"{2 * volume.voxel_size:g} Å"
        )
    return resolution


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

    logit: Float[Tensor, "gaussians 5"]
    model: GaussianModel
    frc: Float[Tensor, "rings"]
    mean_frc: float
    agreement: Float[Tensor, "rings"]

    def __init__(
        self,
        volume: Volume,
        mask: Volume,
        options: NeutralOptions,
        report: Report,
        judge: Volume | None = None,
    ) -> None:
        self.volume = volume
        self.judge = judge
        self.mask = mask
        self.options = options
        self.report = report
        self.most = options.gaussians or options.most_gaussians
        self.generator = torch.Generator().manual_seed(options.seed)

    def climb(self, resolution: float) -> None:
        ladder = _resolutions(resolution, self.options)
        self.width = ladder[0] * WIDTH_PER_RESOLUTION
        count = min(self.options.start_gaussians, self.most)
        self.logit = _seed(self.volume, count, self.generator)
        for number, stage_resolution in enumerate(ladder):
            is_last = number == len(ladder) - 1
            self._sharpen(stage_resolution)
            while self._is_short_of_target(is_last) and self._split():
                pass

    def refine(self) -> None:
        """Fit as many Gaussians to the mean of both halves; what was judged stays."""
        judge = self.judge or self.volume
        mean = Volume((self.volume.density + judge.density) / 2, judge.voxel_size)
        views = MapViews.of(mean, self.resolution, self.options.views)
        self.views = self._weigh(views, 2 * self.agreement / (1 + self.agreement))
        self._optimise()

    def result(self) -> NeutralFit:
        return NeutralFit(
            self.model, self.width, self.views.box_length, self.resolution, self.frc, self.mean_frc
        )

    def _sharpen(self, resolution: float) -> None:
        self.resolution = resolution
        views = MapViews.of(self.volume, resolution, self.options.views)
        if self.judge is None:
            self.views, self.ring_weight = views, torch.ones(views.last_ring)
        else:
            agreement = agreement_of(self.volume, self.judge, resolution)
            self.agreement = agreement.clamp_min(_LEAST_AGREEMENT)
            self.views = self._weigh(views, self.agreement)
        new_width = resolution * WIDTH_PER_RESOLUTION
        self.logit = _narrow(self.logit, self.width, new_width)
        self.width = new_width
        self._optimise()
        self._validate()

    def _weigh(self, views: MapViews, signal: Float[Tensor, "rings"]) -> MapViews:
        """Rings count by their share of signal, and keep only that of their strength."""
        weight = signal[1 : views.last_ring + 1]
        self.ring_weight = weight / weight.mean()
        return views.filtered(signal)

    def _split(self) -> bool:
        """Whether twice as many Gaussians are better; if not, all is as before."""
        before = (self.logit, self.model, self.frc, self.mean_frc)
        count = min(2 * len(self.logit), self.most)
        self.logit = _split(self.logit, count, self.width / self.views.box_length, self.generator)
        self._optimise()
        self._validate()
        asked = self.judge is None or self.options.gaussians is not None
        if asked or self.mean_frc > before[-1] + _LEAST_GAIN:
            return True
        self.logit, self.model, self.frc, self.mean_frc = before
        return False

    def _is_short_of_target(self, is_last: bool) -> bool:
        if len(self.logit) >= self.most:
            return False
        asked = self.options.gaussians is not None and is_last
        return asked or self.mean_frc <= self.options.frc

    def _optimise(self) -> None:
        count = len(self.logit)
        self.report(f"{count} Gaussians at {self.resolution:.0f} Å")
        self.logit = optimise_gaussians(
            self.logit, self.width, self.views, self.ring_weight, self.options, self.generator
        )
        self.model = to_physical_units(self.logit.sigmoid(), self.views.box_length, self.width)
        inside = select_inside(self.model, self.mask)
        self.logit, self.model = self.logit[inside], self.model.subset(inside)

    def _validate(self) -> None:
        self.frc = validate_model(self.model, self.judge or self.volume, self.resolution)
        if self.judge is not None:
            self.frc = self.frc / self.agreement.sqrt()
        self.mean_frc = self.views.band_mean(self.frc)


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


def optimise_gaussians(
    logit: Float[Tensor, "gaussians 5"],
    width: float,
    views: MapViews,
    ring_weight: Float[Tensor, "rings"],
    options: NeutralOptions,
    generator: torch.Generator,
) -> Float[Tensor, "gaussians 5"]:
    """Raise the FRC with `views`, its rings from 1 to the last weighted, by `options.steps` steps.

    Gaussians are logits of network units, widths around `width` Å.
    """
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
        loss = -((frc * ring_weight).mean() + 0.5 * whole.mean())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return torch.cat([center, other], dim=-1).detach()


def _correlation(first: Tensor, second: Tensor, views: MapViews) -> Float[Tensor, "particles"]:
    ring = views.grid.ring
    weight = views.grid.multiplicity * ((ring >= 1) & (ring <= views.last_ring))
    cross = ((first * second.conj()).real * weight).sum((-2, -1))
    power = (first.abs().square() * weight).sum((-2, -1))
    return cross / (power * (second.abs().square() * weight).sum((-2, -1))).sqrt()
