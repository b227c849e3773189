"""Noise spectra: one value per ring, as .npz or text."""

import io
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.errors import InputFileError
from cryomix.files.truth import read_arrays


def read_noise_spectrum(path: Path) -> Float[Tensor, "rings"]:
    """Power of the noise from ring 0 to Nyquist, in any unit.

    Parameters
    ----------
    path
        An .npz with one array; or text with one line per ring, whose last column is the power and
        whose first line may name the columns.

    Raises
    ------
    InputFileError
        If the file is missing or malformed, or does not hold positive values for two rings or
        more.
    """
    if path.suffix == ".npz":
        arrays = read_arrays(path, "a noise spectrum")
        if len(arrays) != 1:
            names = ", ".join(arrays)
            raise InputFileError(f"{path}: a noise spectrum must be the only array, got {names}")
        (power,) = arrays.values()
    else:
        power = _read_table(path)
    if power.ndim != 1 or len(power) < 2:
        raise InputFileError(
            f"{path}: a noise spectrum must have one value per ring, got shape {power.shape}"
        )
    bad = np.flatnonzero(~(np.isfinite(power) & (power > 0)))
    if len(bad):
        raise InputFileError(
            f"{path}: noise power must be positive, got {power[bad[0]]:g} in ring {bad[0]}"
        )
    return torch.from_numpy(power.astype(np.float32))


def _read_table(path: Path) -> np.ndarray:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        named = 1 if lines and not _is_numeric(lines[0]) else 0
        text = "\n".join(lines[named:]).replace(",", " ").strip()
        if not text:
            raise InputFileError(f"{path}: a noise spectrum must have rings, got none")
        return np.loadtxt(io.StringIO(text), ndmin=2)[:, -1]
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputFileError(f"{path}: not a noise spectrum: it is no text") from error
    except ValueError as error:
        raise InputFileError(f"{path}: not a noise spectrum: {error}") from error


def _is_numeric(line: str) -> bool:
    try:
        list(map(float, line.replace(",", " ").split()))
    except ValueError:
        return False
    return True
