"""Latents as the encoder gave them while the particles went by in training."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from cryomix.processes import sum_over_processes


class EncoderEstimates:
    """The newest latent of each particle, at no cost but their memory.

    They are of different weights of the encoder: a particle that came early in an epoch was encoded
    by networks that were almost an epoch younger. For looking at; nothing is computed from them.
    """

    def __init__(self) -> None:
        self._index: list[Int64[Tensor, "_"]] = []
        self._latent: list[Float[Tensor, "_ latent"]] = []

    def add(self, index: Int64[Tensor, "batch"], latent: Float[Tensor, "batch latent"]) -> None:
        """Take the latents of the particles at `index`; they stay on their device till `gather`."""
        self._index.append(index)
        self._latent.append(latent)

    def gather(self, particles: int) -> Float[Tensor, "particles latent"]:
        """Of all `particles`, on the CPU, from every process of the run."""
        taken = torch.cat(self._latent).cpu()
        latent = torch.zeros(particles, taken.shape[1])
        # Batch by batch: of a particle that came by more than once the last latent holds.
        for index, part in zip(
            self._index, taken.split([len(i) for i in self._index]), strict=True
        ):
            latent[index] = part
        sum_over_processes([latent])  # each process gives its rows; the others are zero
        return latent
