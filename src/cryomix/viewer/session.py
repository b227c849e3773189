"""What one server knows and answers; nothing of the web is in here."""

import asyncio
import base64
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int64

from cryomix.errors import CheckpointError, CryomixError, OptionError
from cryomix.viewer.background import Background, Task
from cryomix.viewer.exploration import Decoding, Exploration
from cryomix.viewer.frames import Asked, Question, read_question, write_answer, write_map
from cryomix.viewer.latent_axes import CROWD, Neighborhood
from cryomix.viewer.path_talk import PATH_ACTS, PathTalk, require_name


class Session:
    """One job as it is looked at; several pages may share it."""

    def __init__(self, exploration: Exploration, tell: Callable[[Task], None]) -> None:
        self.exploration = exploration
        self.background = Background(tell)
        self._maps: dict[tuple[str, ...], Neighborhood] = {}

    def refresh(self, *, in_use: bool) -> None:
        """Read the job anew if it has changed.

        Pages that are `in_use` know columns by number: what they were told holds until they end.
        """
        seen = self.exploration
        if seen.again is None or (in_use and seen.decoding is not None) or not seen.changed():
            return
        self.exploration = seen.again()
        self._maps.clear()

    def describe(self) -> dict[str, object]:
        """What the page needs to know first."""
        seen = self.exploration
        paths = seen.paths()
        told: dict[str, object] = {
            "name": seen.folder.resolve().name,
            "folder": str(seen.folder),
            "columns": [
                {"name": column.name, "title": column.title, "kind": column.kind}
                for column in seen.columns
            ],
            "paths": {name: path.latent.tolist() for name, path in paths.items()},
            "closed": [name for name, path in paths.items() if path.is_closed],
            "motions": [
                {"name": motion.name, "direction": motion.direction.tolist(), "low": motion.low,
                 "high": motion.high}
                for motion in seen.motions
            ],
            "tasks": [task.told() for task in self.background.tasks()],
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
        return {name: values.tolist() for name, values in self.exploration.history().items()}

    def column_bytes(self, name: str) -> bytes | None:
        """float32 per particle; None if there is no such column."""
        column = self.exploration.column(name)
        if column is None:
            return None
        values = column.read()
        if len(values) != len(self.decoding().latent):
            raise CheckpointError(f"{name}: {len(values)} values for the particles of the job")
        return values.astype("<f4").tobytes()

    def map_names(self) -> list[str]:
        """Maps that there are now."""
        return list(self.exploration.maps())

    def map_bytes(self, name: str) -> bytes | None:
        """A map as a frame; None if there is none of this name.

        Raises
        ------
        InputFileError
            If its file is no map.
        OptionError
            If it has no positive density.
        """
        read = self.exploration.maps().get(name)
        if read is None:
            return None
        try:
            return write_map(read())
        except ValueError as error:
            raise OptionError(f"{name}: cannot be shown: {error}") from error

    async def answer(self, frame: bytes) -> bytes:
        """The Gaussians at the place that is asked for.

        Raises
        ------
        ValueError
            If the frame is no question that this job can answer.
        """
        question = read_question(frame)
        decoding = self.decoding()
        latent = await self.latent_at(question, decoding)
        model = decoding.decode(torch.from_numpy(latent)[None])[0]
        everyone = self._maps.get(("latent",))
        reach = float("nan") if everyone is None else everyone.reach(latent)
        return write_answer(question.number, latent, model, reach)

    async def prepare(self) -> None:
        """Find the neighbours of every particle, which answers do not wait for."""
        if self.exploration.decoding is not None:
            await self.everyone()

    async def act(self, message: dict[str, object]) -> dict[str, object]:
        """Do what the page asks; ``error`` is the one line of a mistake."""
        try:
            return await self._act(message)
        except (CryomixError, ValueError, KeyError, TypeError) as error:
            return {"error": " ".join(str(error).split())}

    async def _act(self, message: dict[str, object]) -> dict[str, object]:
        what = message.get("do")
        if what == "nearest":
            point = np.array(message["latent"], np.float32)
            if point.shape != self.decoding().latent.shape[1:] or not np.isfinite(point).all():
                raise OptionError(f"a latent of this job was expected, got {message['latent']}")
            count = int(str(message["count"]))
            if count < 1:
                raise OptionError(f"the number of particles must be at least 1, got {count}")
            rows = (await self.everyone()).nearest(point, count)
            return {"rows": _pack(rows, len(self.decoding().latent))}
        if what in ("keep", "rebuild"):
            name = require_name(message["name"])
            rows = _unpack(str(message["rows"]), len(self.decoding().latent))
            desk = self.exploration.desk
            command = await asyncio.to_thread(desk.keep, name, rows)
            if what == "keep":
                return {"command": command, "scene": desk.scene(name)}
            task = await self.background.start(desk.rebuild(name), partial(desk.clear, name))
            return {"command": task.command, "scene": desk.scene(name)}
        if what in PATH_ACTS:
            return await PathTalk(self).act(str(what), message)
        if what == "cancel":
            self.background.cancel(int(str(message["task"])))
            return {}
        raise OptionError(f"the page asked for {what!r}, which is nothing that can be done")

    async def latent_at(
        self, question: Question, decoding: Decoding
    ) -> Float[np.ndarray, "latent"]:
        """What is asked for, or the latent at that place of the map."""
        size = decoding.latent.shape[1]
        if len(question.value) != (size if question.kind is Asked.LATENT else 2):
            raise ValueError(f"{len(question.value)} numbers are no {question.kind.name}")
        if question.kind is Asked.LATENT:
            return question.value
        columns = self.exploration.columns
        if max(question.columns) >= len(columns):
            raise ValueError(f"there are {len(columns)} columns, got {max(question.columns)}")
        names = tuple(columns[number].name for number in question.columns)
        if question.kind is Asked.IN_PLANE and decoding.axes.has(names):
            return decoding.axes.lift(names, question.value)
        if names not in self._maps:
            self._maps[names] = await asyncio.to_thread(self._neighborhood, question.columns)
        near = self._maps[names].nearest(question.value, CROWD)
        mean: Float[np.ndarray, "latent"] = decoding.latent[near].mean(axis=0)
        return mean.astype(np.float32)

    def _neighborhood(self, columns: tuple[int, int]) -> Neighborhood:
        return Neighborhood(
            np.stack([self.exploration.columns[number].read() for number in columns], axis=1)
        )

    async def everyone(self) -> Neighborhood:
        """The particles in the latent space."""
        if ("latent",) not in self._maps:
            latent = self.decoding().latent
            self._maps["latent",] = await asyncio.to_thread(Neighborhood, latent)
        return self._maps["latent",]

    def decoding(self) -> Decoding:
        """Raise a `ValueError` while there is no model."""
        if self.exploration.decoding is None:
            raise ValueError("this job has no model yet")
        return self.exploration.decoding


def _pack(rows: Int64[np.ndarray, "selected"], count: int) -> str:
    """Rows as bits, the first particle in the lowest bit, in base64."""
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
