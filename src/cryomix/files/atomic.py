"""Files that appear whole or not at all."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cryomix.errors import OutputError

_DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)


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


def remove_partial_files(folder: Path) -> None:
    """Take away what programs that were killed while they wrote left in `folder` and below.

    Raises
    ------
    OutputError
        If one cannot be taken away.
    """
    for path in sorted(folder.rglob(".*.part")):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The one line for a file or folder that the system refuses to write."""
    reason = error.strerror or str(error)
    if error.errno in _DISK_IS_FULL:
        reason += f" ({_describe_disk(path)})"
    return OutputError(f"{path}: cannot be written: {reason}")


def _describe_disk(path: Path) -> str:
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    while not folder.is_mount():
        folder = folder.parent
    return f"the disk at {folder} has {free / 1e6:.1f} MB left"
