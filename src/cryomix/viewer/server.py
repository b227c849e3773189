"""A session served to the browsers of this machine: page, columns, and one WebSocket."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from importlib.resources import files

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from cryomix.errors import CryomixError
from cryomix.viewer.background import Task
from cryomix.viewer.exploration import Exploration
from cryomix.viewer.guard import prove, refusal, refusal_of_strangers
from cryomix.viewer.session import Session

_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; worker-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_REFUSED = 4403
_LOOK_EVERY = 2.0  # seconds, for new results of the job
_LARGEST = 4_000_000  # bytes of a message; a selection of 10⁷ particles has 1.7 million


def make_app(exploration: Exploration, token: str) -> Starlette:
    """The web application; every address begins with `token`."""
    page = _read_page()
    talks: set[asyncio.Queue[str]] = set()

    def tell(task: Task) -> None:
        for talk in talks:
            talk.put_nowait(json.dumps({"task": task.told()}))

    session = Session(exploration, tell)

    def describe() -> dict[str, object]:
        return {**session.describe(), "page": page["sources.sha256"].decode().strip()}

    def news() -> str:
        return json.dumps({"job": describe()})

    def show(request: Request) -> Response:
        name = request.path_params.get("name") or "index.html"
        kind = _TYPES.get(name[name.rfind(".") :], "application/octet-stream")
        return _content(page.get(name), kind)

    async def talk(socket: WebSocket) -> None:
        if refusal(socket, token) is not None:
            await socket.close(_REFUSED)
            return
        await socket.accept()
        queue: asyncio.Queue[str] = asyncio.Queue()
        talks.add(queue)
        queue.put_nowait(news())  # a page that comes back learns what it missed
        try:
            await _converse(socket, session, queue)
        finally:
            talks.discard(queue)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        preparation = asyncio.create_task(session.prepare())
        watching = asyncio.create_task(_watch(session, talks, news))
        yield
        watching.cancel()
        await session.background.close()
        await preparation

    answers: list[tuple[str, Callable[[Request], Response]]] = [
        ("/{token}/", show),
        ("/{token}/job", lambda _: _json(describe())),
        ("/{token}/history", lambda _: _json(session.history())),
        ("/{token}/columns/{name:path}", _named(session.column_bytes)),
        ("/{token}/groups/{name:path}", _named(session.groups)),
        ("/{token}/maps", lambda _: _json(session.map_names())),
        ("/{token}/curves/{name}", _named(session.curve)),
        ("/{token}/maps/{name}", _named(session.map_bytes)),
        ("/{token}/{name}", show),
        ("/{rest:path}", show),
    ]
    routes = [Route("/proof/{challenge}", _proof(token))]
    routes += [Route(path, _guarded(answer, token)) for path, answer in answers]
    return Starlette(lifespan=lifespan, routes=[WebSocketRoute("/{token}/talk", talk), *routes])


def open_socket(port: int) -> socket.socket:
    """A socket on this machine only; port 0 takes a free one."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        # At once: until one of them listens, Linux lets two programs have the same port.
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def make_server(app: Starlette) -> uvicorn.Server:
    """Its `run` takes the sockets; setting `should_exit` ends it."""
    config = uvicorn.Config(
        app, log_level="warning", ws="websockets-sansio", ws_per_message_deflate=False,
        ws_max_size=_LARGEST, timeout_graceful_shutdown=3, server_header=False,
    )  # fmt: skip
    return uvicorn.Server(config)


async def _converse(socket: WebSocket, session: Session, queue: "asyncio.Queue[str]") -> None:
    """Answer each message in the order in which they come; pass on news of background tasks."""

    async def pass_on() -> None:
        while True:
            await socket.send_text(await queue.get())

    async def act(asked: dict[str, object]) -> None:
        done = await session.act(asked)
        queue.put_nowait(json.dumps({"id": asked.get("id"), **done}))

    news = asyncio.create_task(pass_on())
    acts: set[asyncio.Task[None]] = set()
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("bytes") is not None:
                await socket.send_bytes(await session.answer(message["bytes"]))
            else:
                # Beside the answers: writing a large file must not hold up the model.
                acts.add(act_task := asyncio.create_task(act(dict(json.loads(message["text"])))))
                act_task.add_done_callback(acts.discard)
    except (ValueError, KeyError, TypeError, WebSocketDisconnect):
        # No page of ours sends what cannot be read: the connection ends, the server does not.
        if socket.application_state.name == "CONNECTED":
            await socket.close(1003)
    finally:
        news.cancel()


async def _watch(
    session: Session, talks: "set[asyncio.Queue[str]]", news: Callable[[], str]
) -> None:
    """Read the job anew when it has new results, and tell every page; without pages, wait."""
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        # A file may go away between its being found and its being looked at.
        with suppress(OSError):
            if talks and await session.renew():
                for talk in talks:
                    talk.put_nowait(news())
        await session.prepare()


def _named(
    read: Callable[[str], bytes | Mapping[str, object] | None],
) -> Callable[[Request], Response]:
    """Of one column, map or curve: numbers as they are, or JSON."""

    def answer(request: Request) -> Response:
        try:
            found = read(request.path_params["name"])
        except CryomixError as error:
            return _refusal(str(error), 409)
        return _content(found) if found is None or isinstance(found, bytes) else _json(found)

    return answer


def _guarded(answer: Callable[[Request], Response], token: str) -> Callable[[Request], Response]:
    def guard(request: Request) -> Response:
        reason = refusal(request, token)
        return answer(request) if reason is None else _refusal(reason, 403)

    return guard


def _proof(token: str) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        reason = refusal_of_strangers(request)
        if reason is not None:
            return _refusal(reason, 403)
        return _content(prove(token, request.path_params["challenge"]).encode(), "text/plain")

    return answer


def _refusal(reason: str, status: int) -> Response:
    return PlainTextResponse(reason, status, headers=_HEADERS)


def _content(content: bytes | None, kind: str = "application/octet-stream") -> Response:
    if content is None:
        return _refusal("there is no such page", 404)
    return Response(content, media_type=kind, headers=_HEADERS)


def _json(content: Mapping[str, object]) -> Response:
    return JSONResponse(content, headers=_HEADERS)


def _read_page() -> dict[str, bytes]:
    """All files of the page, held in memory: no address can lead to another file."""
    folder = files("cryomix.viewer") / "page"
    return {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.is_file()}
