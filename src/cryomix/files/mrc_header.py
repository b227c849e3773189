"""The header of an MRC file: what the numbers behind it are and how they lie."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cryomix.errors import InputFileError

HEADER_BYTES = 1024

_TYPE_OF_MODE = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_LARGEST_EDGE = 65535


@dataclass(frozen=True, slots=True)
class MrcHeader:
    """Size, type and place of the data of an MRC file.

    Attributes
    ----------
    columns, rows, sections
        Voxels along the fastest, middle and slowest axis of the data.
    dtype
        Of the data, byte order included.
    data_offset
        Where the data begin, bytes.
    axes
        Which of x, y, z (1, 2, 3) columns, rows and sections run along.
    starts
        Index of the first column, row and section.
    sampling, cell, angles
        Voxels and Å along, and degrees between, x, y, z of the cell.
    origin
        (x, y, z) of the first voxel, Å.
    """

    columns: int
    rows: int
    sections: int
    dtype: np.dtype[np.generic]
    data_offset: int
    axes: tuple[int, int, int]
    starts: tuple[int, int, int]
    sampling: tuple[int, int, int]
    cell: tuple[float, float, float]
    angles: tuple[float, float, float]
    origin: tuple[float, float, float]

    @property
    def section_bytes(self) -> int:
        """Bytes of one section."""
        return self.columns * self.rows * self.dtype.itemsize

    @property
    def file_bytes(self) -> int:
        """Bytes that the whole file needs to have."""
        return self.data_offset + self.sections * self.section_bytes

    @property
    def voxel_size(self) -> tuple[float, float, float]:
        """(x, y, z), Å; 0 where the header does not say."""
        x, y, z = (
            edge / count if count > 0 and edge > 0 else 0.0
            for edge, count in zip(self.cell, self.sampling, strict=True)
        )
        return x, y, z


def parse_header(content: bytes | bytearray, path: Path) -> MrcHeader:
    """Header from the first 1024 bytes; machine stamp and map identifier may be wrong.

    Raises
    ------
    InputFileError
        If this is no MRC file or one whose mode cannot be read.
    """
    if len(content) < HEADER_BYTES:
        raise InputFileError(
            f"{path}: an MRC file begins with {HEADER_BYTES} bytes of header, "
            f"this file has {len(content)}"
        )
    order = _byte_order(content)
    columns, rows, sections, mode = struct.unpack_from(f"{order}4i", content)
    extended = struct.unpack_from(f"{order}i", content, 92)[0]
    if not (0 < columns <= _LARGEST_EDGE and 0 < rows <= _LARGEST_EDGE and sections > 0):
        raise InputFileError(
            f"{path}: not an MRC file: its header gives a size of {columns} x {rows} x {sections}"
        )
    if mode not in _TYPE_OF_MODE:
        raise InputFileError(f"{path}: the MRC mode must be 0, 1, 2, 6 or 12, got {mode}")
    if extended < 0:
        raise InputFileError(f"{path}: the MRC header gives {extended} bytes of extended header")
    axes: tuple[int, int, int] = struct.unpack_from(f"{order}3i", content, 64)
    if axes == (0, 0, 0):
        axes = (1, 2, 3)
    if sorted(axes) != [1, 2, 3]:
        raise InputFileError(f"{path}: the MRC axes must be 1, 2 and 3 in some order, got {axes}")
    return MrcHeader(
        columns=columns,
        rows=rows,
        sections=sections,
        dtype=np.dtype(order + _TYPE_OF_MODE[mode]),
        data_offset=HEADER_BYTES + extended,
        axes=axes,
        starts=struct.unpack_from(f"{order}3i", content, 16),
        sampling=struct.unpack_from(f"{order}3i", content, 28),
        cell=struct.unpack_from(f"{order}3f", content, 40),
        angles=struct.unpack_from(f"{order}3f", content, 52),
        origin=struct.unpack_from(f"{order}3f", content, 196),
    )


def make_header(
    shape: tuple[int, int, int],
    voxel_size: float,
    *,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    statistics: tuple[float, float, float, float] = (0.0, -1.0, -2.0, -1.0),
    is_stack: bool = False,
) -> bytes:
    """Header of float32 data of `shape` (z, y, x), little-endian.

    `statistics` are minimum, maximum, mean and standard deviation; the default says that they
    are not known.
    """
    sections, rows, columns = shape
    depth = 1 if is_stack else sections
    content = bytearray(HEADER_BYTES)
    struct.pack_into("<4i", content, 0, columns, rows, sections, 2)
    struct.pack_into("<3i", content, 28, columns, rows, depth)
    cell = (columns * voxel_size, rows * voxel_size, depth * voxel_size)
    struct.pack_into("<6f", content, 40, *cell, 90.0, 90.0, 90.0)
    struct.pack_into("<3i3f", content, 64, 1, 2, 3, *statistics[:3])
    struct.pack_into("<2i", content, 88, 0 if is_stack else 1, 0)
    struct.pack_into("<i", content, 108, 20141)
    struct.pack_into("<3f", content, 196, *origin)
    content[208:216] = b"MAP DD\x00\x00"
    struct.pack_into("<fi", content, 216, statistics[3], 1)
    content[224:304] = b"cryomix".ljust(80)
    return bytes(content)


def _byte_order(content: bytes | bytearray) -> str:
    # No edge beyond 65535 exists, and every smaller number exceeds that when read the other way
    # round; the machine stamp, which some programs leave empty, is not needed.
    columns = struct.unpack_from(">i", content)[0]
    return ">" if 0 < columns <= _LARGEST_EDGE else "<"
