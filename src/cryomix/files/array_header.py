"""The header of a NumPy file that holds a table: its fields, and how many rows there are."""

import ast
import re
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryomix.errors import InputFileError

_MAGIC = b"\x93NUMPY"
_VERSIONS = {
    b"\x01\x00": ("<H", "latin-1"),
    b"\x02\x00": ("<I", "latin-1"),
    b"\x03\x00": ("<I", "utf-8"),
}
_KEYS = frozenset({"descr", "fortran_order", "shape"})
# Plain numbers and texts of fixed length: no Python objects, no dates, no nested records.
_TYPE = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f[248]|c(?:8|16)|S\d{1,6}|U\d{1,6})", re.ASCII)
_LARGEST_HEADER = 2**20
_LARGEST_ROW = 2**20
_MOST_DIMENSIONS = 8

HEADER_BYTES = _LARGEST_HEADER + 16


@dataclass(frozen=True, slots=True)
class ArrayHeader:
    """What the first bytes of a NumPy file say.

    Attributes
    ----------
    dtype
        Of one row: named fields of numbers or texts, without gaps.
    rows
        How many there are.
    data_offset
        Bytes before the first.
    """

    dtype: "np.dtype[np.void]"
    rows: int
    data_offset: int

    @property
    def file_bytes(self) -> int:
        """Size that the file must have."""
        return self.data_offset + self.rows * self.dtype.itemsize


def parse_array_header(content: bytes, path: Path) -> ArrayHeader:
    """The header of a NumPy file (format 1, 2 or 3) of a table.

    Nothing but a literal of text, numbers, tuples, lists and one dictionary is taken, and no
    memory beyond the header's own size is asked for.

    Parameters
    ----------
    content
        The first `HEADER_BYTES` bytes of the file, or all of it.
    path
        For messages.

    Raises
    ------
    InputFileError
        If it is no NumPy file, its header is malformed or larger than 1 MiB, or it is no table
        of numbers and texts: arrays of Python objects above all.
    """
    if not content.startswith(_MAGIC):
        raise InputFileError(f"{path}: not a NumPy file: it begins with {content[:6]!r}")
    if content[6:8] not in _VERSIONS:
        raise InputFileError(f"{path}: a NumPy file must be of format 1 to 3, got {content[6:8]!r}")
    length_format, encoding = _VERSIONS[content[6:8]]
    start = 8 + struct.calcsize(length_format)
    if len(content) < start:
        raise InputFileError(f"{path}: truncated: {len(content)} bytes are less than a header")
    (length,) = struct.unpack(length_format, content[8:start])
    if length > _LARGEST_HEADER:
        raise InputFileError(
            f"{path}: a header must be at most {_LARGEST_HEADER} bytes long, got {length}"
        )
    if len(content) < start + length:
        raise InputFileError(
            f"{path}: truncated: a header of {length} bytes is promised, there are "
            f"{len(content) - start}"
        )
    told = _literal(content[start : start + length], encoding, path)
    if not isinstance(told, dict) or set(told) != _KEYS:
        raise InputFileError(f"{path}: a NumPy header must tell {', '.join(sorted(_KEYS))}")
    return ArrayHeader(_table_dtype(told["descr"], path), _rows(told, path), start + length)


def _literal(text: bytes, encoding: str, path: Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the parser, about strange but legal literals
            return ast.literal_eval(text.decode(encoding).strip())
    # A literal that is nested too deeply ends in one of the last two.
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise InputFileError(f"{path}: its NumPy header is not a literal") from None


def _rows(told: dict[str, object], path: Path) -> int:
    shape = told["shape"]
    if not isinstance(shape, tuple) or len(shape) != 1 or type(shape[0]) is not int or shape[0] < 0:
        raise InputFileError(f"{path}: a table must have one dimension, got shape {_short(shape)}")
    return shape[0]


def _table_dtype(fields: object, path: Path) -> "np.dtype[np.void]":
    if not isinstance(fields, list) or not fields:
        raise InputFileError(f"{path}: must be a table with named fields, got {_short(fields)}")
    known: set[str] = set()
    row_bytes = 0
    for field in fields:
        if not _is_field(field):
            raise InputFileError(
                f"{path}: a field must be a name and a type of numbers or text, got {_short(field)}"
            )
        name, code, *shape = field
        if name in known:
            raise InputFileError(f"{path}: field {name} is there twice")
        known.add(name)
        # Counted by Python: NumPy's own sizes are of 32 bits.
        size = np.dtype(code).itemsize
        for edge in shape[0] if shape else ():
            size *= edge
        row_bytes += size
        if row_bytes > _LARGEST_ROW:
            raise InputFileError(f"{path}: a row must have at most {_LARGEST_ROW} bytes")
    if not row_bytes:
        raise InputFileError(f"{path}: a row must have at least one byte")
    return np.dtype(fields)


def _is_field(field: object) -> bool:
    if not isinstance(field, tuple) or len(field) not in (2, 3):
        return False
    name, code, *shape = field
    if not isinstance(name, str) or not name or not isinstance(code, str):
        return False
    if not _TYPE.fullmatch(code):
        return False
    return not shape or (
        isinstance(shape[0], tuple)
        and 0 < len(shape[0]) <= _MOST_DIMENSIONS
        and all(type(edge) is int and 0 < edge <= _LARGEST_ROW for edge in shape[0])
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
