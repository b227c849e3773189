"""Gaussian models as text, as EMAN2's e2gmm programs read and write them."""

import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from cryomix.errors import CheckpointError
from cryomix.files.atomic import write_atomically
from cryomix.imaging.gaussians import GaussianModel

_COLUMNS = 5  # x y z amplitude width
_MOST_BYTES = 2**26
# The box is one long, and the frame that of the map turned by 180° about x.
_FRAME = np.array([1.0, -1.0, -1.0])
# Their transform falls as exp(−0.001 w k²), k in Fourier pixels; ours as exp(−2π²σ²(k / box)²).
_SIGMA_OF_UNIT_WIDTH = math.sqrt(0.001 / 2) / math.pi


def read_gaussian_text(path: Path, box_length: float) -> GaussianModel:
    """The Gaussians of a text model that can be seen, those of positive amplitude.

    A row is x, y, z, amplitude, width. What they project is amplitude² · exp(−0.001 width · k²),
    as in e2gmm_refine_new and _jax: the amplitude is the root of a mass, the width a square in
    units of the box. Our amplitudes are to the same scale, which has no meaning.

    Parameters
    ----------
    path
        Text; lines that begin with ``#`` are passed over.
    box_length
        Edge of the box that the model is in, Å.

    Raises
    ------
    CheckpointError
        If the file cannot be read, a row is not of five finite numbers, a width is negative or a
        centre out of the box, or no amplitude is positive.
    """
    table = _read_table(path)
    table = table[table[:, 3] > 0]
    if not len(table):
        raise CheckpointError(f"{path}: a Gaussian must have a positive amplitude, but none has")
    if np.abs(table[:, :3]).max() >= 0.5:
        raise CheckpointError(
            f"{path}: centres must be between -0.5 and 0.5 of the box, got "
            f"{np.abs(table[:, :3]).max():g}"
        )
    if not (table[:, 4] > 0).all():
        raise CheckpointError(f"{path}: widths must be positive, got {table[:, 4].min():g}")
    width = _SIGMA_OF_UNIT_WIDTH * box_length * np.sqrt(table[:, 4])
    amplitude = np.square(table[:, 3]) / width**3
    columns = (table[:, :3] * _FRAME * box_length, amplitude / amplitude.max(), width)
    return GaussianModel(*(torch.from_numpy(column).float() for column in columns))


def write_gaussian_text(path: Path, model: GaussianModel, box_length: float) -> None:
    """Write one model so that `read_gaussian_text` gives it back, up to the scale of amplitudes.

    The largest amplitude is 1, as theirs is.
    """
    width = model.width.detach().double().numpy()
    mass = model.amplitude.detach().double().numpy() * width**3
    heaviest = mass.max()
    table = np.column_stack(
        [
            model.center.detach().double().numpy() * _FRAME / box_length,
            np.sqrt(mass / (heaviest if heaviest > 0 else 1.0)),
            np.square(width / (_SIGMA_OF_UNIT_WIDTH * box_length)),
        ]
    )
    lines = ("\t".join(f"{number:.9g}" for number in row) + "\n" for row in table.tolist())
    with write_atomically(path) as file:
        file.write("".join(lines).encode())


def _read_table(path: Path) -> Float[np.ndarray, "rows 5"]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise CheckpointError(f"{path}: must have at most {_MOST_BYTES} bytes")
        lines = path.read_text().splitlines()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: not a text of numbers: {error}") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            row = [float(word) for word in words]
        except ValueError:
            row = []
        if len(row) != _COLUMNS or not np.isfinite(row).all():
            raise CheckpointError(
                f"{path}: line {number} must hold x, y, z, amplitude and width of a Gaussian, "
                f"five finite numbers, got {line[:40]!r}"
            )
        rows.append(row)
    return np.array(rows, np.float64).reshape(-1, _COLUMNS)
