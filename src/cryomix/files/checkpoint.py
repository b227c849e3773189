"""What cryomix stores between commands: tensors, arrays and tables of numbers."""

import csv
import io
import json
import os
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import SupportsFloat

import numpy as np
import safetensors
import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.errors import CheckpointError
from cryomix.files.atomic import write_atomically
from cryomix.files.number_array import read_numbers
from cryomix.imaging.gaussians import GaussianModel

_GAUSSIAN_KEYS = ("center", "amplitude", "width")
_TYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def write_gaussians(
    path: Path, model: GaussianModel, metadata: Mapping[str, str] | None = None
) -> None:
    """Write one model as float32."""
    tensors = {key: getattr(model, key).detach().float() for key in _GAUSSIAN_KEYS}
    write_tensors(path, tensors, metadata)


def read_gaussians(path: Path) -> GaussianModel:
    """One model.

    Raises
    ------
    CheckpointError
        If the file is missing or malformed, or holds something else than Gaussians of
        finite center, non-negative amplitude and positive width.
    """
    tensors, _ = read_tensors(path)
    for key in _GAUSSIAN_KEYS:
        if key not in tensors:
            raise CheckpointError(f"{path}: not a Gaussian model: it lacks {key!r}")
    center, amplitude, width = (tensors[key] for key in _GAUSSIAN_KEYS)
    count = amplitude.numel()
    if count == 0:
        raise CheckpointError(f"{path}: a Gaussian model must hold Gaussians, got 0")
    for key, shape in (("center", (count, 3)), ("amplitude", (count,)), ("width", (count,))):
        tensor = tensors[key]
        if tuple(tensor.shape) != shape or tensor.dtype != torch.float32:
            found = f"{tensor.dtype} of shape {tuple(tensor.shape)}"
            raise CheckpointError(
                f"{path}: {key!r} must be torch.float32 of shape {shape}, got {found}"
            )
        if not tensor.isfinite().all():
            raise CheckpointError(f"{path}: {key!r} must be finite, got NaN or infinity")
    if not (amplitude >= 0).all():
        raise CheckpointError(f"{path}: 'amplitude' must not be negative, got {amplitude.min():g}")
    if not (width > 0).all():
        raise CheckpointError(f"{path}: 'width' must be positive, got {width.min():g}")
    return GaussianModel(center, amplitude, width)


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named tensors and text in one safetensors file.

    Tensor by tensor: the library's own writer holds the whole file in memory, twice.
    """
    # Largest numbers first keeps every tensor aligned to its own numbers.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name in names:
        tensor, start = tensors[name], end
        end += tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _TYPE_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with write_atomically(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            flat = tensors[name].detach().cpu().contiguous().flatten()
            file.write(flat.view(torch.uint8).numpy().data)


def read_tensors(
    path: Path, wanted: Callable[[str], bool] | None = None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Named tensors, on the CPU, and text; only those whose names are `wanted`, if that is given.

    Raises
    ------
    CheckpointError
        If the file is missing or no safetensors file.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if wanted is None or wanted(name)]  # noqa: SIM118
            # Clones, because the file may be replaced while its tensors are in use.
            tensors = {name: file.get_tensor(name).clone() for name in names}
            return tensors, dict(file.metadata() or {})
    except OSError as error:
        raise _unreadable(path, error) from error
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path}: not a safetensors file: {error}") from error


def write_array(path: Path, array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> None:
    """Write one array as .npy; arrays of Python objects are refused."""
    with write_atomically(path) as file:
        np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)


def read_array(path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.generic]]":
    """One array from a .npy file; nothing is unpickled.

    Raises
    ------
    CheckpointError
        If the file is missing, truncated or no array of numbers.
    """
    try:
        with path.open("rb") as file:
            return read_numbers(file, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:
        reason = str(error).splitlines()[0] if str(error) else "it is truncated"
        raise CheckpointError(f"{path}: not a .npy file of numbers: {reason}") from error


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[SupportsFloat]]) -> None:
    """Write a table of numbers; floats come back as they were."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"{len(header)} columns but {len(row)} values")
        writer.writerow([_plain_number(value) for value in row])
    with write_atomically(path) as file:
        file.write(text.getvalue().encode())


def read_csv(path: Path) -> dict[str, Float[np.ndarray, "rows"]]:
    """Columns of a table of numbers, by name.

    Raises
    ------
    CheckpointError
        If the file is missing, has rows of unequal length, or holds anything but numbers.
    """
    lines = _read_lines(path)
    if not lines:
        raise CheckpointError(f"{path}: a table must have a header, got an empty file")
    header, *rows = lines
    table = _numbers(path, rows, len(header), first_line=2)
    return {name: table[:, column] for column, name in enumerate(header)}


def read_number_rows(path: Path) -> Float[np.ndarray, "rows columns"]:
    """Rows of a table of numbers, under a line of names or without.

    Raises
    ------
    CheckpointError
        If the file is missing, has rows of unequal length, or holds anything but numbers.
    """
    lines = _read_lines(path)
    named = bool(lines) and not any(_is_number(value) for value in lines[0])
    width = len(lines[0]) if lines else 0
    return _numbers(path, lines[1:] if named else lines, width, first_line=2 if named else 1)


def _read_lines(path: Path) -> list[list[str]]:
    try:
        return list(csv.reader(path.read_text().splitlines()))
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, csv.Error) as error:
        raise CheckpointError(f"{path}: not a table: {error}") from error


def _numbers(
    path: Path, rows: list[list[str]], width: int, first_line: int
) -> Float[np.ndarray, "rows columns"]:
    table = np.empty((len(rows), width))
    for number, row in enumerate(rows):
        try:
            table[number] = np.array([float(value) for value in row]).reshape(width)
        except ValueError:
            raise CheckpointError(
                f"{path}: line {number + first_line} must hold {width} numbers, got {row}"
            ) from None
    return table


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain_number(value: SupportsFloat) -> int | float:
    return int(value) if isinstance(value, int | np.integer) else float(value)


def _unreadable(path: Path, error: OSError) -> CheckpointError:
    if isinstance(error, FileNotFoundError):
        return CheckpointError(f"{path}: there is no such file")
    return CheckpointError(f"{path}: cannot be read: {error.strerror or error}")
