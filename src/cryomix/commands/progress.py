"""What is going on: a bar on a terminal, plain lines elsewhere."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cryomix.commands.device import is_quiet

# Seconds between lines; the explorer asks for more of them than a log should have.
_LINE_EVERY = float(os.environ.get("CRYOMIX_LINE_SECONDS", "10"))


class Count(Protocol):
    """Called with how many are done, of how many."""

    def __call__(self, done: int, total: int) -> None:
        """Show it."""


def say(text: str) -> None:
    """A line on the error stream, so that a command's own output stays apart."""
    if not is_quiet():
        print(text, file=sys.stderr, flush=True)


@contextmanager
def counting(label: str) -> Iterator[Count]:
    """A callback that shows how far something has come."""
    if is_quiet() or not sys.stderr.isatty():
        yield _Lines(label)
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield show


class _Lines:
    """Every ten seconds a line, so that logs stay short."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._due = time.monotonic() + _LINE_EVERY

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _LINE_EVERY
        say(f"{self._label}: {done} of {total}")
