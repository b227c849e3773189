"""A file to read of which a library may not ask for more than there is."""

import os
from pathlib import Path
from typing import Any


class BoundedFile:
    """Bytes of a file, for libraries that take Python's files and believe the sizes in them.

    HDF5 takes memory for a part of a file as large as another part says, and fills with zeros what
    lies beyond the end. Here such a reading is refused before memory is touched.

    Raises
    ------
    OSError
        If the file cannot be opened, or more is asked for than it holds.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)
        self._size = os.fstat(self._descriptor).st_size
        self._place = 0

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place: from the start, from here, or from the end."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = start + offset
        return self._place

    def tell(self) -> int:
        """Where the next reading begins."""
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` whole."""
        rest = memoryview(buffer).cast("B")
        asked = len(rest)
        if asked > self._size - self._place:
            raise OSError(f"{asked} bytes from {self._place} of a file of {self._size}")
        while len(rest):
            got = os.preadv(self._descriptor, [rest], self._place)
            if not got:
                raise OSError(f"the file has become shorter than {self._size} bytes")
            rest, self._place = rest[got:], self._place + got
        return asked

    def read(self, count: int) -> bytes:
        """The next `count` bytes."""
        buffer = bytearray(min(count, max(self._size - self._place, 0)))
        self.readinto(memoryview(buffer))
        return bytes(buffer)
