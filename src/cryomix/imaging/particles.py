"""Particle images with their poses and their contrast transfer, read batch by batch."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Complex, Float, Int, Int8, Int64
from torch import Tensor

from cryomix.errors import ResolutionError
from cryomix.geometry.fourier import FourierGrid, crop_fourier, to_fourier
from cryomix.geometry.poses import Poses
from cryomix.imaging.ctf import Ctf, evaluate_ctf

_Placed = TypeVar("_Placed", Poses, Ctf)


@runtime_checkable
class ImageStack(Protocol):
    """Images that may lie on disk."""

    def __len__(self) -> int:
        """Number of images."""
        ...

    def read(self, index: Int[Tensor, "batch"]) -> Float[Tensor, "batch n n"]:
        """The images at `index`, in that order, float32."""
        ...


@dataclass(frozen=True, slots=True)
class Particles:
    """A particle set.

    Attributes
    ----------
    images
        As stored; protein is positive (white).
    poses, ctf
        One each per particle.
    pixel_size
        Å.
    box_size
        Pixels.
    half_set
        1 or 2: the gold-standard halves.
    source_row
        Row of the user's file that each particle came from.
    has_flipped_phases
        Whether the phases of `images` were already flipped.
    same_image
        The first row that shows the image of each particle, where several do, as symmetry
        expansion makes them; None where each shows its own.
    limit
        Finest detail that all images hold, Å, where that is coarser than two pixels because some
        were recorded with larger ones; else None.
    """

    images: ImageStack
    poses: Poses
    ctf: Ctf
    pixel_size: float
    box_size: int
    half_set: Int8[Tensor, "particles"]
    source_row: Int64[Tensor, "particles"]
    has_flipped_phases: bool = False
    same_image: Int64[Tensor, "particles"] | None = None
    limit: float | None = None

    def __post_init__(self) -> None:
        counts = {
            "images": len(self.images), "poses": len(self.poses), "ctf": len(self.ctf),
            "half_set": len(self.half_set), "source_row": len(self.source_row),
        }  # fmt: skip
        if len(set(counts.values())) != 1:
            raise ValueError(f"one of each per particle is needed, got {counts}")

    def __len__(self) -> int:
        return len(self.poses)

    @property
    def image(self) -> Int64[Tensor, "particles"]:
        """A number that only particles of the same image share."""
        return self.source_row if self.same_image is None else self.same_image

    @property
    def grid(self) -> FourierGrid:
        """Sampling of the images."""
        return FourierGrid(self.box_size, self.pixel_size)

    @property
    def finest(self) -> float:
        """Finest detail that the images can hold, Å."""
        return self.limit or 2 * self.pixel_size


@dataclass(frozen=True, slots=True)
class ParticleBatch:
    """Some particles, transformed and ready to be compared with projections.

    Attributes
    ----------
    image_ft
        Mean 0 and variance 1 before the band limit; phases from the centre; CTF still in it.
    transfer
        The contrast transfer that is in `image_ft`: the CTF, or its absolute value where phases
        were flipped already.
    poses
        Of these particles.
    index
        Into `Particles`.
    """

    image_ft: Complex[Tensor, "batch rows columns"]
    transfer: Float[Tensor, "batch rows columns"]
    poses: Poses
    index: Int64[Tensor, "batch"]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, chosen: slice | Tensor) -> "ParticleBatch":
        return ParticleBatch(
            self.image_ft[chosen], self.transfer[chosen], self.poses[chosen], self.index[chosen]
        )


def in_two_halves(particles: Particles, index: Int64[Tensor, "chosen"]) -> Particles:
    """`particles` of which those at `index` are of two half sets: by turns, if they are of one.

    Copies of one image stay in one half set.
    """
    if len(particles.half_set[index].unique()) == 2:
        return particles
    half_set = particles.half_set.clone()
    number = particles.image[index].unique(return_inverse=True)[1]
    half_set[index] = (1 + number % 2).to(half_set)
    return replace(particles, half_set=half_set)


def working_grid(particles: Particles, resolution: float) -> FourierGrid:
    """The smallest even grid whose Nyquist frequency is a quarter beyond `resolution` Å.

    Raises
    ------
    ResolutionError
        If some of the images were recorded with pixels too large for `resolution`.
    """
    if particles.limit is not None and resolution < particles.limit * (1 - 1e-6):
        raise ResolutionError(
            f"resolution {resolution:g} Å: finer than twice the largest pixel of the particles, "
            f"{particles.limit:g} Å; give a coarser one, or leave out the particles of that pixel"
        )
    length = particles.box_size * particles.pixel_size
    needed = 2 * int(-(-1.25 * length // resolution))
    box_size = min(particles.box_size, max(needed, 16))
    return FourierGrid(box_size, length / box_size)


def read_batch(
    particles: Particles, index: Int64[Tensor, "batch"], grid: FourierGrid
) -> ParticleBatch:
    """The particles at `index` on `grid`, whose box must be as long as that of the images."""
    return make_batch(particles, index, particles.images.read(index), grid)


def make_batch(
    particles: Particles,
    index: Int64[Tensor, "batch"],
    image: Float[Tensor, "batch n n"],
    grid: FourierGrid,
) -> ParticleBatch:
    """The particles at `index`, whose images were read already, on the device of `image`."""
    image = image - image.mean(dim=(-2, -1), keepdim=True)
    image = image / image.std(dim=(-2, -1), keepdim=True).clamp_min(1e-20)
    image_ft = crop_fourier(to_fourier(image), grid.box_size)
    return with_transfer(particles, index, image_ft, grid)


def with_transfer(
    particles: Particles,
    index: Int64[Tensor, "batch"],
    image_ft: Complex[Tensor, "batch rows columns"],
    grid: FourierGrid,
) -> ParticleBatch:
    """A batch of images that were transformed already, on their device."""
    device = image_ft.device
    poses = particles.poses[index]
    transfer = evaluate_ctf(_moved(particles.ctf[index], device), grid)
    if particles.has_flipped_phases:
        transfer = transfer.abs()
    return ParticleBatch(image_ft, transfer, _moved(poses, device), index.to(device))


def iterate_batches(
    particles: Particles, grid: FourierGrid, index: Int64[Tensor, "chosen"], batch_size: int
) -> Iterator[ParticleBatch]:
    """The particles at `index`, in that order, `batch_size` at a time."""
    for part in index.split(batch_size):
        yield read_batch(particles, part, grid)


def _moved(item: _Placed, device: torch.device) -> _Placed:
    tensors = (getattr(item, field.name) for field in fields(item))
    return type(item)(*(tensor.to(device) for tensor in tensors))
