"""Memory that a library may take, where a damaged file can make it take all there is."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STATM = Path("/proc/self/statm")


@contextmanager
def bounded_memory(most: int) -> Iterator[None]:
    """Let the process take at most `most` bytes beyond what it has; for one thread, and briefly.

    HDF5 2.0 follows parts of a header that refer to each other until memory ends. Refused
    memory it tells as an error. Only Linux knows such a bound; elsewhere there is none.
    """
    if sys.platform != "linux" or not _STATM.is_file():
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = int(_STATM.read_text().split()[0]) * resource.getpagesize() + most
    if soft != resource.RLIM_INFINITY:
        bound = min(bound, soft)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
