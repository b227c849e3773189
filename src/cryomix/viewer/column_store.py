"""Columns that were read, as the page gets them; of the oldest ones only so many are kept."""

import threading
from collections import OrderedDict

import numpy as np
from jaxtyping import Float32

from cryomix.errors import CheckpointError
from cryomix.viewer.exploration import Column, Groups

_KEPT_BYTES = 64_000_000  # sixteen columns of a million particles


class ColumnStore:
    """Reads each column once while there is room for it."""

    def __init__(self, particles: int) -> None:
        self._particles = particles
        self._read: OrderedDict[str, tuple[Float32[np.ndarray, "particles"], tuple[str, ...]]]
        self._read = OrderedDict()
        self._one_at_a_time = threading.Lock()

    def values(self, column: Column) -> Float32[np.ndarray, "particles"]:
        """One number per particle.

        Raises
        ------
        CheckpointError
            If there are more or fewer than particles.
        """
        return self._look_up(column)[0]

    def names(self, column: Column) -> tuple[str, ...]:
        """Names of the groups of a column that has them."""
        return self._look_up(column)[1]

    def _look_up(self, column: Column) -> tuple[Float32[np.ndarray, "particles"], tuple[str, ...]]:
        with self._one_at_a_time:
            if column.name in self._read:
                self._read.move_to_end(column.name)
                return self._read[column.name]
            found = column.read()
            values = np.asarray(found.number if isinstance(found, Groups) else found, np.float32)
            if len(values) != self._particles:
                raise CheckpointError(
                    f"{column.name}: {len(values)} values for {self._particles} particles"
                )
            self._read[column.name] = values, found.names if isinstance(found, Groups) else ()
            while len(self._read) > 1 and self._bytes() > _KEPT_BYTES:
                self._read.popitem(last=False)
            return self._read[column.name]

    def _bytes(self) -> int:
        return sum(values.nbytes for values, _ in self._read.values())
