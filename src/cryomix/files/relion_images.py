"""The images of a RELION file, on one grid even where optics groups differ in pixel or box size."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from cryomix.errors import BoxMismatchError
from cryomix.files.image_names import open_images
from cryomix.files.mrc import MrcStack
from cryomix.files.relion_table import RelionTable
from cryomix.files.sampled_images import SampledImages, put_on_one_grid


def open_on_one_grid(
    table: RelionTable,
    pixel_size: Float[np.ndarray, "particles"],
    *,
    source: Path,
    data_folder: Path | None,
) -> SampledImages:
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
    return put_on_one_grid(stack, pixel_size, table.path, table.place_of)


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
