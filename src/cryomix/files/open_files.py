"""Files kept open, of which pieces are read at any offset and from any thread."""

import os
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Sequence
from pathlib import Path

from cryomix.errors import InputFileError

_MOST_BUFFERS = 512  # POSIX promises 16, Linux and macOS take 1024


class OpenFiles:
    """Many files, of which the `most` that were used last are open.

    Pieces are read, not mapped: pages of a mapped file would count as memory of the process, and
    a file that has become shorter would end it. Size and time of change are those of the beginning:
    half of a run on one file and half on another would look like any other result.
    """

    def __init__(self, paths: Sequence[Path], most: int) -> None:
        self._paths = tuple(paths)
        self._most = most
        self._began = tuple(_state(path) for path in self._paths)
        self._open: OrderedDict[int, _OpenFile] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def read_into(self, file: int, offset: int, buffers: Sequence[memoryview]) -> None:
        """Fill `buffers`, one after the other, with what lies in a file from `offset` bytes on.

        Raises
        ------
        InputFileError
            If the file cannot be read, ends too early, or has changed.
        """
        path = self._paths[file]
        try:
            opened = self._opened(file)
            missing = _fill(opened.descriptor, offset, deque(buffers))
            now = _state(path)
        except OSError as error:
            raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from error
        if now != self._began[file]:
            raise InputFileError(
                f"{path}: has changed since this command began to read it: it had "
                f"{self._began[file][0]} bytes, now {now[0]}; put the old file back, or begin anew"
            )
        if missing:
            size = sum(map(len, buffers))
            raise InputFileError(
                f"{path}: is too short: {size} bytes are needed from byte {offset} on, "
                f"there are {size - missing}"
            )

    def _opened(self, file: int) -> "_OpenFile":
        with self._lock:
            if file not in self._open:
                self._open[file] = _OpenFile(self._paths[file])
            self._open.move_to_end(file)
            if len(self._open) > self._most:
                # Another thread may be reading from it: it closes when that one lets go.
                self._open.popitem(last=False)
            return self._open[file]


class _OpenFile:
    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self.descriptor)


def _state(path: Path) -> tuple[int, int]:
    """Bytes of the file that has this name now, and when they were written last, ns."""
    try:
        found = path.stat()
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    return found.st_size, found.st_mtime_ns


def _fill(descriptor: int, offset: int, pending: deque[memoryview]) -> int:
    """Bytes that could not be had."""
    while pending:
        some = [pending[i] for i in range(min(len(pending), _MOST_BUFFERS))]
        count = os.preadv(descriptor, some, offset)
        if not count:
            return sum(map(len, pending))
        offset += count
        while pending and count >= len(pending[0]):
            count -= len(pending.popleft())
        if count:
            pending[0] = pending[0][count:]
    return 0
