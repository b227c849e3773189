"""Arrays of numbers in NumPy's format: read only if the file holds what its header promises."""

import math
import struct
import tokenize
from io import BytesIO

import numpy as np
from jaxtyping import Shaped

from cryomix.files.compressed import OpenFile, read_pieces

_HEADERS = {
    (1, 0): ("<H", np.lib.format.read_array_header_1_0),
    (2, 0): ("<I", np.lib.format.read_array_header_2_0),
}
# NumPy has Python parse a header, and parse it once more as an older Python would have written it.
_UNREADABLE = (tokenize.TokenError, SyntaxError, TypeError, MemoryError, RecursionError)
_LARGEST_HEADER = 2**16  # that of an array of numbers has about a hundred bytes


def read_numbers(file: OpenFile, size: int) -> Shaped[np.ndarray, "..."]:
    """The array of numbers or text that begins where `file` stands; nothing is unpickled.

    Parameters
    ----------
    file
        Open for reading.
    size
        Bytes that it holds from here on.

    Raises
    ------
    ValueError
        If there is no such array, or `size` is less than it needs; no memory was taken for it.
    """
    version = np.lib.format.read_magic(BytesIO(read_pieces(file, np.lib.format.MAGIC_LEN)))
    if version not in _HEADERS:
        raise ValueError(f"format 1 or 2 is read, got {version[0]}.{version[1]}")
    length_format, parse = _HEADERS[version]
    told = read_pieces(file, struct.calcsize(length_format))
    length = int.from_bytes(told, "little")
    if length > _LARGEST_HEADER:
        raise ValueError(f"a header has at most {_LARGEST_HEADER} bytes, got {length}")
    try:
        shape, is_fortran, dtype = parse(BytesIO(told + read_pieces(file, length)))
    except _UNREADABLE as error:
        raise ValueError(f"its header is not a literal: {error}") from error
    if dtype.kind not in "biufcSU" or dtype.itemsize == 0:
        raise ValueError(f"holds {dtype} instead of numbers")
    if not all(type(edge) is int and edge >= 0 for edge in shape):
        raise ValueError(f"an array cannot have the shape {shape}")
    needed = math.prod(shape) * dtype.itemsize
    there = size - np.lib.format.MAGIC_LEN - len(told) - length
    if needed > there:
        raise ValueError(f"truncated: {needed} bytes are promised, there are {there}")
    content = read_pieces(file, needed)
    if len(content) < needed:
        raise ValueError(f"truncated: {needed} bytes are promised, there are {len(content)}")
    flat = np.frombuffer(content, dtype).astype(dtype.newbyteorder("="), copy=False)
    return flat.reshape(shape[::-1]).T if is_fortran else flat.reshape(shape)
