"""The images of a RELION file, on one grid even where optics groups differ in pixel or box size."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64

from cryomix.errors import BoxMismatchError, DataWarning
from cryomix.files.image_names import open_images
from cryomix.files.mrc import MrcStack
from cryomix.files.relion_table import RelionTable
from cryomix.geometry.fourier import FourierGrid
from cryomix.imaging.common_grid import CommonGridStack, find_grids
from cryomix.imaging.particles import ImageStack


@dataclass(frozen=True, slots=True)
class RelionImages:
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


def open_on_one_grid(
    table: RelionTable,
    pixel_size: Float[np.ndarray, "particles"],
    *,
    source: Path,
    data_folder: Path | None,
) -> RelionImages:
    """The images; where pixel or box sizes differ, on the grid that most of them have.

    Parameters
    ----------
    table
        Of the particles.
    pixel_size
        Å, of each.
    source
        The file beside which stacks lie.
    data_folder
        Where they are looked for first; see `open_images`.

    Raises
    ------
    InputFileError
        As `open_images`.
    BoxMismatchError
        If stacks have another box size than the file says.

    Warns
    -----
    DataWarning
        If there are several pixel or box sizes, or the stacks claim another pixel size.
    """
    names = table.particles.column("rlnImageName")
    stack = open_images(names, source, data_folder, several_boxes=True)
    _require_box(table, stack)
    _warn_of_headers(table.path, stack, pixel_size)
    grids, own = find_grids(torch.from_numpy(stack.box_sizes), torch.from_numpy(pixel_size))
    if len(grids) == 1:
        return RelionImages(stack, grids[0], None, stack.first_of_each())
    images = CommonGridStack(stack, grids, own)
    limit = images.finest if images.finest > 2.001 * images.grid.pixel_size else None
    _warn_of_grids(table, images, limit)
    return RelionImages(images, images.grid, limit, stack.first_of_each())


def _require_box(table: RelionTable, stack: MrcStack) -> None:
    if not table.has("rlnImageSize"):
        return
    said = table.numbers["rlnImageSize"]
    other = np.flatnonzero(said != stack.box_sizes)
    if len(other):
        row = int(other[0])
        raise BoxMismatchError(
            f"{table.path}: _rlnImageSize is {said[row]:g} px "
            f"but the images of {stack.file_of(row)} have {stack.box_sizes[row]} px"
        )


def _warn_of_grids(table: RelionTable, images: CommonGridStack, limit: float | None) -> None:
    rows = images.rows_by_grid()
    parts = [
        f"{len(row)} of {grid.box_size} px of {grid.pixel_size:g} Å ({table.place_of(int(row[0]))})"
        for row, grid in zip(rows, images.grids, strict=True)
    ]
    text = f"{table.path}: images of several pixel or box sizes are put on the grid of the first: "
    text += ", ".join(parts)
    if limit is not None:
        text += f"; detail finer than {limit:g} Å, which not all hold, is set aside"
    warnings.warn(text, DataWarning, stacklevel=4)


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
            stacklevel=4,
        )
