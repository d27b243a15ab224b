"""What answers the requests of a scenario: a `FaultServer`, or an app in this process for adapters that call one.

A `Site` counts what an adapter has open with it: the sockets that are connected to the server, in the operating
system's table, or the responses of the app that have not been ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from weakref import WeakValueDictionary

from adieu.messages.response import Response
from adieu.testing.faults import FaultServer
from adieu.testing.request import Request
from adieu.testing.routes import coded
from adieu.testing.routing import extra_headers, pieces
from adieu.testing.socket_table import established

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from adieu.messages.request import Request as Sent
    from adieu.testing.request import Headers

__all__ = ["AppKind", "AppSite", "NetworkSite"]

AppKind = Literal["wsgi", "asgi", "function"]


class NetworkSite(FaultServer):
    """A server. `in_use` counts the connections of this process to it."""

    counted = "sockets"

    def in_use(self) -> int:
        """The sockets of this process that are connected to the server, counted by the operating system."""
        return established(to_ports={self.port})


class _Answer(NamedTuple):
    status: int
    headers: Headers
    body: Iterator[bytes]


class _Body:
    """The body of an answer, as an app makes it: it has to be read to its end, or closed."""

    def __init__(self, pieces: Iterable[bytes], ended: Callable[[], object]) -> None:
        self._pieces = iter(pieces)
        self._ended = ended

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """The end: an app has to be told, in whichever way its kind is told it."""
        self._ended()


class AppSite:
    """An app with the routes of a `FaultServer` that keep the rules. `in_use` counts its responses that go on."""

    counted = "responses of the app"
    url = "http://app.invalid"
    port = 0
    accepted = 0

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._open: set[int] = set()
        _SITES[id(self)] = self

    def __reduce__(self) -> tuple[object, ...]:
        return _the_site, (id(self),)  # An adapter that is pickled calls the same app.

    @property
    def served(self) -> int:
        """The requests received so far."""
        return len(self.requests)

    def in_use(self) -> int:
        """The responses that have not ended."""
        return len(self._open)

    def app(self, kind: AppKind) -> Callable[..., Any]:
        """The app: for WSGI, for ASGI, or a function of a request that returns a response."""
        apps: dict[AppKind, Callable[..., Any]] = {
            "wsgi": self._wsgi,
            "asgi": self._asgi,
            "function": self._function,
        }
        return apps[kind]

    def _wsgi(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        query = environ["QUERY_STRING"]
        fields = [
            (name[5:].replace("_", "-").lower(), value)
            for name, value in environ.items()
            if name.startswith("HTTP_")
        ]
        target = f"{environ['PATH_INFO']}{'?' if query else ''}{query}"
        body = environ["wsgi.input"].read()
        answer = self._answer(environ["REQUEST_METHOD"], target, fields, body)
        start_response(f"{answer.status} Scripted", answer.headers)
        return answer.body

    async def _asgi(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return  # It has none.
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        query = scope["query_string"].decode("latin-1")
        fields = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in scope["headers"]]
        target = f"{scope['path']}{'?' if query else ''}{query}"
        answer = self._answer(scope["method"], target, fields, body)
        headers = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in answer.headers]
        try:
            start = {"type": "http.response.start", "status": answer.status, "headers": headers}
            await send(start)
            for piece in answer.body:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            answer.body.close()  # type: ignore[attr-defined]

    def _function(self, request: Sent) -> Response:
        fields = [("host", request.url.authority), *request.headers.multi_items()]
        body = b"".join(request.content.chunks())
        answer = self._answer(request.method, request.url.target, fields, body)
        return Response(answer.status, answer.headers, answer.body)

    def _answer(self, method: str, target: str, fields: Headers, body: bytes) -> _Answer:
        request = Request(method, target, "HTTP/1.1", fields)
        request.body, request.body_length = body, len(body)
        self.requests.append(request)
        number = request.number = len(self.requests)
        self._open.add(number)
        try:
            status, headers, content = _ROUTES[f"/{request.path.split('/')[1]}"](request)
        except BaseException:
            self._open.discard(number)
            raise
        if method == "HEAD" or status in (204, 304):
            content = ()
        headers = [*headers, ("x-request-number", str(number))]
        return _Answer(status, headers, _Body(content, lambda: self._open.discard(number)))


_SITES: WeakValueDictionary[int, AppSite] = WeakValueDictionary()


def _the_site(number: int) -> AppSite:
    return _SITES[number]


_Parts = tuple[int, "Headers", "Iterable[bytes]"]


def _in_json(**facts: object) -> _Parts:
    return 200, [("content-type", "application/json")], [json.dumps(facts).encode()]


def _status(request: Request) -> _Parts:
    size = request.count("body", 0)
    status = int(request.path.rpartition("/")[2])
    return status, [("content-length", str(size)), *extra_headers(request)], pieces(size)


def _redirect(request: Request) -> _Parts:
    left, size = request.count("n", 1, 50), request.count("body", 0)
    status, to = request.count("status", 302, 399), request.text("to", "/ok")
    if left > 1:
        to = request.target.replace(f"n={left}", f"n={left - 1}")
    return status, [("location", to), ("content-length", str(size))], pieces(size)


def _length(request: Request) -> _Parts:
    n = request.count("n", 1000)
    return 200, [("content-length", str(n))], pieces(n)


def _gzip(request: Request) -> _Parts:
    return 200, [("content-encoding", "gzip")], [coded(request.count("n", 1000), 31)]


def _fails(request: Request) -> _Parts:
    raise LookupError("of the app")


_ROUTES: dict[str, Callable[[Request], _Parts]] = {
    "/ok": lambda request: _in_json(request=request.number),
    "/bytes": _length,
    "/chunked": lambda request: (200, [], pieces(request.count("n", 1000), size=100)),
    "/until-close": lambda request: (200, [], pieces(request.count("n", 1000))),
    "/gzip": _gzip,
    "/empty": lambda request: (200, [("content-length", "0")], ()),
    "/no-content": lambda request: (204, [], ()),
    "/not-modified": lambda request: (304, [("etag", '"1"')], ()),
    "/status": _status,
    "/redirect": _redirect,
    "/echo": lambda request: _in_json(
        method=request.method,
        target=request.target,
        headers=request.headers,
        body=request.body.decode("latin-1"),
        length=request.body_length,
    ),
    "/fails": _fails,
}
