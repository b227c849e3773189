"""A column of texts of which many are alike: each different one once, and its number per row."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from cryomix.errors import InputFileError

_MOST_TEXTS = 200_000  # which bounds the memory; a million particles have ten thousand micrographs


@dataclass(frozen=True, slots=True)
class TextColumn:
    """Texts by number.

    Attributes
    ----------
    texts
        Each different one.
    number
        Index into `texts` of each row.
    """

    texts: tuple[str, ...]
    number: Int32[np.ndarray, "rows"]


class TextNumbers:
    """Numbers for texts, in the order in which they are met."""

    def __init__(self, path: Path, name: str) -> None:
        self._place = f"{path}: {name}"
        self._known: dict[str, int] = {}

    def of(self, texts: Iterable[str]) -> Int32[np.ndarray, "rows"]:
        """The number of each.

        Raises
        ------
        InputFileError
            If there are more different ones than any grouping has.
        """
        known = self._known
        numbers = np.array([known.setdefault(text, len(known)) for text in texts], np.int32)
        if len(known) > _MOST_TEXTS:
            raise InputFileError(
                f"{self._place} must hold at most {_MOST_TEXTS} different texts to group "
                f"particles by, got {len(known)} and more"
            )
        return numbers

    def column(self, parts: Sequence[Int32[np.ndarray, "_"]]) -> TextColumn:
        """All of them, of the numbers of all rows."""
        whole = np.concatenate(parts) if len(parts) else np.empty(0, np.int32)
        return TextColumn(tuple(self._known), whole)
