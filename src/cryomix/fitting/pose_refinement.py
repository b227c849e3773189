"""Poses refined against each particle's own conformation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from cryomix.fitting.coarse_view import limited_view
from cryomix.fitting.curvature import likelihood_curvature
from cryomix.fitting.pose_prior import PosePrior
from cryomix.fitting.posterior import Prior
from cryomix.fitting.score import Metric, log_likelihood
from cryomix.fitting.trained_model import TrainedModel
from cryomix.geometry.poses import Poses, turn, turn_between
from cryomix.geometry.rigid_motion import RigidMotion, follow_motion
from cryomix.imaging.particles import ParticleBatch
from cryomix.imaging.pose_change import project_with_pose_change
from cryomix.imaging.projection import project_gaussians

_POSE = 5
_STEPS = 3  # at each resolution
_LAST_STEPS = 4  # at the finest, where the latent moves as well
_SHORTENED = 0.3  # what is left of a step that went too far
_STEP = 0.02  # of the latents' spread: finite differences along each latent axis
_WAVES = 0.25  # an error of more than this share of the finest wave may end on another hill
_LEAST_RING = 3
_OF_PARTICLES = ("latent", "information", "pull", "likelihood")


@dataclass(frozen=True, slots=True)
class PoseFit:
    """Poses that were found, and what the images say of them.

    Attributes
    ----------
    poses
        The most probable ones.
    latent
        Most probable beside them.
    information
        Curvature of the log-likelihood in the correction of the given pose (turn x, y, z in
        radians; shift x, y in Å), whatever the latent may be.
    pull
        `information` times where that log-likelihood has its maximum.
    likelihood
        Nats gained over an empty image.
    """

    poses: Poses
    latent: Float[Tensor, "particles latent"]
    information: Float[Tensor, "particles 5 5"]
    pull: Float[Tensor, "particles 5"]
    likelihood: Float[Tensor, "particles"]

    def cpu(self) -> "PoseFit":
        """The same, on the processor."""
        return PoseFit(
            self.poses.to(torch.device("cpu")),
            *(getattr(self, name).cpu() for name in _OF_PARTICLES),
        )

    def moved(self, motion: RigidMotion) -> "PoseFit":
        """With what each decoded model does to the molecule's core as part of the pose instead.

        An image is the same either way.
        """
        poses = follow_motion(self.poses, motion)
        further = correction_between(self.poses, poses)
        pull = self.pull + (self.information @ further[..., None])[..., 0]
        return replace(self, poses=poses, pull=pull)


@torch.no_grad()
def refine_poses(
    model: TrainedModel,
    batch: ParticleBatch,
    metric: Metric,
    given: Poses,
    latent: Float[Tensor, "batch latent"],
    prior: PosePrior,
    latent_prior: Prior | None,
) -> PoseFit:
    """Gauss–Newton steps towards each particle's most probable pose and latent.

    The search begins at the poses of `batch`, at a resolution at which errors as large as `prior`
    allows are a small part of a wave, and ends at that of the metric, where pose and latent
    move together: a domain that moves takes the centre of mass with it, so that neither is
    right without the other. A step that does not raise the posterior is not taken.

    Parameters
    ----------
    metric
        The likelihood; some of its rings may have no weight.
    given
        Poses that the prior is about.
    latent
        Where the search begins.
    latent_prior
        Without one, latents stay where they are.
    """
    point = _Point(batch.poses, latent)
    for last_ring in _rings_in_turn(model, metric, prior):
        seen, coarse = limited_view(batch, metric, last_ring)
        point = _climb(_Task(model, seen, coarse, given, prior, None), point, _STEPS).point
    task = _Task(model, batch, metric, given, prior, latent_prior)
    place = _climb(task, point, _LAST_STEPS)
    information, slope = _without_latent(*_curvature(task, place))
    correction = task.correction(place.point)
    # What is left of the posterior without the prior.
    information = information - torch.diag(task.precision)
    slope = slope + correction * task.precision
    pull = (information @ correction[..., None])[..., 0] + slope
    return PoseFit(place.point.poses, place.point.latent, information, pull, place.likelihood)


def join_fits(fits: Sequence[PoseFit]) -> PoseFit:
    """Those of several batches, one after the other."""
    poses = [fit.poses for fit in fits]
    return PoseFit(
        Poses(torch.cat([p.rotation for p in poses]), torch.cat([p.shift for p in poses])),
        *(torch.cat([getattr(fit, name) for fit in fits]) for name in _OF_PARTICLES),
    )


def correction_between(given: Poses, poses: Poses) -> Float[Tensor, "particles 5"]:
    """What takes `given` to `poses`: a turn (x, y, z of the view, radians) and a shift (Å)."""
    turned = turn_between(given.rotation, poses.rotation)
    return torch.cat([turned, poses.shift - given.shift], dim=1)


def _rings_in_turn(model: TrainedModel, metric: Metric, prior: PosePrior) -> list[int]:
    """Last rings of the searches before the finest, coarse to fine by factors of two."""
    neutral = model.decoder.neutral
    mass = neutral.amplitude * neutral.width**3
    radius = float(((mass[:, None] * neutral.center.square()).sum() / mass.sum()).sqrt())
    moved = (prior.shift**2 + (prior.rotation_rad * radius) ** 2) ** 0.5
    ring = max(int(_WAVES * metric.grid.box_length / moved), _LEAST_RING)
    rings = []
    while ring < 0.75 * metric.last_ring:
        rings.append(ring)
        ring *= 2
    return rings


@dataclass(frozen=True, slots=True)
class _Point:
    poses: Poses
    latent: Float[Tensor, "batch latent"]

    def moved(self, step: Float[Tensor, "batch parameters"]) -> "_Point":
        poses = Poses(turn(self.poses.rotation, step[:, :3]), self.poses.shift + step[:, 3:_POSE])
        latent = self.latent + step[:, _POSE:] if step.shape[1] > _POSE else self.latent
        return _Point(poses, latent)

    def __getitem__(self, chosen: Int64[Tensor, "chosen"]) -> "_Point":
        return _Point(self.poses[chosen], self.latent[chosen])


@dataclass(frozen=True, slots=True)
class _Place:
    """Points that were tried, what images they let expect, and how probable they are."""

    point: _Point
    expected: Float[Tensor, "batch numbers"]
    likelihood: Float[Tensor, "batch"]
    log_posterior: Float[Tensor, "batch"]


class _Task:
    """What stays the same during a search; without a prior on them, latents do as well."""

    def __init__(
        self,
        model: TrainedModel,
        batch: ParticleBatch,
        metric: Metric,
        given: Poses,
        prior: PosePrior,
        latent_prior: Prior | None,
    ) -> None:
        self.model = model
        self.batch = batch
        self.metric = metric
        self.given = given
        self.prior = prior
        self.latent_prior = latent_prior
        root = metric.weight.sqrt()
        self.precision = prior.precision(batch.poses.shift)
        self.seen = batch.transfer * (metric.gain * root)
        self.image = torch.view_as_real(batch.image_ft * root).flatten(1)

    def __getitem__(self, chosen: Int64[Tensor, "chosen"]) -> "_Task":
        return _Task(
            self.model, self.batch[chosen], self.metric, self.given[chosen], self.prior,
            self.latent_prior,
        )  # fmt: skip

    def correction(self, point: _Point) -> Float[Tensor, "batch 5"]:
        """From the given poses."""
        return correction_between(self.given, point.poses)

    def expect(self, point: _Point) -> Float[Tensor, "batch numbers"]:
        """Whitened, CTF-weighted projections, as real vectors."""
        shown = self.model.decode(point.latent)
        projection = project_gaussians(shown, point.poses, self.metric.grid)
        return torch.view_as_real(projection * self.seen).flatten(1)

    def jacobian(
        self, point: _Point, expected: Float[Tensor, "batch numbers"]
    ) -> Float[Tensor, "batch parameters numbers"]:
        """Its change with the pose, and with the latent by finite differences."""
        shown = self.model.decode(point.latent)
        _, change = project_with_pose_change(shown, point.poses, self.metric.grid)
        columns = torch.view_as_real(change * self.seen[:, None]).flatten(2)
        if self.latent_prior is None:
            return columns
        along = []
        for axis, spread in enumerate(self.latent_prior.spread):
            step = torch.zeros_like(point.latent)
            step[:, axis] = _STEP * spread
            moved = self.expect(_Point(point.poses, point.latent + step))
            along.append((moved - expected) / (_STEP * spread))
        return torch.cat([columns, torch.stack(along, dim=1)], dim=1)


def _climb(task: _Task, point: _Point, steps: int) -> _Place:
    place = _look(task, point)
    everyone = torch.arange(len(point.latent), device=point.latent.device)
    for _ in range(steps):
        information, slope = _curvature(task, place)
        step = torch.linalg.solve(information.double(), slope.double()[..., None])[..., 0]
        step = step.to(slope)
        start = place
        place = _better_of(start, _look(task, start.point.moved(step)), everyone)
        # Where the posterior did not rise, once more, less far.
        fell = (place.log_posterior <= start.log_posterior).nonzero()[:, 0]
        if len(fell):
            nearer = _look(task[fell], start.point[fell].moved(_SHORTENED * step[fell]))
            place = _better_of(place, nearer, fell)
    return place


def _look(task: _Task, point: _Point) -> _Place:
    expected = task.expect(point)
    cross = torch.linalg.vecdot(task.image, expected)
    power = torch.linalg.vecdot(expected, expected)
    likelihood = log_likelihood(cross, power, task.metric.scale_variance)
    strain = (task.correction(point).square() * task.precision).sum(-1)
    if task.latent_prior is not None:
        offset = point.latent - task.latent_prior.mean
        strain = strain + ((offset @ task.latent_prior.precision) * offset).sum(-1)
    return _Place(point, expected, likelihood, likelihood - 0.5 * strain)


def _better_of(place: _Place, other: _Place, index: Int64[Tensor, "others"]) -> _Place:
    """`place` with, for each particle at `index`, the `other` where that is more probable."""
    better = other.log_posterior > place.log_posterior[index]

    def choose(old: Tensor, new: Tensor) -> Tensor:
        mask = better.reshape(-1, *[1] * (old.ndim - 1))
        return old.index_copy(0, index, torch.where(mask, new, old[index]))

    old, new = place.point, other.point
    poses = Poses(
        choose(old.poses.rotation, new.poses.rotation), choose(old.poses.shift, new.poses.shift)
    )
    return _Place(
        _Point(poses, choose(old.latent, new.latent)),
        choose(place.expected, other.expected),
        choose(place.likelihood, other.likelihood),
        choose(place.log_posterior, other.log_posterior),
    )


def _curvature(
    task: _Task, place: _Place
) -> tuple[Float[Tensor, "batch parameters parameters"], Float[Tensor, "batch parameters"]]:
    """Information matrix and slope of the log posterior."""
    jacobian = task.jacobian(place.point, place.expected)
    information, slope = likelihood_curvature(
        task.image, place.expected, jacobian, task.metric.scale_variance
    )
    # Along the vector between two rotations, a further turn about any axis lengthens it as if
    # turns were vectors: the slope of the prior is exact, its curvature that of small angles.
    strain = task.correction(place.point) * task.precision
    if task.latent_prior is None:
        return information + torch.diag(task.precision), slope - strain
    latent_precision = task.latent_prior.precision
    offset = place.point.latent - task.latent_prior.mean
    precision = torch.block_diag(torch.diag(task.precision), latent_precision)
    return information + precision, slope - torch.cat([strain, offset @ latent_precision], dim=1)


def _without_latent(
    information: Float[Tensor, "batch parameters parameters"],
    slope: Float[Tensor, "batch parameters"],
) -> tuple[Float[Tensor, "batch 5 5"], Float[Tensor, "batch 5"]]:
    """Of the pose alone, the latent integrated out."""
    cross, inner = information[:, :_POSE, _POSE:], information[:, _POSE:, _POSE:]
    share = torch.linalg.solve(inner, cross.mT).mT
    marginal = information[:, :_POSE, :_POSE] - share @ cross.mT
    return marginal, slope[:, :_POSE] - (share @ slope[:, _POSE:, None])[..., 0]
