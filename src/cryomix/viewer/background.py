"""Commands of cryomix that run beside the explorer, each in a process of its own."""

import asyncio
import os
import re
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

State = Literal["running", "done", "failed", "cancelled"]
# A page waits for the lines, which a log is kept short of.
_SPEAKING = {"PYTHONUNBUFFERED": "1", "CRYOMIX_LINE_SECONDS": "1"}
_COUNTED = re.compile(r"(.+): (\d+) of (\d+)")  # as `cryomix.commands.progress` says it


@dataclass(slots=True)
class Task:
    """One command, and how far it has come.

    Attributes
    ----------
    number
        From 1.
    command
        As it is typed.
    state
        How it is going.
    line
        What it said last.
    process, clear
        The process, and what takes away what it left if it is cancelled.
    makes
        Name of the map that there is when it is done, if it makes one.
    progress
        How far what it counts now has come.
    """

    number: int
    command: str
    state: State
    line: str
    process: asyncio.subprocess.Process
    clear: Callable[[], None]
    makes: str | None = None
    progress: "Pace | None" = None

    def told(self) -> dict[str, object]:
        """As the page is told."""
        progress = self.progress if self.state == "running" else None
        return {
            "number": self.number,
            "command": self.command,
            "state": self.state,
            "line": self.line,
            "makes": self.makes,
            "share": None if progress is None else progress.share,
            "left": None if progress is None else progress.left,
        }

    def hear(self, line: str, now: float) -> None:
        """Take in a line of its output; `now` is in seconds."""
        if not line:
            return
        self.line = line
        counted = _COUNTED.fullmatch(line)
        if counted is None:
            self.progress = None
            return
        label, done, total = counted[1], int(counted[2]), int(counted[3])
        if self.progress is None or self.progress.label != label:
            self.progress = Pace(label, done, total, done, now, now)
        else:
            self.progress = replace(self.progress, done=done, total=total, now=now)


@dataclass(frozen=True, slots=True)
class Pace:
    """What is counted, where it stood when it was first told, and where it stands now.

    Attributes
    ----------
    label
        What is counted.
    done, total
        How many there are now, of how many.
    first_done
        How many there were at first.
    first, now
        When that was, seconds.
    """

    label: str
    done: int
    total: int
    first_done: int
    first: float
    now: float

    @property
    def share(self) -> float:
        """Of all that is done."""
        return min(self.done / self.total, 1.0) if self.total else 0.0

    @property
    def left(self) -> float | None:
        """Seconds until all is done, at the pace since the first; None before there is one."""
        made = self.done - self.first_done
        if made <= 0:
            return None
        return max(self.total - self.done, 0) * (self.now - self.first) / made


class Background:
    """The commands that were started; `tell` is called whenever one has something new to say."""

    def __init__(self, tell: Callable[[Task], None]) -> None:
        self._tell = tell
        self._tasks: dict[int, Task] = {}
        self._watches: set[asyncio.Task[None]] = set()

    def tasks(self) -> list[Task]:
        """All of them, the first one first."""
        return list(self._tasks.values())

    async def start(
        self,
        arguments: list[str],
        clear: Callable[[], None] | None = None,
        makes: str | None = None,
    ) -> Task:
        """Run ``cryomix`` with these arguments.

        Parameters
        ----------
        arguments
            All words but the first.
        clear
            Takes away what it leaves unfinished.
        makes
            Name of the map that it makes.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cryomix", *arguments,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, env={**os.environ, **_SPEAKING},
        )  # fmt: skip
        number = len(self._tasks) + 1
        task = Task(
            number, shlex.join(["cryomix", *arguments]), "running", "started", process,
            clear or (lambda: None), makes,
        )  # fmt: skip
        self._tasks[number] = task
        watch = asyncio.create_task(self._watch(task))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        self._tell(task)
        return task

    def cancel(self, number: int) -> None:
        """Stop a command; one that has ended stays as it is."""
        task = self._tasks.get(number)
        if task is not None and task.state == "running":
            task.state = "cancelled"
            task.process.terminate()

    async def close(self) -> None:
        """Stop all that still run, and wait for them."""
        for task in self.tasks():
            self.cancel(task.number)
        await asyncio.gather(*self._watches)

    async def _watch(self, task: Task) -> None:
        stream = task.process.stdout
        if stream is None:
            raise RuntimeError("the output of a command was not kept")
        while line := await stream.readline():
            task.hear(line.decode(errors="replace").strip(), time.monotonic())
            self._tell(task)
        code = await task.process.wait()
        if task.state == "running":
            task.state = "failed" if code else "done"
        # Ctrl-C in a terminal ends the command as well, before it is cancelled.
        if code:
            task.clear()
        self._tell(task)
