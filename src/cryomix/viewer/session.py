"""What one server knows and answers; nothing of the web is in here."""

import asyncio
import base64
import secrets
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int64

from cryomix.errors import CryomixError, OptionError
from cryomix.viewer.background import Background, Task
from cryomix.viewer.exploration import Decoding, Exploration, HalfMapCurve, Rule
from cryomix.viewer.frames import read_question, write_answer, write_map, write_stale
from cryomix.viewer.path_talk import PATH_ACTS, PathTalk, require_name
from cryomix.viewer.snapshot import Snapshot
from cryomix.viewer.turns import measure_turns, turn_told

# Rows, columns and latents mean others in another version of the job.
_OF_VERSION = ("nearest", "keep", "rebuild", "measure", "lay path", "measure path")


class Session:
    """One job as it is looked at; several pages may share it."""

    def __init__(self, exploration: Exploration, tell: Callable[[Task], None]) -> None:
        self.snapshot = Snapshot(exploration)
        self.background = Background(tell)
        self._name = secrets.token_hex(8)
        self._looked = self._read = exploration.traces
        self._maps_read = 0
        self._problem = ""

    async def renew(self) -> bool:
        """Read the job anew once it has changed and was left alone between two calls.

        Until then, and where the new files do not fit each other, all stays as it was read before.

        Returns
        -------
        told
            Whether `describe` says something else now.
        """
        seen = self.snapshot.exploration
        now = await asyncio.to_thread(seen.look)
        # The state of a training is one file, written whole: the next one may be there very soon.
        at_rest = now == self._looked or seen.progress is not None
        self._looked = now
        before = self._read
        if not at_rest or seen.again is None or now == before:
            return False
        self._read = now
        if now.results == before.results:
            self._maps_read += now.maps != before.maps
            return now.maps != before.maps
        try:
            exploration = await asyncio.to_thread(seen.again)
        except (CryomixError, OSError) as error:
            self._problem = f"new results cannot be read: {' '.join(str(error).split())}"
            return True
        self._problem, self._read = "", exploration.traces
        self._maps_read += exploration.traces.maps != before.maps
        snapshot = Snapshot(exploration, self.snapshot)
        if exploration.decoding is not None:
            await snapshot.everyone()  # till then the pages have the models of before
        self.snapshot = snapshot
        return True

    def describe(self) -> dict[str, object]:
        """What the page needs to know first, and again whenever it changes.

        ``server`` differs for each session, ``version`` for each reading of the job, ``maps`` when
        a map was written. ``problem`` is why newer results are not shown, if there are any.
        """
        seen = self.snapshot.exploration
        told: dict[str, object] = {
            "server": self._name,
            "version": self.snapshot.version,
            "maps": self._maps_read,
            "problem": self._problem,
            "name": seen.folder.resolve().name,
            "folder": str(seen.folder),
            "columns": [
                {"name": column.name, "title": column.title, "kind": column.kind,
                 "groups": column.groups}
                for column in seen.columns
            ],
            "paths": {name: path.latent.tolist() for name, path in seen.paths.items()},
            "closed": [name for name, path in seen.paths.items() if path.is_closed],
            "motions": [
                {"name": motion.name, "direction": motion.direction.tolist(), "low": motion.low,
                 "high": motion.high}
                for motion in seen.motions
            ],
            "domains": [
                {"name": name, "inside": _pack(np.flatnonzero(inside), len(inside))}
                for name, inside in seen.domains.items()
            ],
            "tasks": [task.told() for task in self.background.tasks()],
            "training": None if seen.progress is None else asdict(seen.progress),
        }  # fmt: skip
        if seen.decoding is None:
            return {**told, "particles": 0}
        decoding = seen.decoding
        return {
            **told,
            "particles": len(decoding.latent),
            "latents": decoding.latent.shape[1],
            "gaussians": len(decoding.neutral),
            "box": decoding.box_length,
            "linear": list(decoding.axes.name),
            "axes": [
                {"direction": direction.tolist(), "offset": float(offset)}
                for direction, offset in zip(
                    decoding.axes.direction, decoding.axes.offset, strict=True
                )
            ],
        }

    def history(self) -> dict[str, list[float]]:
        """Scores per epoch, as they are now."""
        return {
            name: values.tolist() for name, values in self.snapshot.exploration.history().items()
        }

    def column_bytes(self, name: str) -> bytes | None:
        """float32 per particle; None if there is no such column."""
        column = self.snapshot.exploration.column(name)
        if column is None:
            return None
        return self.snapshot.columns.values(column).astype("<f4").tobytes()

    def groups(self, name: str) -> dict[str, object] | None:
        """Names of the groups of a column, from 1; None if there is no such column."""
        column = self.snapshot.exploration.column(name)
        return None if column is None else {"names": self.snapshot.columns.names(column)}

    def map_names(self) -> dict[str, object]:
        """Maps that there are now, and those of which it is known how far their halves agree."""
        seen = self.snapshot.exploration
        return {"maps": list(seen.maps()), "curves": list(seen.curves())}

    def curve(self, name: str) -> dict[str, object] | None:
        """How far the half maps of a map agree; None if that is not known.

        Raises
        ------
        CheckpointError
            If its file cannot be read.
        """
        read = self.snapshot.exploration.curves().get(name)
        return None if read is None else _told(read())

    def map_bytes(self, name: str) -> bytes | None:
        """A map as a frame; None if there is none of this name.

        Raises
        ------
        InputFileError
            If its file is no map.
        OptionError
            If it has no positive density.
        """
        read = self.snapshot.exploration.maps().get(name)
        if read is None:
            return None
        try:
            return write_map(read())
        except ValueError as error:
            raise OptionError(f"{name}: cannot be shown: {error}") from error

    async def answer(self, frame: bytes) -> bytes:
        """The model at the place that a frame asks for.

        A question of another version of the job is answered by that it must be asked anew.

        Raises
        ------
        ValueError
            If it is no question, or there is no such place.
        """
        question, seen = read_question(frame), self.snapshot
        if question.version != seen.version:
            return write_stale(question.number)
        latent = await seen.latent(question)
        model = seen.decoding.decode(torch.from_numpy(latent)[None])[0]
        return write_answer(question.number, latent, model, seen.reach(latent))

    async def prepare(self) -> None:
        """Find the neighbours of every particle, which answers do not wait for."""
        if self.snapshot.exploration.decoding is not None:
            await self.snapshot.everyone()

    async def act(self, message: dict[str, object]) -> dict[str, object]:
        """Do what the page asks; ``error`` is the one line of a mistake."""
        try:
            return await self._act(message)
        except (CryomixError, ValueError, KeyError, TypeError) as error:
            return {"error": " ".join(str(error).split())}

    async def _act(self, message: dict[str, object]) -> dict[str, object]:
        what, version = message.get("do"), self.snapshot.version
        if what in _OF_VERSION and message.get("version", version) != version:
            raise OptionError("the job has new results: try again")
        if what == "measure":
            return {"turns": await asyncio.to_thread(self._measure, message)}
        if what == "nearest":
            point = _latent_of(message["latent"], self.snapshot.decoding)
            count = int(str(message["count"]))
            if count < 1:
                raise OptionError(f"the number of particles must be at least 1, got {count}")
            rows = (await self.snapshot.everyone()).nearest(point, count)
            return {"rows": _pack(rows, len(self.snapshot.decoding.latent))}
        if what in ("keep", "rebuild"):
            if self.snapshot.exploration.progress is not None:
                raise OptionError("selections can be written once the job is trained")
            name = require_name(message["name"])
            return await self._use(name, message, rebuild=what == "rebuild")
        if what in PATH_ACTS:
            return await PathTalk(self.snapshot, self.background).act(str(what), message)
        if what == "pulse":
            return {}
        if what == "cancel":
            self.background.cancel(int(str(message["task"])))
            return {}
        raise OptionError(f"the page asked for {what!r}, which is nothing that can be done")

    def _measure(self, message: dict[str, object]) -> list[dict[str, object]]:
        """Motions of the domains, of the Gaussians in none of them, and of all."""
        decoding = self.snapshot.decoding
        start, end = (_latent_of(message[name], decoding) for name in ("from", "to"))
        domains = [
            torch.from_numpy(inside) for inside in self.snapshot.exploration.domains.values()
        ]
        everything = torch.ones(len(decoding.neutral), dtype=torch.bool)
        if domains and bool((rest := ~torch.stack(domains).any(0)).any()):
            domains.append(rest)
        fixed = message.get("fixed")
        if fixed is not None and fixed not in range(len(domains)):
            raise OptionError(f"there are {len(domains)} domains, got {fixed}")
        turns = measure_turns(
            decoding.decode,
            (torch.from_numpy(start), torch.from_numpy(end)),
            [*domains, everything],
            None if fixed is None else domains[int(str(fixed))],
        )
        return [turn_told(turn) for turn in turns]

    async def _use(
        self, name: str, message: dict[str, object], *, rebuild: bool
    ) -> dict[str, object]:
        """Keep a selection, and the rest if that is wanted, or rebuild a map from it."""
        count = len(self.snapshot.decoding.latent)
        rows = _unpack(str(message["rows"]), count)
        rest = np.setdiff1d(np.arange(count), rows) if message.get("rest") else None
        if rest is not None and not len(rest):
            raise OptionError("there is no rest: all particles are chosen")
        desk, condition = self.snapshot.exploration.desk, None
        rule = _read_rule(message.get("rule"))
        if rule is not None:
            condition = await asyncio.to_thread(desk.condition, rule, rows)
        commands = [await asyncio.to_thread(desk.keep, name, rows, condition)]
        if rest is not None:
            commands.append(await asyncio.to_thread(desk.keep, f"{name}_rest", rest))
        if rebuild:
            task = await self.background.start(
                desk.rebuild(name, condition), partial(desk.clear, name), desk.map_name(name)
            )
            commands = [task.command]
        return {"commands": commands, "scene": desk.scene(name)}


def _latent_of(numbers: object, decoding: Decoding) -> Float[np.ndarray, "latent"]:
    point = np.array(numbers, np.float32)
    if point.shape != decoding.latent.shape[1:] or not np.isfinite(point).all():
        raise OptionError(f"a latent of this job was expected, got {numbers}")
    return point


def _read_rule(told: object) -> Rule | None:
    """How the page says that the particles were chosen, if by one column."""
    if told is None:
        return None
    if not isinstance(told, dict):
        raise TypeError(f"a rule must be an object, got {told!r}")
    low, high = (None if told.get(end) is None else float(told[end]) for end in ("low", "high"))
    return Rule(str(told["column"]), tuple(int(each) for each in told.get("groups", ())), low, high)


def _told(curve: HalfMapCurve) -> dict[str, object]:
    """As JSON, which has no infinity: a resolution that there is not is null."""
    reached = {"unmasked": curve.resolution_unmasked, "masked": curve.resolution}
    return {
        "file": curve.file,
        "frequency": curve.frequency.tolist(),
        "fsc": _plain(curve.unmasked),
        "masked": _plain(curve.masked),
        "particles": _plain(curve.particles),
        "resolution": {name: _plain(np.array([value]))[0] for name, value in reached.items()},
    }


def _plain(values: Float[np.ndarray, "_"]) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in values.tolist()]


def _pack(rows: Int64[np.ndarray, "selected"], count: int) -> str:
    """Rows as bits, the first of all in the lowest bit, in base64."""
    chosen = np.zeros(count, bool)
    chosen[rows] = True
    return base64.b64encode(np.packbits(chosen, bitorder="little").tobytes()).decode()


def _unpack(text: str, count: int) -> Int64[np.ndarray, "selected"]:
    bits = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    if len(bits) != -(-count // 8):
        raise OptionError(f"a selection of {count} particles has {-(-count // 8)} bytes")
    rows = np.flatnonzero(np.unpackbits(bits, bitorder="little", count=count))
    if not len(rows):
        raise OptionError("a selection must hold particles, got none")
    return rows.astype(np.int64)
