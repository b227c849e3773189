"""Commands that run beside the explorer."""

import asyncio
import os
import subprocess
import sys
from unittest.mock import Mock

from cryomix.viewer.background import Background, Task


def follow(act):
    """Run `act` with a background; all that was told, task by task."""
    told = []

    async def run():
        background = Background(lambda task: told.append((task.number, task.state, task.line)))
        await act(background)
        await asyncio.gather(*background._watches)
        return background.tasks()

    return asyncio.run(run()), told


def test_a_command_tells_what_it_says_and_that_it_has_ended():
    async def act(background):
        await background.start(["--version"])
        await background.start(["view", "no such job", "--no-browser"])

    (first, second), told = follow(act)
    assert (first.state, second.state) == ("done", "failed")
    assert first.command == "cryomix --version"
    assert second.command == "cryomix view 'no such job' --no-browser"
    assert second.line == "cryomix: no such job: there is no such job folder"
    assert [state for number, state, _ in told if number == 1] == ["running", "running", "done"]


def test_a_command_can_be_cancelled_and_all_end_with_the_explorer():
    async def act(background):
        first = await background.start(["--help"])
        background.cancel(first.number)
        background.cancel(99)
        await background.start(["--help"])
        await background.close()

    tasks, _ = follow(act)
    assert [task.state for task in tasks] == ["cancelled", "cancelled"]
    assert all(task.process.returncode is not None for task in tasks)


def test_lines_that_count_become_a_share_and_a_time():
    process = Mock(spec=asyncio.subprocess.Process)
    task = Task(1, "cryomix reconstruct job", "running", "started", process, lambda: None, "map")
    assert (task.told()["share"], task.told()["left"]) == (None, None)
    task.hear("particles inserted: 2000 of 10000", 5.0)
    assert (task.told()["share"], task.told()["left"]) == (0.2, None)
    task.hear("particles inserted: 4000 of 10000", 9.0)
    assert (task.told()["share"], task.told()["left"]) == (0.4, 12.0)
    task.hear("states 1 to 3: inserted: 1 of 4", 10.0)  # something else is counted from here
    assert (task.told()["share"], task.told()["left"]) == (0.25, None)
    task.hear("", 11.0)
    task.hear("selection: 90 particles, 12.0 Å (FSC 0.143, masked)", 11.0)
    assert (task.told()["share"], task.told()["left"]) == (None, None)
    assert task.told()["line"].startswith("selection: 90")
    assert task.told()["makes"] == "map"


def test_lines_come_often_to_a_page_and_seldom_to_a_log():
    code = (
        "import time; from cryomix.commands.progress import counting\n"
        "with counting('done') as count:\n"
        "    for number in range(1, 4): time.sleep(0.06); count(number, 3)"
    )
    told = []
    for seconds in ({"CRYOMIX_LINE_SECONDS": "0.05"}, {}):
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, **seconds}, capture_output=True,
            text=True, check=True,
        )  # fmt: skip
        told.append(done.stderr.splitlines())
    assert told == [["done: 1 of 3", "done: 2 of 3", "done: 3 of 3"], []]
