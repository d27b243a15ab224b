"""The scope: the parts of a request, by their names in ASGI's HTTP specification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from adieu.errors import InvalidRequest, InvalidURL
from adieu.texts import show_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from adieu.messages.request import Request

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    ASGIApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

__all__ = ["VERSIONS", "checked_root_path", "scope_of", "websocket_scope"]

# 2.4: `send` raises an `OSError` after the client disconnected.
VERSIONS = {"version": "3.0", "spec_version": "2.4"}


def checked_root_path(text: str) -> str:
    """The path at which an app is mounted: "" or "/api", never with a slash at its end."""
    if not isinstance(text, str) or (text and text[0] != "/"):
        raise InvalidRequest(f'root_path is "" or begins with "/", as in "/api"; not {text!r}')
    return text.rstrip("/")


def scope_of(
    request: Request, root_path: str, client: tuple[str, int] | None, state: dict[str, Any] | None
) -> dict[str, Any]:
    """The scope of a request. Raises `InvalidURL` if the URL is not below `root_path`."""
    url = request.url
    path = unquote(url.path)
    if path[:1] != "/":
        raise InvalidURL(f"{show_url(url)} has no path that an app could serve")
    if path != root_path and not path.startswith(root_path + "/"):
        raise InvalidURL(f"{show_url(url)} is not below {root_path}/, where the app is mounted")
    headers = [
        (name.lower().encode("ascii"), value.encode("latin-1"))
        for name, value in request.headers.raw
    ]
    if url.authority and "host" not in request.headers:
        headers.insert(0, (b"host", url.authority.encode("ascii")))
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": dict(VERSIONS),
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "path": path,
        "raw_path": url.path.encode("ascii"),
        "query_string": (url.query or "").encode("ascii"),
        "root_path": root_path,
        "headers": headers,
        "client": client,
        "server": (url.host or "localhost", url.port or 80),
    }
    if state is not None:
        # A copy for each request: it may add names for itself, but shares the values of the app.
        scope["state"] = state.copy()
    return scope


def websocket_scope(scope: dict[str, Any], wanted: str | None) -> dict[str, Any]:
    """The scope of a WebSocket, from that of its handshake; `wanted`: the value of Sec-WebSocket-Protocol."""
    scope["type"] = "websocket"
    scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
    scope["subprotocols"] = [name.strip() for name in (wanted or "").split(",") if name.strip()]
    scope["extensions"] = {"websocket.http.response": {}}
    del scope["method"]
    return scope
