"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cryomix.errors import OutputError


@contextmanager
def write_atomically(path: Path) -> Iterator[BinaryIO]:
    """A file open for writing that takes the place of `path` when the block ends well.

    It is written beside `path` under a hidden name, so a program that is killed leaves the old
    file as it was. Missing folders are made.

    Raises
    ------
    OutputError
        If the folder or the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = partial.open("wb")
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        partial.unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The one line for a file or folder that the system refuses to write."""
    return OutputError(f"{path}: cannot be written: {error.strerror or error}")
