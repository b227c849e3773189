"""Who may talk to the server: this machine's own page, and nobody who does not know its token."""

import hmac
import secrets
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

_LOCAL = {"127.0.0.1", "localhost", "::1"}


def make_token() -> str:
    """A secret that is part of every address."""
    return secrets.token_urlsafe(24)


def prove(token: str, challenge: str) -> str:
    """What only a server with this token can answer to a challenge; the token stays secret.

    A page that has lost its server asks whoever listens on the port now before it sends the token.
    """
    return hmac.new(token.encode(), f"cryomix view {challenge}".encode(), "sha256").hexdigest()


def refusal(connection: HTTPConnection, token: str) -> str | None:
    """Why a request or a WebSocket is refused; None if it is not."""
    reason = refusal_of_strangers(connection)
    if reason is not None:
        return reason
    given = str(connection.path_params.get("token", ""))
    if not secrets.compare_digest(given.encode(), token.encode()):
        return "the address lacks the token that cryomix view printed"
    return None


def refusal_of_strangers(connection: HTTPConnection) -> str | None:
    """The same for what needs no token.

    The name in the Host header must be this machine's, so that no page of another site can have
    its own name resolve to this server. A page that names an Origin must be ours; one that opens
    a WebSocket must name one. Behind ``ssh -L`` the port may differ, but then of both.
    """
    host = connection.headers.get("host", "")
    if _name(f"//{host}") not in _LOCAL:
        return "this server answers to localhost only"
    origin = connection.headers.get("origin")
    if origin is None and connection.scope["type"] == "websocket":
        return "a WebSocket must name its Origin"
    if origin is not None and origin != f"http://{host}":
        return "a page of another origin may not read this one"
    return None


def _name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
