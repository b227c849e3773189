"""Files that may be compressed with gzip or bzip2, read up to a bound."""

import bz2
import gzip
import zlib
from pathlib import Path
from typing import Protocol, runtime_checkable

from cryomix.errors import InputFileError

# A few kilobytes can decompress to more than any memory holds.
LARGEST_DECOMPRESSED = 4 * 2**30
_AT_ONCE = 2**20


@runtime_checkable
class OpenFile(Protocol):
    """A file open for reading, plain or not."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes."""


def read_beginning(path: Path, count: int) -> bytearray:
    """The first `count` bytes of a file, or all where it has fewer; decompressed if need be.

    Raises
    ------
    InputFileError
        If the file cannot be read or decompressed, or if more than 4 GiB would be decompressed.
    """
    try:
        with path.open("rb") as raw:
            kind = raw.read(3)
            raw.seek(0)
            if kind.startswith(b"\x1f\x8b"):
                with gzip.GzipFile(fileobj=raw) as file:
                    return _read_decompressed(path, file, count)
            if kind == b"BZh":
                with bz2.BZ2File(raw) as file:
                    return _read_decompressed(path, file, count)
            return read_pieces(raw, count)
    except InputFileError:
        raise
    except (EOFError, ValueError, zlib.error, gzip.BadGzipFile) as error:
        raise InputFileError(f"{path}: cannot be decompressed: {error}") from error
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_pieces(file: OpenFile, count: int) -> bytearray:
    """The next `count` bytes of an open file, or all where there are fewer."""
    # Piece by piece: what is promised is not there yet, and memory is taken for what is.
    content = bytearray()
    while len(content) < count:
        part = file.read(min(_AT_ONCE, count - len(content)))
        if not part:
            break
        content += part
    return content


def _read_decompressed(path: Path, file: OpenFile, count: int) -> bytearray:
    content = read_pieces(file, min(count, LARGEST_DECOMPRESSED))
    if len(content) < count and file.read(1):
        raise InputFileError(
            f"{path}: at most {LARGEST_DECOMPRESSED // 2**30} GiB are decompressed, here are more: "
            "decompress it first"
        )
    return content
