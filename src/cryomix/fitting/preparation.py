"""Particles ready for training: transformed, and with the encoder's input beside them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from cryomix.fitting.gradients import neutral_gradient
from cryomix.fitting.networks import Decoder
from cryomix.fitting.score import Metric
from cryomix.imaging.particles import ParticleBatch, Particles, read_batch


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """A batch, the gradient of its scores at the neutral model, and these scores."""

    particles: ParticleBatch
    gradient: Float[Tensor, "batch gaussians 5"]
    neutral_score: Float[Tensor, "batch"]

    def __len__(self) -> int:
        return len(self.particles)

    def __getitem__(self, chosen: slice | Tensor) -> "PreparedBatch":
        return PreparedBatch(
            self.particles[chosen], self.gradient[chosen], self.neutral_score[chosen]
        )


class PreparedParticles:
    """Prepared batches of a particle set, kept in memory if all of them fit in `memory_bytes`.

    A batch is the same whether it was kept or is made anew.
    """

    def __init__(
        self,
        particles: Particles,
        decoder: Decoder,
        metric: Metric,
        *,
        memory_bytes: float,
        report: Callable[[int, int], None],
    ) -> None:
        self.particles = particles
        self.decoder = decoder
        self.metric = metric
        self._kept: PreparedBatch | None = None
        grid = metric.grid
        each = 12 * grid.box_size * grid.half_size + 20 * len(decoder.neutral)
        if each * len(particles) <= memory_bytes:
            self._kept = self._prepare_all(report)

    def __len__(self) -> int:
        return len(self.particles)

    def batch(self, index: Int64[Tensor, "batch"]) -> PreparedBatch:
        """The particles at `index`."""
        return self._make(index) if self._kept is None else self._kept[index]

    def _make(self, index: Int64[Tensor, "batch"]) -> PreparedBatch:
        batch = read_batch(self.particles, index, self.metric.grid)
        return PreparedBatch(batch, *neutral_gradient(self.decoder, batch, self.metric))

    def _prepare_all(self, report: Callable[[int, int], None]) -> PreparedBatch:
        first = self._make(torch.arange(1))
        kept = _room_for(first, len(self))
        for index in torch.arange(len(self)).split(128):
            part = self._make(index)
            for whole, values in zip(_tensors(kept), _tensors(part), strict=True):
                whole[index] = values
            report(int(index[-1]) + 1, len(self))
        return kept


def _tensors(batch: PreparedBatch) -> list[Tensor]:
    inner = batch.particles
    return [
        inner.image_ft, inner.transfer, inner.poses.rotation, inner.poses.shift, inner.index,
        batch.gradient, batch.neutral_score,
    ]  # fmt: skip


def _room_for(one: PreparedBatch, count: int) -> PreparedBatch:
    image_ft, transfer, rotation, shift, index, gradient, score = (
        values.new_empty((count, *values.shape[1:])) for values in _tensors(one)
    )
    poses = type(one.particles.poses)(rotation, shift)
    return PreparedBatch(ParticleBatch(image_ft, transfer, poses, index), gradient, score)
