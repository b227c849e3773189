"""Commands that run beside the explorer."""

import asyncio

from cryomix.viewer.background import Background


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
