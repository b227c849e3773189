"""Single fields of a cryoSPARC file, read without holding the file in memory."""

from pathlib import Path

import numpy as np
from jaxtyping import Float64, Shaped

from cryomix.files.cryosparc import POSE, vector_to_rotation
from cryomix.files.cryosparc_table import CryosparcTable, read_field, read_fields, read_table
from cryomix.files.text_column import TextColumn, TextNumbers
from cryomix.geometry.poses import rotation_to_euler


def read_column(path: Path, name: str) -> Float64[np.ndarray, "particles"]:
    """One field of one number per particle, of the file or of a passthrough file beside it.

    Raises
    ------
    MissingColumnError
        If there is none of this name.
    InputFileError
        If it does not hold one finite number per particle.
    """
    if name in read_fields(path):
        return _numbers(path, name, 1)[:, 0]
    table = read_table(path, (name,))
    table.require((name,))
    return table.numbers(name)[:, 0]


def read_directions(path: Path) -> Float64[np.ndarray, "particles 2"] | None:
    """Azimuth and tilt from which each particle is seen, degrees, as RELION's rot and tilt.

    None where the file itself has no poses.

    Raises
    ------
    InputFileError
        If the file is malformed, or a pose is not finite.
    """
    if POSE not in read_fields(path):
        return None
    angles = rotation_to_euler(vector_to_rotation(_numbers(path, POSE, 3)))
    return angles[:, :2].numpy()


def read_text_column(path: Path, name: str) -> TextColumn:
    """One field of the file, of texts or of whole numbers, as texts.

    Raises
    ------
    InputFileError
        If the file is malformed, or there are too many different texts.
    """
    numbers = TextNumbers(path, name)
    return numbers.column([numbers.of(_texts(part)) for part in read_field(path, name)])


def columns_of_numbers(path: Path) -> dict[str, bool]:
    """Fields of one value per particle: whether each holds numbers, rather than texts or uids."""
    single = {name: kind for name, kind in read_fields(path).items() if kind.shape == ()}
    # A uid has more digits than a number on a screen or in float32 can have.
    return {name: kind.kind in "fiub" and "uid" not in name for name, kind in single.items()}


def _numbers(path: Path, name: str, width: int) -> Float64[np.ndarray, "particles width"]:
    values = np.concatenate([*read_field(path, name)])
    alone = np.empty(len(values), [(name, values.dtype, values.shape[1:])])
    alone[name] = values
    return CryosparcTable(path, alone, frozenset({name})).numbers(name, width)


def _texts(values: Shaped[np.ndarray, "rows"]) -> list[str]:
    if values.dtype.kind == "S":
        return [text.decode("utf-8", "surrogateescape") for text in values.tolist()]
    return [str(value) for value in values.tolist()]
