"""A session that talks to the cell of a notebook; the only import of anywidget.

Messages are dictionaries, with at most one binary buffer beside them. A page has a name, ``view``,
under which it is answered; what has no view goes to every page. ``what`` a page wants:

- ``hello``, ``bye``: it has come, or gone. The first is answered by the job and the state.
- ``read``: a ``path`` such as ``columns/pca1``, with an ``id``; bytes or an ``error`` come back.
- ``text``, ``frame``: as the server's WebSocket has them.
- ``chosen``, ``shown``: particles were chosen, as bits, or a latent is shown, as float32. ``put``
  is the same from Python, or from another page.
"""

import asyncio
import atexit
import json
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from functools import cache
from importlib.resources import files
from threading import Event, Thread
from typing import Any
from urllib.parse import unquote

import anywidget
import numpy as np
import torch
import traitlets
from jaxtyping import Float, Int64

from cryomix.errors import CryomixError, OptionError
from cryomix.imaging.gaussians import GaussianModel
from cryomix.viewer.background import Task
from cryomix.viewer.exploration import Exploration
from cryomix.viewer.session import Session

_LOOK_EVERY = 2.0  # seconds, for new results of the job
_PATIENCE = 10.0  # seconds, for commands in the background to end
_PAGE = files("cryomix.viewer") / "page"
_ALIVE: "weakref.WeakSet[SessionWidget]" = weakref.WeakSet()  # to be closed
_origin: ContextVar[str] = ContextVar("_origin", default="")  # the page that changes the state


class SessionWidget(anywidget.AnyWidget):
    """The explorer of one job; it may be shown in several cells.

    Attributes
    ----------
    latent
        Of the model that is shown, float32; set it, and the page goes there.
    selection
        Rows of the chosen particles, from 0, sorted; set it to rows or to a mask over all
        particles, and they are chosen in the page.
    """

    _esm = (_PAGE / "viewer.js").read_text(encoding="utf-8")
    latent = traitlets.Any()
    selection = traitlets.Any()

    def __init__(self, exploration: Exploration) -> None:
        self._session = Session(exploration, self._tell)
        self._views: set[str] = set()
        self._in_turn = asyncio.Lock()
        super().__init__()
        self._forget()
        self.on_msg(self._hear)
        self._watching = asyncio.run_coroutine_threadsafe(self._watch(), _start_loop())
        _ALIVE.add(self)

    def model(self) -> GaussianModel:
        """The Gaussian model that is shown: that of `latent`."""
        return self._session.snapshot.decoding.decode(torch.tensor(self.latent)[None])[0]

    def close(self) -> None:
        """Stop what runs in the background, and take the explorer out of its cells."""
        if self in _ALIVE:  # the end of an object closes it as well, once more or half made
            _ALIVE.discard(self)
            self._watching.cancel()
            ending = asyncio.run_coroutine_threadsafe(
                self._session.background.close(), _start_loop()
            )
            with suppress(TimeoutError):
                ending.result(_PATIENCE)
        super().close()

    @traitlets.validate("latent")
    def _require_latent(self, proposal: Any) -> Float[np.ndarray, "latent"]:
        size = self._sizes()[1]
        value = np.array(proposal["value"], np.float32)
        if value.shape != (size,) or not np.isfinite(value).all():
            raise OptionError(f"latent must be {size} finite numbers, got {proposal['value']}")
        return _frozen(value)

    @traitlets.validate("selection")
    def _require_rows(self, proposal: Any) -> Int64[np.ndarray, "selected"]:
        count = self._sizes()[0]
        rows = np.asarray(proposal["value"])
        if rows.dtype == bool and rows.shape == (count,):
            return _frozen(np.flatnonzero(rows).astype(np.int64))
        if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
            raise OptionError(
                f"selection must be rows or a mask of {count} particles, got {rows.dtype} of "
                f"shape {rows.shape}"
            )
        rows = np.unique(rows.astype(np.int64))
        if rows.size and not 0 <= rows[0] <= rows[-1] < count:
            raise OptionError(
                f"rows of {count} particles go from 0 to {count - 1}, got {rows[0]} to {rows[-1]}"
            )
        return _frozen(rows)

    @traitlets.observe("latent", "selection")
    def _put(self, change: Any) -> None:
        kind, content = self._state(change["name"])
        self.send({"put": kind, "but": _origin.get()}, [content])

    def _state(self, name: str) -> tuple[str, bytes]:
        if name == "latent":
            return "shown", self.latent.astype("<f4").tobytes()
        chosen = np.zeros(self._sizes()[0], bool)
        chosen[self.selection] = True
        return "chosen", np.packbits(chosen, bitorder="little").tobytes()

    def _sizes(self) -> tuple[int, int]:
        """Particles and latents; none before the training has ended."""
        decoding = self._session.snapshot.exploration.decoding
        count, size = (0, 0) if decoding is None else decoding.latent.shape
        return count, size

    def _forget(self) -> None:
        """Nothing is chosen, and the neutral model is shown."""
        self.latent = np.zeros(self._sizes()[1], np.float32)
        self.selection = np.zeros(0, np.int64)

    def _hear(self, _: object, content: dict[str, Any], buffers: list[memoryview]) -> None:
        """In the kernel's thread: what changes the state; all else is done beside it."""
        view, frame = str(content["view"]), bytes(buffers[0]) if buffers else b""
        what = content.get("what")
        if what == "shown":
            self._take(view, "latent", np.frombuffer(frame, "<f4"))
        elif what == "chosen":
            bits = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")
            self._take(view, "selection", np.flatnonzero(bits))
        elif what == "bye":
            self._views.discard(view)
        else:
            asyncio.run_coroutine_threadsafe(self._reply(view, content, frame), _start_loop())

    def _take(self, view: str, name: str, value: np.ndarray) -> None:
        """What a page has come to; a page that knows an older reading of the job means nothing."""
        token = _origin.set(view)
        try:
            with suppress(OptionError):
                setattr(self, name, value)
        finally:
            _origin.reset(token)

    async def _reply(self, view: str, content: dict[str, Any], frame: bytes) -> None:
        try:
            what = content.get("what")
            if what == "hello":
                self._views.add(view)
                self._say(view, {"job": self._describe()})
                for name in ("latent", "selection"):
                    kind, state = self._state(name)
                    if any(state):  # else it is what a page begins with
                        self.send({"view": view, "put": kind}, [state])
            elif what == "read":
                await self._read(view, content)
            elif what == "text":
                asked = dict(json.loads(content["text"]))
                self._say(view, {"id": asked.get("id"), **await self._session.act(asked)})
            else:
                async with self._in_turn:
                    answer = await self._session.answer(frame)
                self.send({"view": view}, [answer])
        except Exception as error:  # nobody waits for this coroutine: the page says it
            self.send({"view": view, "failed": f"{type(error).__name__}: {error}"})

    async def _read(self, view: str, content: dict[str, Any]) -> None:
        told = {"view": view, "id": content["id"]}
        try:
            found = await asyncio.to_thread(_read, self._session, str(content["path"]))
        except CryomixError as error:
            self.send({**told, "error": str(error)})
        else:
            self.send(told, [found])

    def _describe(self) -> dict[str, object]:
        # The code of the page comes from this process: it is always of one age with the session.
        return {**self._session.describe(), "page": ""}

    def _tell(self, task: Task) -> None:
        self._say("", {"task": task.told()})

    def _say(self, view: str, message: dict[str, object]) -> None:
        self.send({"view": view, "text": json.dumps(message)})

    async def _watch(self) -> None:
        """Read the job anew when it has new results, and tell every page; without pages, wait."""
        while True:
            await self._session.prepare()
            await asyncio.sleep(_LOOK_EVERY)
            # A file may go away between its being found and its being looked at.
            with suppress(OSError):
                before = self._sizes()
                if self._views and await self._session.renew():
                    if self._sizes() != before:
                        self._forget()
                    self._say("", {"job": self._describe()})


def _frozen(values: np.ndarray) -> np.ndarray:
    """A change inside it would not be seen by the page."""
    values.flags.writeable = False
    return values


def _read(session: Session, path: str) -> bytes:
    whole: dict[str, Callable[[], Mapping[str, object]]] = {
        "history": session.history,
        "maps": session.map_names,
    }
    kind, _, name = path.partition("/")
    found: bytes | Mapping[str, object] | None = None
    if path in whole:
        found = whole[path]()
    elif kind in session.named():
        found = session.named()[kind](unquote(name))
    if found is None:
        raise OptionError(f"{path}: this job has none")
    return found if isinstance(found, bytes) else json.dumps(found).encode()


@cache
def _start_loop() -> asyncio.AbstractEventLoop:
    """A loop in a thread of its own.

    A cell that computes holds up the kernel's loop, and some notebooks bring messages in threads
    without one. What runs in the background goes on beside both. One model is decoded by one
    thread, as in ``cryomix view``; how many the notebook's own computations take is not touched.
    """
    loop = asyncio.new_event_loop()
    began = Event()

    def run() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # a thread takes the number of all at its first use, then keeps it
        began.set()
        loop.run_forever()

    threads = torch.get_num_threads()
    Thread(target=run, name="cryomix explorer", daemon=True).start()
    began.wait()
    torch.set_num_threads(threads)  # of threads that begin from now on
    return loop


@atexit.register
def _close_all() -> None:
    """What was started from a notebook ends with its kernel."""
    for widget in list(_ALIVE):
        widget.close()
