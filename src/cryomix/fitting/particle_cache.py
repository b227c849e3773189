"""Prepared particles in half precision, kept as far as a limit of memory allows."""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Float16, Int64
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid


@dataclass(frozen=True, slots=True)
class CompactBatch:
    """What is kept of some particles.

    Attributes
    ----------
    image
        Real and imaginary part of the coefficients in the band, in units of the box size: white
        noise of variance 1 is then of order 1, and nothing reaches the limit of the numbers.
    gradient
        The encoder's input, in units of `gradient_scale`.
    gradient_scale
        Largest component of the gradient along x, y, z, amplitude and width.
    neutral_score
        Of the neutral model.
    """

    image: Float16[Tensor, "batch coefficients 2"]
    gradient: Float16[Tensor, "batch gaussians 5"]
    gradient_scale: Float[Tensor, "batch 5"]
    neutral_score: Float[Tensor, "batch"]

    def __len__(self) -> int:
        return len(self.neutral_score)


class ParticleCache:
    """Particles that were put in once and stay; once it is full, others are passed over.

    Parameters
    ----------
    count
        Particles there are.
    coefficients, gaussians
        Sizes of a particle.
    memory_bytes
        No more than this is taken, and only as the cache fills.
    device
        Where the particles are kept.
    """

    def __init__(
        self,
        count: int,
        coefficients: int,
        gaussians: int,
        memory_bytes: float,
        device: torch.device,
    ) -> None:
        each = 4 * coefficients + 10 * gaussians + 24
        self.capacity = min(count, int(memory_bytes // each))
        self._kept = _room_for(self.capacity, coefficients, gaussians, device)
        self._slot = torch.full((count,), -1)
        self._filled = 0

    def __len__(self) -> int:
        """How many particles are kept."""
        return self._filled

    def missing(self, index: Int64[Tensor, "batch"]) -> Int64[Tensor, "missing"]:
        """Those that are not kept, ascending, each once."""
        return index[self._slot[index] < 0].unique()

    def keep(self, index: Int64[Tensor, "made"], made: CompactBatch) -> None:
        """Put in those particles at `index`, each there once, that are new and have room."""
        new = (self._slot[index] < 0).nonzero()[:, 0][: self.capacity - self._filled]
        start, stop = self._filled, self._filled + len(new)
        for room, values in zip(_tensors(self._kept), _tensors(made), strict=True):
            room[start:stop] = values[new.to(values.device)]
        self._slot[index[new]] = torch.arange(start, stop)
        self._filled = stop

    def gather(
        self, index: Int64[Tensor, "batch"], made_index: Int64[Tensor, "made"], made: CompactBatch
    ) -> CompactBatch:
        """The particles at `index`, each from the cache or else from `made`.

        Parameters
        ----------
        index
            In any order, with repetitions if need be.
        made_index
            Which particles `made` holds, ascending; all that are not kept must be there.
        made
            Newly prepared particles.
        """
        slot = self._slot[index]
        kept, other = (slot >= 0).nonzero()[:, 0], (slot < 0).nonzero()[:, 0]
        place = torch.searchsorted(made_index, index[other])
        return CompactBatch(
            *(
                _assemble(room, slot[kept], kept, values, place, other)
                for room, values in zip(_tensors(self._kept), _tensors(made), strict=True)
            )
        )


def compress(
    image: Float16[Tensor, "batch coefficients 2"],
    gradient: Float[Tensor, "batch gaussians 5"],
    neutral_score: Float[Tensor, "batch"],
) -> CompactBatch:
    """Particles as they are kept; see `compress_image` for the first."""
    scale = gradient.abs().amax(1).clamp_min(torch.finfo(torch.float32).tiny)
    return CompactBatch(image, (gradient / scale[:, None]).half(), scale, neutral_score)


def expand_gradient(compact: CompactBatch) -> Float[Tensor, "batch gaussians 5"]:
    """The encoder's input in single precision."""
    return compact.gradient.float() * compact.gradient_scale[:, None]


def compress_image(
    image_ft: Complex[Tensor, "batch rows columns"], band: Int64[Tensor, "coefficients"]
) -> Float16[Tensor, "batch coefficients 2"]:
    """The coefficients at `band` of the flattened half planes, in units of the box size."""
    chosen = image_ft.flatten(1).index_select(1, band)
    return (torch.view_as_real(chosen) / image_ft.shape[1]).half()


def expand_image(
    image: Float16[Tensor, "batch coefficients 2"],
    band: Int64[Tensor, "coefficients"],
    grid: FourierGrid,
) -> Complex[Tensor, "batch rows columns"]:
    """Half planes that are zero outside `band`."""
    chosen = torch.view_as_complex(image.float() * grid.box_size)
    shape = (len(image), grid.box_size * grid.half_size)
    flat = torch.zeros(shape, dtype=chosen.dtype, device=chosen.device)
    flat.index_copy_(1, band, chosen)
    return flat.unflatten(1, (grid.box_size, grid.half_size))


def empty_batch(coefficients: int, gaussians: int, device: torch.device) -> CompactBatch:
    """No particles, of a given size."""
    return _room_for(0, coefficients, gaussians, device)


def _room_for(count: int, coefficients: int, gaussians: int, device: torch.device) -> CompactBatch:
    return CompactBatch(
        torch.empty(count, coefficients, 2, dtype=torch.float16, device=device),
        torch.empty(count, gaussians, 5, dtype=torch.float16, device=device),
        torch.empty(count, 5, device=device),
        torch.empty(count, device=device),
    )


def _tensors(batch: CompactBatch) -> tuple[Tensor, ...]:
    return batch.image, batch.gradient, batch.gradient_scale, batch.neutral_score


def _assemble(
    room: Tensor, slot: Tensor, kept: Tensor, values: Tensor, place: Tensor, other: Tensor
) -> Tensor:
    def move(index: Tensor) -> Tensor:
        return index.to(room.device, non_blocking=True)

    if not len(other):
        return room.index_select(0, move(slot))
    whole = room.new_empty((len(kept) + len(other), *room.shape[1:]))
    whole[move(kept)] = room.index_select(0, move(slot))
    whole[move(other)] = values.index_select(0, move(place))
    return whole
