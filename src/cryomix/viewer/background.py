"""Commands of cryomix that run beside the explorer, each in a process of its own."""

import asyncio
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["running", "done", "failed", "cancelled"]


@dataclass(slots=True)
class Task:
    """One command, and how far it has come."""

    number: int
    command: str
    state: State
    line: str
    process: asyncio.subprocess.Process
    clear: Callable[[], None]

    def told(self) -> dict[str, object]:
        """As the page is told."""
        return {
            "number": self.number,
            "command": self.command,
            "state": self.state,
            "line": self.line,
        }


class Background:
    """The commands that were started; `tell` is called whenever one has something new to say."""

    def __init__(self, tell: Callable[[Task], None]) -> None:
        self._tell = tell
        self._tasks: dict[int, Task] = {}
        self._watches: set[asyncio.Task[None]] = set()

    def tasks(self) -> list[Task]:
        """All of them, the first one first."""
        return list(self._tasks.values())

    async def start(self, arguments: list[str], clear: Callable[[], None] | None = None) -> Task:
        """Run ``cryomix`` with these arguments; `clear` takes away what it leaves unfinished."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cryomix", *arguments,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        number = len(self._tasks) + 1
        task = Task(
            number, shlex.join(["cryomix", *arguments]), "running", "started", process,
            clear or (lambda: None),
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
            task.line = line.decode(errors="replace").strip() or task.line
            self._tell(task)
        code = await task.process.wait()
        if task.state == "running":
            task.state = "failed" if code else "done"
        # Ctrl-C in a terminal ends the command as well, before it is cancelled.
        if code:
            task.clear()
        self._tell(task)
