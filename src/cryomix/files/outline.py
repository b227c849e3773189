"""Outlines drawn over the particles: corners of a polygon, as a viewer or a person writes them."""

import json
from pathlib import Path

import numpy as np
from jaxtyping import Float

from cryomix.errors import CheckpointError, InputFileError
from cryomix.files.checkpoint import read_array, read_number_rows


def read_outline(path: Path) -> Float[np.ndarray, "corners 2"]:
    """Corners of a polygon, one per row.

    Parameters
    ----------
    path
        .json with a list of pairs, .npy, or a .csv table of which row 1 may be names.

    Raises
    ------
    InputFileError
        If the file is missing, or does not hold at least three pairs of finite numbers.
    """
    try:
        corners = _read_corners(path)
    except FileNotFoundError as error:
        raise InputFileError(f"{path}: there is no such file") from error
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except CheckpointError as error:
        raise InputFileError(str(error)) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise InputFileError(f"{path}: must be a list of pairs of numbers: {error}") from error
    shape = corners.shape
    if len(shape) != 2 or shape[1] != 2 or shape[0] < 3 or corners.dtype.kind not in "fiu":
        raise InputFileError(
            f"{path}: an outline must be at least three pairs of numbers, got {corners.dtype} of "
            f"shape {shape}"
        )
    if not np.isfinite(corners.astype(np.float64)).all():
        raise InputFileError(f"{path}: corners of an outline must be finite")
    return corners.astype(np.float64)


def _read_corners(path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.generic]]":
    if path.suffix == ".json":
        return np.array(json.loads(path.read_text()), np.float64)
    return read_array(path) if path.suffix == ".npy" else read_number_rows(path)
