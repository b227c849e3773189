"""What stacks of any format do alike with the sections of their files."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int, Int64
from torch import Tensor

from cryomix.errors import InputFileError


def first_of_each(
    file: Int64[np.ndarray, "images"], section: Int64[np.ndarray, "images"]
) -> Int64[np.ndarray, "images"]:
    """Index of the first image that is the same section of the same file."""
    place = file * (int(section.max(initial=0)) + 1) + section
    _, first, number = np.unique(place, return_index=True, return_inverse=True)
    return first[number]


def require_finite(
    images: Float[Tensor, "batch n n"], index: Int[Tensor, "batch"], name: Callable[[int], str]
) -> None:
    """Refuse pixels that are not numbers.

    Raises
    ------
    InputFileError
        With the `name` of the first such image.
    """
    unusable = np.flatnonzero(~np.isfinite(images.numpy()).all(axis=(1, 2)))
    if len(unusable):
        image = int(index[int(unusable[0])])
        raise InputFileError(f"{name(image)}: pixels must be finite, got NaN or infinity")
