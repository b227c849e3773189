"""Images on one grid, even where they differ in pixel or box size."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64

from cryomix.errors import DataWarning
from cryomix.files.mrc import MrcStack
from cryomix.geometry.fourier import FourierGrid
from cryomix.imaging.common_grid import CommonGridStack, find_grids
from cryomix.imaging.particles import ImageStack


@dataclass(frozen=True, slots=True)
class SampledImages:
    """Images of one sampling.

    Attributes
    ----------
    stack
        As stored, or put on one grid.
    grid
        Their sampling.
    limit
        Finest detail that all hold, Å, where that is coarser than two pixels of `grid`.
    first_of_each
        The first row that shows the image of each row.
    """

    stack: ImageStack
    grid: FourierGrid
    limit: float | None
    first_of_each: Int64[np.ndarray, "particles"]


def put_on_one_grid(
    stack: MrcStack,
    pixel_size: Float[np.ndarray, "particles"],
    path: Path,
    place_of: Callable[[int], str],
) -> SampledImages:
    """The images; where pixel or box sizes differ, on the grid that most of them have.

    Parameters
    ----------
    stack
        As stored.
    pixel_size
        Å, of each.
    path
        The metadata file, for messages.
    place_of
        What a message says of a particle: its row, or the group that shares its pixel size.

    Warns
    -----
    DataWarning
        If there are several pixel or box sizes, or the stacks claim another pixel size.
    """
    _warn_of_headers(path, stack, pixel_size)
    grids, own = find_grids(torch.from_numpy(stack.box_sizes), torch.from_numpy(pixel_size))
    if len(grids) == 1:
        return SampledImages(stack, grids[0], None, stack.first_of_each())
    images = CommonGridStack(stack, grids, own)
    limit = images.finest if images.finest > 2.001 * images.grid.pixel_size else None
    _warn_of_grids(path, place_of, images, limit)
    return SampledImages(images, images.grid, limit, stack.first_of_each())


def _warn_of_grids(
    path: Path, place_of: Callable[[int], str], images: CommonGridStack, limit: float | None
) -> None:
    rows = images.rows_by_grid()
    parts = [
        f"{len(row)} of {grid.box_size} px of {grid.pixel_size:g} Å ({place_of(int(row[0]))})"
        for row, grid in zip(rows, images.grids, strict=True)
    ]
    text = f"{path}: images of several pixel or box sizes are put on the grid of the first: "
    text += ", ".join(parts)
    if limit is not None:
        text += f"; detail finer than {limit:g} Å, which not all hold, is set aside"
    warnings.warn(text, DataWarning, stacklevel=5)


def _warn_of_headers(
    path: Path, stack: MrcStack, pixel_size: Float[np.ndarray, "particles"]
) -> None:
    differing = [
        (file, size, pixel_size[row])
        for file, size, row in stack.header_pixel_sizes()
        if size not in (0, 1) and abs(size - pixel_size[row]) > 0.01 * pixel_size[row]
    ]
    if differing:
        file, size, used = differing[0]
        more = f" and {len(differing) - 1} more stacks" if len(differing) > 1 else ""
        warnings.warn(
            f"{path}: its pixel size of {used:g} Å is used, although the header of "
            f"{file}{more} says {size:g} Å",
            DataWarning,
            stacklevel=5,
        )
