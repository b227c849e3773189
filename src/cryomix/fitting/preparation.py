"""Particles ready for training: transformed, and with the encoder's input beside them."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from cryomix.fitting.gradients import neutral_gradient
from cryomix.fitting.networks import Decoder
from cryomix.fitting.particle_cache import (
    CompactBatch,
    ParticleCache,
    compress,
    compress_image,
    empty_batch,
    expand_gradient,
    expand_image,
)
from cryomix.fitting.score import Metric
from cryomix.imaging.particles import ParticleBatch, Particles, make_batch, with_transfer

_READ_AHEAD = 2  # batches


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
    """Prepared batches of a particle set; what was made once is kept, up to `memory_bytes`.

    Images hold only what the metric compares, and images and gradients are rounded to half
    precision whether they are kept or not: on one processor, a batch is bit for bit the same
    however much is kept, and in whichever batches its particles were asked for before.

    Parameters
    ----------
    particles
        Images may lie on disk.
    decoder, metric
        The neutral model and the score. Batches come on the device of the metric.
    memory_bytes
        Of that device.
    """

    def __init__(
        self,
        particles: Particles,
        decoder: Decoder,
        metric: Metric,
        *,
        memory_bytes: float,
    ) -> None:
        self.particles = particles
        self.decoder = decoder
        self.metric = metric
        self._device = metric.weight.device
        ring = metric.grid.ring.flatten()
        inside = (ring >= metric.first_ring) & (ring <= metric.last_ring)
        self._band = inside.nonzero()[:, 0].to(self._device)
        sizes = (len(self._band), len(decoder.neutral))
        self._nothing = empty_batch(*sizes, self._device)
        self._cache = ParticleCache(len(particles), *sizes, memory_bytes, self._device)

    def __len__(self) -> int:
        return len(self.particles)

    def batch(self, index: Int64[Tensor, "batch"]) -> PreparedBatch:
        """The particles at `index`."""
        return self._prepare(self._read(index))

    def batches(self, order: Iterable[Int64[Tensor, "_"]]) -> Iterator[PreparedBatch]:
        """The particles at each index of `order`.

        While one batch is used, a second thread reads the images of the next two. What it fails
        with is raised here. It ends with the iterator.
        """
        waiting = iter(order)
        ahead: deque[Future[_Reading]] = deque()
        reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="particle reader")
        try:
            while True:
                for index in islice(waiting, _READ_AHEAD + 1 - len(ahead)):
                    ahead.append(reader.submit(self._read, index))
                if not ahead:
                    return
                yield self._prepare(ahead.popleft().result())
        finally:
            reader.shutdown(wait=True, cancel_futures=True)

    def _read(self, index: Int64[Tensor, "batch"]) -> "_Reading":
        # What is missing now may be kept when its turn comes, but never the other way round.
        missing = self._cache.missing(index)
        image = None
        if len(missing):
            image = self.particles.images.read(missing)
            image = image.pin_memory() if self._device.type == "cuda" else image
        return _Reading(index, missing, image)

    @torch.no_grad()
    def _prepare(self, reading: "_Reading") -> PreparedBatch:
        made = self._nothing
        if reading.image is not None:
            made = self._make(reading.missing, reading.image.to(self._device, non_blocking=True))
            self._cache.keep(reading.missing, made)
        compact = self._cache.gather(reading.index, reading.missing, made)
        image_ft = expand_image(compact.image, self._band, self.metric.grid)
        batch = with_transfer(self.particles, reading.index, image_ft, self.metric.grid)
        return PreparedBatch(batch, expand_gradient(compact), compact.neutral_score)

    def _make(self, index: Int64[Tensor, "made"], image: Float[Tensor, "made n n"]) -> CompactBatch:
        grid = self.metric.grid
        # Libraries treat a batch of one apart, and round its transform in another way.
        repeated = [2] if len(index) == 1 else [1]
        batch = make_batch(
            self.particles, index.repeat(repeated), image.repeat(*repeated, 1, 1), grid
        )
        kept = compress_image(batch.image_ft, self._band)
        rounded = ParticleBatch(
            expand_image(kept, self._band, grid), batch.transfer, batch.poses, batch.index
        )
        gradient, score = neutral_gradient(self.decoder, rounded, self.metric)
        count = len(index)
        return compress(kept[:count], gradient[:count], score[:count])


@dataclass(frozen=True, slots=True)
class _Reading:
    index: Int64[Tensor, "batch"]
    missing: Int64[Tensor, "missing"]
    image: Float[Tensor, "missing n n"] | None
