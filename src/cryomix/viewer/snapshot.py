"""A job as it was when it was read, and the neighbours found among its particles since."""

import asyncio
import secrets

import numpy as np
from jaxtyping import Float

from cryomix.viewer.column_store import ColumnStore
from cryomix.viewer.exploration import Decoding, Exploration
from cryomix.viewer.frames import Asked, Question
from cryomix.viewer.latent_axes import CROWD, Neighborhood

_EVERYONE = ("latent",)  # neighbours in the whole latent space


class Snapshot:
    """One reading of a job.

    Parameters
    ----------
    exploration
        What was read.
    before
        The reading that this one takes the place of. Neighbours in the latent space are kept where
        the latents are the same.

    Attributes
    ----------
    version
        Differs for each reading, those of other servers too.
    columns
        What was read of the columns.
    """

    def __init__(self, exploration: Exploration, before: "Snapshot | None" = None) -> None:
        self.exploration = exploration
        self.version = secrets.randbits(32)
        self.columns = ColumnStore(
            0 if exploration.decoding is None else len(exploration.decoding.latent)
        )
        self._maps: dict[tuple[str, ...], Neighborhood] = {}
        then = before and before.exploration.decoding
        now = exploration.decoding
        if before and then and now and np.array_equal(then.latent, now.latent):
            self._maps = {
                names: found for names, found in before._maps.items() if names == _EVERYONE
            }

    @property
    def decoding(self) -> Decoding:
        """Latents and decoder; a `ValueError` says that there are none yet."""
        if self.exploration.decoding is None:
            raise ValueError("this job has no model yet")
        return self.exploration.decoding

    async def latent(self, question: Question) -> Float[np.ndarray, "latent"]:
        """The latent that a question means; a `ValueError` if there is no such place."""
        decoding = self.decoding
        size = decoding.latent.shape[1]
        if len(question.value) != (size if question.kind is Asked.LATENT else 2):
            raise ValueError(f"{len(question.value)} numbers are no {question.kind.name}")
        if question.kind is Asked.LATENT:
            return question.value
        columns = self.exploration.columns
        if max(question.columns) >= len(columns):
            raise ValueError(f"there are {len(columns)} columns, got {max(question.columns)}")
        names = tuple(columns[number].name for number in question.columns)
        if question.kind is Asked.IN_PLANE and decoding.axes.has(names):
            return decoding.axes.lift(names, question.value)
        if names not in self._maps:
            self._maps[names] = await asyncio.to_thread(self._neighborhood, question.columns)
        near = self._maps[names].nearest(question.value, CROWD)
        mean: Float[np.ndarray, "latent"] = decoding.latent[near].mean(axis=0)
        return mean.astype(np.float32)

    async def everyone(self) -> Neighborhood:
        """Neighbours in the latent space, found at the first call."""
        if _EVERYONE not in self._maps:
            latent = self.decoding.latent
            self._maps[_EVERYONE] = await asyncio.to_thread(Neighborhood, latent)
        return self._maps[_EVERYONE]

    def reach(self, latent: Float[np.ndarray, "latent"]) -> float:
        """How far the particles near a latent reach; NaN before all neighbours are found."""
        found = self._maps.get(_EVERYONE)
        return float("nan") if found is None else found.reach(latent)

    def _neighborhood(self, columns: tuple[int, int]) -> Neighborhood:
        return Neighborhood(
            np.stack(
                [self.columns.values(self.exploration.columns[number]) for number in columns],
                axis=1,
            )
        )
