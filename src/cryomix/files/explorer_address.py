"""Port and token of a job's explorer, kept so that a new one has the same address.

The file holds a secret. It is used only where nobody but its owner can have read or written it, and
only for the folder that it was made for: a copy of the job gets an address of its own.
"""

import contextlib
import json
import os
import re
import stat
from dataclasses import dataclass

from cryomix.errors import OutputError
from cryomix.files.job import JobFolder

_LARGEST = 65_536  # bytes; a path has at most 4096
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32,64}")


@dataclass(frozen=True, slots=True)
class ExplorerAddress:
    """Where the explorer of a job is found.

    Attributes
    ----------
    port
        On this machine, 1 to 65535.
    token
        The secret in the address.
    """

    port: int
    token: str


def read_address(job: JobFolder) -> ExplorerAddress | None:
    """The address that was kept; None if there is none that can be trusted."""
    try:
        # Not through a link, and not waiting for the other end of a pipe.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(job.explorer_address, flags)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not _is_private(os.fstat(descriptor)):
            return None
        return _parse(file.read(_LARGEST), job)


def keep_address(job: JobFolder, address: ExplorerAddress) -> bool:
    """Write the address for the next time; whether that can be done in secret.

    It cannot in a folder that this user may not write, or on a disk that knows no owners.
    """
    path = job.explorer_address
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    text = json.dumps({"job": _place(job), "port": address.port, "token": address.token})
    try:
        partial.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(partial, flags, 0o600), "w", encoding="utf-8") as file:
            is_private = _is_private(os.fstat(file.fileno()))
            if is_private:
                file.write(text)
        if is_private:
            partial.replace(path)
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return is_private


def forget_address(job: JobFolder) -> None:
    """Take the kept address away.

    Raises
    ------
    OutputError
        If that cannot be done.
    """
    try:
        job.explorer_address.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{job.explorer_address}: cannot be taken away: {error.strerror or error}"
        ) from error


def _is_private(found: os.stat_result) -> bool:
    """Whether it is a file of this user that nobody else may open, nor may by another name."""
    return (
        stat.S_ISREG(found.st_mode)
        and found.st_uid == os.geteuid()
        and not found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        and found.st_nlink == 1
    )


def _parse(content: bytes, job: JobFolder) -> ExplorerAddress | None:
    try:
        told = json.loads(content)
        place, port, token = told["job"], told["port"], told["token"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    is_sound = type(port) is int and 0 < port < 65536 and isinstance(token, str)
    if not is_sound or place != _place(job) or not _TOKEN.fullmatch(token):
        return None
    return ExplorerAddress(port, token)


def _place(job: JobFolder) -> str:
    return str(job.path.resolve())
