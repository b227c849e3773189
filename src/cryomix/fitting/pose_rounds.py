"""Poses, networks and latents in turn, until poses no longer get surely better."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from cryomix.fitting.core_motion import core_motion
from cryomix.fitting.heterogeneity import build_model, further_state, split_particles, train
from cryomix.fitting.inference import infer_latents
from cryomix.fitting.left_out_rings import AS_GIVEN, left_out_scores, surely_better
from cryomix.fitting.pose_prior import PosePrior, fit_pose_prior
from cryomix.fitting.pose_refinement import (
    PoseFit,
    correction_between,
    join_fits,
    refine_poses,
)
from cryomix.fitting.posterior import Prior, fit_prior
from cryomix.fitting.preparation import PreparedParticles
from cryomix.fitting.score import score_projections
from cryomix.fitting.trained_model import TrainedModel
from cryomix.geometry.poses import Poses
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.particles import Particles
from cryomix.imaging.projection import project_gaussians
from cryomix.options import TrainingOptions

_MOST_ROUNDS = 10
_PATIENCE = 2  # rounds in a row that are not surely better end the search
_FIRST_EPOCHS, _FURTHER_EPOCHS = 5, 3  # of each training between refinements
_START_DEG, _START_PX = 5.0, 2.0  # errors of given poses before any were measured; wide is safe
_BLURRED = 0.25  # shift errors of more than this share of the finest detail blur it
_SAMPLE = 1000  # particles of which the first width is measured
_JUDGED = 1000  # held-out particles at most
_BATCH = {"cpu": 64, "cuda": 512}

Counting = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


@dataclass(frozen=True, slots=True)
class PoseRound:
    """One line of the table of rounds; round 0 is the poses as they were given.

    Attributes
    ----------
    left_out_score
        Nats per particle, over an empty image, of rings from which neither pose nor latent was
        refined, of particles on which no network was trained.
    score
        Of all particles and all rings, which also rewards what is fitted to noise.
    turned_deg, shifted
        Median change of rotation and shift (Å) since the round before.
    prior_deg, prior_shift
        Standard deviation of the errors of the given poses along each axis, as measured.
    """

    number: int
    left_out_score: float
    score: float
    turned_deg: float
    shifted: float
    prior_deg: float
    prior_shift: float


@dataclass(frozen=True, slots=True)
class PoseState:
    """All that the next round depends on.

    Attributes
    ----------
    rounds
        That were made.
    poses, prior
        Of the last round.
    best
        Poses of the best round; those given, until one is surely better.
    best_scores
        Its left-out score of each judged particle.
    model
        Tensors of the networks of the last round; none if they have to be trained anew.
    best_round
        Its number.
    is_settled
        Whether the last round was the last.
    """

    rounds: tuple[PoseRound, ...]
    poses: Poses
    prior: PosePrior
    best: Poses
    best_scores: Float[Tensor, "judged"]
    model: dict[str, Tensor]
    best_round: int = 0
    is_settled: bool = False


def refine_in_rounds(
    model: TrainedModel,
    particles: Particles,
    latent: Float[Tensor, "particles latent"],
    options: TrainingOptions,
    *,
    state: PoseState | None,
    save: Callable[[PoseState], None],
    counting: Counting,
) -> PoseState:
    """Refine the poses of all particles, train on them, and so on, until that settles.

    Networks that were trained at wrong poses have learned the errors: latents then stand for
    shifts of the whole molecule. So where given shifts blur the finest detail, they are first
    found against the neutral model, which has no such latents, and new networks are
    trained. Only then do poses and latents move together.

    A round counts if its left-out score is surely better than the best before. The second in a
    row that is not ends the search; what is returned has the poses of the best round, which may
    be the given ones.

    Parameters
    ----------
    model, latent
        Trained at the poses of `particles`, and what it made of them.
    options
        Of that training.
    state
        Where to go on.
    save
        Receives the state after each round.
    counting
        Shows how far something has come.
    """
    judged = split_particles(particles.image, options)[1][:_JUDGED]
    given = _prepare(model, particles, options)
    if state is None:
        state = _first_state(model, given, latent, judged, counting)
        save(state)
    while not state.is_settled:
        placed = replace(particles, poses=state.poses)
        prepared = given
        if len(state.rounds) > 1 or not state.model:
            model = _train(model, placed, options, state, counting)
            prepared = _prepare(model, placed, options)
            with counting("latents refined") as report:
                latent = infer_latents(model, prepared, options.posterior_steps, report).latent
        search = _Search(model, particles.poses, latent, state.prior, fit_prior(latent))
        everyone = torch.arange(len(particles))
        with counting("poses refined") as report:
            fit = search.refine(prepared, everyone, report)
        prior = fit_pose_prior(fit.information, fit.pull, state.prior)
        scores = replace(search, prior=prior).judge(given, judged)
        state = _next_state(state, fit, prior, scores, model.tensors())
        save(state)
    return state


def _first_state(
    model: TrainedModel,
    given: PreparedParticles,
    latent: Float[Tensor, "particles latent"],
    judged: Int64[Tensor, "judged"],
    counting: Counting,
) -> PoseState:
    """The given poses, and shifts against the neutral model where these are needed."""
    particles, everyone = given.particles, torch.arange(len(given))
    as_given = _Search(model, particles.poses, latent, AS_GIVEN, fit_prior(latent))
    scores = as_given.judge(given, judged)
    first = PoseRound(
        0, float(scores.mean()), as_given.score(given, everyone), 0.0, 0.0, math.nan, math.nan
    )
    start = PosePrior(math.radians(_START_DEG), _START_PX * particles.pixel_size)
    search = _Search(model, particles.poses, torch.zeros_like(latent), start, None)
    sample = everyone[:: max(1, len(everyone) // _SAMPLE)]
    found = search.refine(given, sample)
    measured = fit_pose_prior(found.information, found.pull, start)
    if measured.shift <= _BLURRED * model.settings.resolution:
        state = PoseState((first,), particles.poses, start, particles.poses, scores, {})
        return replace(state, model=model.tensors())
    with counting("shifts found") as report:
        found = search.refine(given, everyone, report)
    # Rotations against a molecule of another conformation are biased; shifts hardly are.
    poses = Poses(particles.poses.rotation, found.poses.shift)
    return PoseState((first,), poses, start, particles.poses, scores, {})


@dataclass(frozen=True, slots=True)
class _Search:
    """Poses that are refined about given ones, batch by batch, on the device of the model."""

    model: TrainedModel
    given: Poses
    latent: Float[Tensor, "particles latent"]
    prior: PosePrior
    latent_prior: Prior | None

    @torch.no_grad()
    def refine(
        self,
        prepared: PreparedParticles,
        index: Int64[Tensor, "chosen"],
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> PoseFit:
        """Of the particles at `index`, from the poses that they have in `prepared`; on the CPU."""
        parts, found = self._parts(index), []
        device = self.model.device
        latent_prior = None if self.latent_prior is None else self.latent_prior.to(device)
        for part, batch in zip(parts, prepared.batches(parts), strict=True):
            fit = refine_poses(
                self.model, batch.particles, self.model.likelihood, self.given[part].to(device),
                self.latent[part].to(device), self.prior, latent_prior,
            )  # fmt: skip
            if latent_prior is not None:
                decoded = self.model.decode(fit.latent)
                fit = fit.moved(core_motion(self.model.decoder.neutral, decoded))
            found.append(fit.cpu())
            report(sum(len(fit.poses) for fit in found), len(index))
        return join_fits(found)

    def judge(
        self, given: PreparedParticles, index: Int64[Tensor, "judged"]
    ) -> Float[Tensor, "judged"]:
        """Left-out scores of the particles at `index`, from their given poses."""
        if self.latent_prior is None:
            raise ValueError("latents must be free to be judged")
        parts, scores = self._parts(index), []
        device = self.model.device
        for part, batch in zip(parts, given.batches(parts), strict=True):
            latent = self.latent[part].to(device)
            prior = self.latent_prior.to(device)
            score = left_out_scores(self.model, batch.particles, latent, self.prior, prior)
            scores.append(score.cpu())
        return torch.cat(scores)

    @torch.no_grad()
    def score(self, prepared: PreparedParticles, index: Int64[Tensor, "chosen"]) -> float:
        """Mean log-likelihood at the poses in `prepared`, nats."""
        parts, total = self._parts(index), 0.0
        metric = self.model.likelihood
        for part, batch in zip(parts, prepared.batches(parts), strict=True):
            shown = self.model.decode(self.latent[part].to(self.model.device))
            projection = project_gaussians(shown, batch.particles.poses, metric.grid)
            total += float(score_projections(projection, batch.particles, metric).sum())
        return total / len(index)

    def _parts(self, index: Int64[Tensor, "chosen"]) -> tuple[Int64[Tensor, "_"], ...]:
        return index.split(_BATCH.get(self.model.device.type, 64))


def _prepare(
    model: TrainedModel, particles: Particles, options: TrainingOptions
) -> PreparedParticles:
    memory = options.memory_gb * 1e9 / 2  # the given poses and the present ones are held at once
    return PreparedParticles(particles, model.decoder, model.metric, memory_bytes=memory)


def _train(
    model: TrainedModel,
    particles: Particles,
    options: TrainingOptions,
    state: PoseState,
    counting: Counting,
) -> TrainedModel:
    """Networks at the poses of `particles`: those of `state` further, or new ones."""
    settings = model.settings
    epochs = _FURTHER_EPOCHS if state.model else _FIRST_EPOCHS
    options = replace(options, epochs=min(epochs, options.epochs))
    neutral = model.decoder.neutral
    neutral = GaussianModel(neutral.center.cpu(), neutral.amplitude.cpu(), neutral.width.cpu())
    everything = torch.ones(settings.groups, len(neutral))
    # Noise and signal are measured anew, as these poses show them.
    trained = build_model(
        particles, neutral, settings.base_width, settings.resolution, options, everything
    )
    kept = model.decoder.state_dict()
    varying = {name: value for name, value in kept.items() if name.split(".")[-1] == "varying"}
    trained.decoder.load_state_dict(varying, strict=False)
    further = None
    if state.model:
        trained.load(state.model)
        further = further_state(trained, particles.image, options)
    trained.to(model.device, options.precision)
    prepared = _prepare(trained, particles, options)
    with counting("particles trained on") as report:
        train(trained, prepared, options, state=further, save=lambda _: None, report=report)
    return trained


def _next_state(
    state: PoseState,
    fit: PoseFit,
    prior: PosePrior,
    scores: Float[Tensor, "judged"],
    model: dict[str, Tensor],
) -> PoseState:
    change = correction_between(state.poses, fit.poses)
    done = PoseRound(
        len(state.rounds),
        float(scores.mean()),
        float(fit.likelihood.mean()),
        math.degrees(float(change[:, :3].norm(dim=1).median())),
        float(change[:, 3:].norm(dim=1).median()),
        math.degrees(prior.rotation_rad),
        prior.shift,
    )
    rounds = (*state.rounds, done)
    if not surely_better(scores, state.best_scores):
        settled = done.number - state.best_round >= _PATIENCE or done.number >= _MOST_ROUNDS
        return replace(
            state, rounds=rounds, poses=fit.poses, prior=prior, model=model, is_settled=settled
        )
    return PoseState(
        rounds,
        fit.poses,
        prior,
        fit.poses,
        scores,
        model,
        best_round=done.number,
        is_settled=done.number >= _MOST_ROUNDS,
    )
