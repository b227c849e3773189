"""What a page asks about paths, and what it is answered."""

import asyncio
import re
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from cryomix.errors import OptionError
from cryomix.viewer.background import Background
from cryomix.viewer.exploration import Groups
from cryomix.viewer.frames import Asked, Question
from cryomix.viewer.path_plan import MOST_POINTS, PathDesk, differing, read_plan
from cryomix.viewer.path_strip import measure_path
from cryomix.viewer.snapshot import Snapshot

PATH_ACTS = ("lay path", "keep path", "rebuild path", "measure path")
_MOST = 1000  # points of a path that is looked at
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def require_name(name: object) -> str:
    """A name that a file may have, whatever the system."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise OptionError(f"a name must be letters, digits, - and _, at most 64, got {name!r}")
    return name


class PathTalk:
    """Answers of one reading of a job; maps are rebuilt in the `background`."""

    def __init__(self, seen: Snapshot, background: Background) -> None:
        self._seen = seen
        self._background = background

    async def act(self, what: str, message: dict[str, Any]) -> dict[str, object]:
        """Answer one of `PATH_ACTS`.

        Raises
        ------
        CryomixError
            If it cannot be done.
        ValueError, KeyError, TypeError
            If the message lacks something.
        """
        if what == "measure path":
            return await self._measure(message)
        desk = self._seen.exploration.path_desk
        if desk is None:
            raise OptionError("paths can be laid once the job is trained")
        if what == "rebuild path":
            return await self._rebuild(desk, require_name(message["name"]))
        return await self._lay(desk, message, keep=what == "keep path")

    async def _lay(
        self, desk: PathDesk, message: dict[str, Any], *, keep: bool
    ) -> dict[str, object]:
        points = await self._points(message)
        plan = read_plan(message, points)
        name = require_name(message["name"])
        work = partial(desk.keep, name, plan) if keep else partial(desk.lay, plan)
        laid = await asyncio.to_thread(work)
        return {
            "points": points.tolist(),
            "latents": laid.latent.tolist(),
            "closed": laid.is_closed,
            "length": laid.length,
            "displacement": laid.displacement,
            "command": desk.command(plan, name),
        }

    async def _rebuild(self, desk: PathDesk, name: str) -> dict[str, object]:
        for task in self._background.tasks():
            # Two at once would each write the list of maps without those of the other.
            if task.state == "running" and " --trajectory " in task.command:
                raise OptionError("maps along another path are being rebuilt: wait, or cancel that")
        task = await self._background.start(desk.rebuild(name), partial(desk.clear, name))
        return {"command": task.command}

    async def _measure(self, message: dict[str, Any]) -> dict[str, object]:
        steps = self._require_latents(np.array(message["latents"], np.float32))
        place = np.stack([self._axis(number) for number in _pair(message["columns"])], axis=1)
        work = partial(
            measure_path, steps, self._seen.decoding.decode, await self._seen.everyone(),
            place, is_closed=message["closed"] is True,
        )  # fmt: skip
        return (await asyncio.to_thread(work)).told()

    async def _points(self, message: dict[str, Any]) -> Float[np.ndarray, "points latent"]:
        """Latents at the points of a path: as they are, or at places of the map."""
        if "points" in message:
            return self._require_latents(np.array(message["points"], np.float32))
        places = np.array(message["places"], np.float32)
        if places.ndim != 2 or places.shape[1] != 2 or not np.isfinite(places).all():
            raise OptionError("places on the map must be pairs of numbers")
        if not 1 <= len(places) <= MOST_POINTS:
            raise OptionError(f"a path takes 1 to {MOST_POINTS} places, got {len(places)}")
        lift, columns = Asked(message["lift"]), _pair(message["columns"])
        version = self._seen.version
        lifted = [
            await self._seen.latent(Question(0, version, lift, columns, place)) for place in places
        ]
        is_closed = message.get("options", {}).get("closed") is True
        return differing(np.stack(lifted), is_closed=is_closed)

    def _require_latents(self, points: np.ndarray) -> Float[np.ndarray, "points latent"]:
        size = self._seen.decoding.latent.shape[1]
        if points.ndim != 2 or points.shape[1] != size or not np.isfinite(points).all():
            raise OptionError(f"points of a path are rows of {size} finite latents")
        if not 1 <= len(points) <= _MOST:
            raise OptionError(f"a path has 1 to {_MOST} points, got {len(points)}")
        return points

    def _axis(self, number: int) -> Float[np.ndarray, "particles"]:
        columns = self._seen.exploration.columns
        if number >= len(columns):
            raise OptionError(f"there are {len(columns)} columns, got {number}")
        values = columns[number].read()
        if isinstance(values, Groups):
            raise OptionError(f"{columns[number].name}: names are no places on a map")
        return values


def _pair(numbers: Any) -> tuple[int, int]:
    first, second = (int(number) for number in numbers)
    if min(first, second) < 0:
        raise OptionError(f"columns have numbers from 0 on, got {numbers}")
    return first, second
