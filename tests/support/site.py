"""One small site, served in every way: by a server over sockets, by a WSGI and an ASGI app, and by a function.

With it a test of responses runs over every adapter. `Place` is the test's view of one of them.
"""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import adieu
from adieu_asgi import AsyncASGIAdapter
from adieu_close import AsyncCloseAdapter, CloseAdapter
from adieu_h11 import AsyncH11Adapter, H11Adapter
from adieu_native import AsyncNativeAdapter, NativeAdapter
from adieu_urllib3 import Urllib3Adapter
from adieu_wsgi import WSGIAdapter
from support.runner import RUNNERS
from support.stage import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from adieu.testing import FaultServer
    from adieu.testing.peer import Ending, Peer
    from adieu.testing.request import Request as ServerRequest
    from support.runner import Runner

__all__ = ["LARGE", "PLACES", "POLICIES", "SMALL", "Answer", "Pair", "Place", "place"]

SMALL = b"0123456789"
LARGE = bytes(range(256)) * 800

POLICIES = (
    adieu.Prefetch(),
    adieu.PrefetchUpTo(1000),
    adieu.ReleaseOnRead(),
    adieu.CloseOnExit(),
    adieu.NoKeepAlive(),
    adieu.Strict(),
    adieu.CleanupPolicy(),
)
"""One of each kind; the bound lies between the small and the large bodies."""

_JSON = (("content-type", "application/json"),)
_ONE = adieu.Limits(connections=1)


class Answer(NamedTuple):
    """What the site answers at one path. `cut`: the body breaks off after these pieces."""

    status: int
    headers: tuple[tuple[str, str], ...]
    pieces: tuple[bytes, ...]
    chunked: bool = False
    cut: bool = False

    @property
    def raw(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def length(self) -> int:
        return len(self.raw) + 100 * self.cut


_PARTS = tuple(LARGE[at : at + 50_000] for at in range(0, len(LARGE), 50_000))
_ANSWERS = {
    "/small": Answer(200, (), (SMALL,)),
    "/large": Answer(200, (), _PARTS),
    "/chunked": Answer(200, (), (SMALL[:3], SMALL[3:5], SMALL[5:]), chunked=True),
    "/gzip": Answer(200, (("content-encoding", "gzip"), ("etag", '"1"')), (gzip.compress(LARGE),)),
    "/empty": Answer(200, (), ()),
    "/none": Answer(204, (), ()),
    "/moved": Answer(302, (("location", "/small"),), (b"it has moved",)),
    "/moved-empty": Answer(302, (("location", "/small"),), ()),
    "/moved-large": Answer(302, (("location", "/small"),), _PARTS),
    "/cut": Answer(200, (), (SMALL,), cut=True),
    "/cut-chunked": Answer(200, (), (SMALL,), chunked=True, cut=True),
    "/500": Answer(500, (), (b"it is broken",)),
    "/500-large": Answer(500, (), _PARTS),
    "/done": Answer(200, _JSON, (b'{"again": false}',)),
}


class Site:
    """Answers by path; `/again` says `{"again": true}` every other time. `served` counts the requests."""

    def __init__(self) -> None:
        self.served = 0
        self._again = 0

    def answer(self, path: str) -> Answer:
        self.served += 1
        if path == "/again":
            self._again += 1
            return Answer(200, _JSON, (json.dumps({"again": self._again % 2 == 1}).encode(),))
        return _ANSWERS[path]

    def serve(self, peer: Peer, request: ServerRequest) -> Ending:
        """As a route of a `FaultServer`: with several pieces, the head is sent before them."""
        answer = self.answer(request.path)
        if answer.chunked:
            peer.start(answer.status, [*answer.headers, ("transfer-encoding", "chunked")])
            for piece in answer.pieces:
                peer.body(b"%x\r\n%b\r\n" % (len(piece), piece))
            if not answer.cut:
                peer.body(b"0\r\nx-end: reached\r\n\r\n")
        elif answer.status == 204:
            peer.start(204, answer.headers)
        else:
            head = peer.head(
                answer.status, [*answer.headers, ("content-length", str(answer.length))]
            )
            if request.method == "HEAD" or len(answer.pieces) < 2:
                peer.send(head + (b"" if request.method == "HEAD" else answer.raw))
            else:
                for piece in (head, *answer.pieces):
                    peer.send(piece)
        return "close" if answer.cut else "keep"

    def _fields(self, answer: Answer) -> list[tuple[str, str]]:
        if answer.chunked or answer.status == 204:
            return list(answer.headers)
        return [*answer.headers, ("content-length", str(answer.length))]

    def wsgi(self, environ: dict[str, Any], start_response: Any) -> Any:
        answer = self.answer(environ["PATH_INFO"])
        start_response(f"{answer.status} Scripted", self._fields(answer))
        return _pieces(answer, environ["REQUEST_METHOD"], OSError if answer.chunked else None)

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        answer = self.answer(scope["path"])
        fields = [(name.encode(), value.encode()) for name, value in self._fields(answer)]
        await send({"type": "http.response.start", "status": answer.status, "headers": fields})
        broken = OSError if answer.chunked else None
        for piece in _pieces(answer, scope["method"], broken):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    def function(self, request: adieu.Request) -> adieu.Response:
        answer = self.answer(request.url.path)
        body = _pieces(answer, "GET", OSError) if _has_body(answer, request) else None
        return adieu.Response(answer.status, answer.headers, body)

    async def async_function(self, request: adieu.Request) -> adieu.AsyncResponse:
        answer = self.answer(request.url.path)
        pieces = _pieces(answer, "GET", OSError) if _has_body(answer, request) else None
        body = _awaited(pieces) if pieces is not None and answer.chunked else pieces
        return adieu.AsyncResponse(answer.status, answer.headers, body)


def _has_body(answer: Answer, request: adieu.Request) -> bool:
    return bool(answer.raw) and request.method != "HEAD"


def _pieces(answer: Answer, method: str, broken: type[Exception] | None) -> Iterator[bytes]:
    if method != "HEAD":
        yield from answer.pieces
        if answer.cut and broken is not None:
            raise broken("the disk is gone")


async def _awaited(pieces: Iterator[bytes]) -> Any:
    for piece in pieces:
        yield piece


class Pair(NamedTuple):
    """A middleware, written twice."""

    sync: Callable[..., Any]
    awaited: Callable[..., Any]


_SOCKETS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "native": (lambda: NativeAdapter(limits=_ONE), lambda: AsyncNativeAdapter(limits=_ONE)),
    "h11": (lambda: H11Adapter(limits=_ONE), lambda: AsyncH11Adapter(limits=_ONE)),
    "urllib3": (lambda: Urllib3Adapter(limits=_ONE), lambda: None),
    "close": (
        lambda: CloseAdapter(NativeAdapter(limits=_ONE)),
        lambda: AsyncCloseAdapter(AsyncNativeAdapter(limits=_ONE)),
    ),
}


class Place:
    """One mode and one adapter, in front of the site. Over sockets there is one connection, so a lost slot shows."""

    def __init__(self, runner: Runner, kind: str, server: FaultServer) -> None:
        self.runner = runner
        self.run = runner.run
        self.kind = kind
        self.site = Site()
        self.server = server
        for path in (*_ANSWERS, "/again"):
            server.on(path, self.site.serve)

    @property
    def is_async(self) -> bool:
        """Responses are read by awaiting."""
        return self.runner.kind is adieu.AsyncClient

    @property
    def pair_is_async(self) -> bool:
        """A middleware of this place is an async one."""
        return self.is_async and self.kind != "to_async"

    @property
    def is_local(self) -> bool:
        """No socket is opened."""
        return self.kind in {"app", "function"}

    @property
    def keeps_connections(self) -> bool:
        """A connection is used for one request after the other."""
        return not self.is_local and self.kind != "close"

    def adapter(self) -> Any:
        """A new adapter; for `to_async` the sync one inside of it."""
        if self.kind == "to_async":
            return NativeAdapter(limits=_ONE)
        if self.kind == "to_sync":
            return adieu.to_sync(AsyncNativeAdapter(limits=_ONE))
        if self.kind == "app":
            site = self.site
            return (
                AsyncASGIAdapter(site.asgi, lifespan="off")
                if self.is_async
                else WSGIAdapter(site.wsgi)
            )
        if self.kind == "function":
            return adieu.adapter(self.site.async_function if self.is_async else self.site.function)
        return _SOCKETS[self.kind][self.is_async]()

    def around(self, *pairs: Pair) -> Any:
        """A new adapter with middlewares around it, the innermost first, as a client of this place takes it."""
        adapter = self.adapter()
        for pair in pairs:
            adapter = (pair.awaited if self.pair_is_async else pair.sync)(adapter)
        return adieu.to_async(adapter, threads=1) if self.kind == "to_async" else adapter

    def client(self, *pairs: Pair, **options: Any) -> Any:
        """A client with such an adapter."""
        options.setdefault("adapter", self.around(*pairs))
        base_url = "http://site.example" if self.is_local else self.server.url
        return self.runner.client(base_url=base_url, timeout=PATIENCE, **options)

    def block(self, thing: Any) -> AbstractContextManager[Any]:
        """A client or a stream as a `with` block."""
        return self.runner.block(thing)

    def get(self, client: Any, path: str, method: str = "GET", **options: Any) -> Any:
        """The response of a call."""
        return self.run(client.request(method, path, **options))

    def stream(self, client: Any, path: str, **options: Any) -> Any:
        """The response of a streamed call, without its block."""
        return self.run(client.stream("GET", path, **options))

    def read(self, response: Any) -> bytes:
        """The content of a response."""
        content: bytes = self.run(response.read())
        return content

    def each(self, pieces: Any) -> Iterator[Any]:
        """The pieces of an `iter_...` method."""
        return self.runner.each(pieces)

    def content(self, client: Any, path: str, streaming: bool, **options: Any) -> bytes:
        """What a user reads: whole, or in pieces."""
        if not streaming:
            return self.read(self.get(client, path, **options))
        with self.block(client.stream(options.pop("method", "GET"), path, **options)) as response:
            return b"".join(self.each(response.iter_bytes()))

    def _in_use(self, client: Any) -> list[str]:
        return [str(line) for line in client.connections() if line.state != "idle"]

    def is_free(self, client: Any) -> None:
        """No connection is in use, and the next call gets its own answer."""
        self.runner.settle()
        if self.kind in {"to_async", "to_sync"}:
            # A call that was given up may have begun a moment before in the other thread, which then ends it.
            eventually(lambda: not self._in_use(client))
        assert self._in_use(client) == []
        path = f"/done?{self.site.served}"  # Which no cache has.
        assert self.read(self.get(client, path, cleanup=adieu.Prefetch()))


PLACES = [
    *(("sync", kind) for kind in (*_SOCKETS, "app", "function", "to_sync")),
    *(("async", kind) for kind in ("native", "h11", "close", "app", "function", "to_async")),
    *(("async-trio", kind) for kind in ("native", "function") if "async-trio" in RUNNERS),
]


@pytest.fixture(params=PLACES, ids="-".join)
def place(
    request: pytest.FixtureRequest, fault_server: FaultServer, census: object
) -> Iterator[Place]:
    """Every mode with each of its adapters; at the end no socket may be open."""
    mode, kind = request.param
    runner = RUNNERS[mode]()
    yield Place(runner, kind, fault_server)
    runner.close()
