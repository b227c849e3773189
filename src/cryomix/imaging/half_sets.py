"""One of the two half sets of a particle set, as a particle set of its own."""

from dataclasses import dataclass, replace
from typing import Literal

from jaxtyping import Float, Int, Int64
from torch import Tensor

from cryomix.imaging.particles import ImageStack, Particles

Half = Literal["odd", "even"]

NUMBER: dict[Half, int] = {
    "odd": 1,
    "even": 2,
}  # of the half set: RELION counts rows and half sets from 1


@dataclass(frozen=True, slots=True)
class SelectedImages:
    """Some images of a stack, as a stack."""

    stack: ImageStack
    row: Int64[Tensor, "selected"]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.row)

    def read(self, index: Int[Tensor, "batch"]) -> Float[Tensor, "batch n n"]:
        """Those at `index` among the selected ones."""
        return self.stack.read(self.row[index])


def take_half(particles: Particles, half: Half) -> Particles:
    """The particles of half set 1 (``odd``) or 2 (``even``).

    Within them half sets are taken in turn, 1, 2, 1, 2, so that the maps of one half have half
    maps of their own; copies of one image stay together. `Particles.source_row` still says which
    rows of the file they are.
    """
    row = (particles.half_set == NUMBER[half]).nonzero().flatten()
    number = particles.image[row].unique(return_inverse=True)[1]
    return replace(
        particles,
        images=SelectedImages(particles.images, row),
        poses=particles.poses[row],
        ctf=particles.ctf[row],
        half_set=(1 + number % 2).to(particles.half_set.dtype),
        source_row=particles.source_row[row],
        same_image=None if particles.same_image is None else particles.same_image[row],
    )
