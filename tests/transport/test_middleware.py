"""Six middlewares, each in a few lines, over every adapter and under every policy, however their bodies end.

They show that a response can be read, wrapped, left or replaced by a middleware: the user gets the right bytes, nothing
stays open, and no slot is lost.
"""

from __future__ import annotations

import gc
import inspect
import itertools
import types
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from support.body_ends import ENDS, cut, dropped, left
from support.site import LARGE, POLICIES, SMALL, Pair
from support.stage import COUNTS_REFERENCES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from support.site import Place

_RUNNING = {types.GeneratorType, types.AsyncGeneratorType, types.CoroutineType, types.FrameType}
_OURS = {
    "adieu",
    "adieu_native",
    "adieu_h11",
    "adieu_urllib3",
    "adieu_close",
    "adieu_wsgi",
    "adieu_asgi",
}

_KEY = bytes(byte ^ 0x5A for byte in range(256))
_LIMIT = 300_000


class Tee(adieu.Middleware):
    def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        response = self.inner.send(request, exchange)
        facts = response.extras
        copy = facts["copy"] = bytearray()

        def tee(chunks: Iterator[bytes]) -> Iterator[bytes]:
            for chunk in chunks:
                copy.extend(chunk)
                facts["progress"] = len(copy)
                yield chunk

        return response.wrap(tee)


class AsyncTee(adieu.AsyncMiddleware):
    async def send(
        self, request: adieu.Request, exchange: adieu.AsyncExchange
    ) -> adieu.AsyncResponse:
        response = await self.inner.send(request, exchange)
        facts = response.extras
        copy = facts["copy"] = bytearray()

        async def tee(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            async for chunk in chunks:
                copy.extend(chunk)
                facts["progress"] = len(copy)
                yield chunk

        return response.wrap(tee)


class Decrypt(adieu.Middleware):
    def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        def decrypt(chunks: Iterator[bytes]) -> Iterator[bytes]:
            return (chunk.translate(_KEY) for chunk in chunks)

        return self.inner.send(request, exchange).wrap(decrypt, decoded=True)


class AsyncDecrypt(adieu.AsyncMiddleware):
    async def send(
        self, request: adieu.Request, exchange: adieu.AsyncExchange
    ) -> adieu.AsyncResponse:
        async def decrypt(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            async for chunk in chunks:
                yield chunk.translate(_KEY)

        return (await self.inner.send(request, exchange)).wrap(decrypt, decoded=True)


class _Store:
    """The answers that a cache keeps, by method and URL."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)  # type: ignore[call-arg] # of the middleware that comes next
        self.kept: dict[tuple[str, str], tuple[int, adieu.Headers, bytes]] = {}


class Cache(_Store, adieu.Middleware):
    def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        key = request.method, str(request.url)
        if key in self.kept:
            return adieu.Response(*self.kept[key])
        response = self.inner.send(request, exchange)
        status, headers = response.status_code, response.headers.copy()

        def keep(chunks: Iterator[bytes]) -> Iterator[bytes]:
            body = b""
            for chunk in chunks:
                body += chunk
                yield chunk
            self.kept[key] = status, headers, body

        return response.wrap(keep)


class AsyncCache(_Store, adieu.AsyncMiddleware):
    async def send(self, request: adieu.Request, exchange: Any) -> adieu.AsyncResponse:
        key = request.method, str(request.url)
        if key in self.kept:
            return adieu.AsyncResponse(*self.kept[key])
        response = await self.inner.send(request, exchange)
        status, headers = response.status_code, response.headers.copy()

        async def keep(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            body = b""
            async for chunk in chunks:
                body += chunk
                yield chunk
            self.kept[key] = status, headers, body

        return response.wrap(keep)


class Fallback(adieu.Middleware):
    def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        response = self.inner.send(request, exchange)
        if response.status_code == 500:
            return adieu.Response(200, body=b"fallback")
        return response


class AsyncFallback(adieu.AsyncMiddleware):
    async def send(
        self, request: adieu.Request, exchange: adieu.AsyncExchange
    ) -> adieu.AsyncResponse:
        response = await self.inner.send(request, exchange)
        if response.status_code == 500:
            return adieu.AsyncResponse(200, body=b"fallback")
        return response


def _is_json(response: Any) -> bool:
    return bool(response.headers.get("content-type") == "application/json")


class Again(adieu.Middleware):
    def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        response = self.inner.send(request, exchange)
        while _is_json(response) and response.json()["again"]:
            response = self.inner.send(request, exchange)
        return response


class AsyncAgain(adieu.AsyncMiddleware):
    async def send(
        self, request: adieu.Request, exchange: adieu.AsyncExchange
    ) -> adieu.AsyncResponse:
        response = await self.inner.send(request, exchange)
        while _is_json(response) and b"true" in await response.read():
            response = await self.inner.send(request, exchange)
        return response


class Bound(adieu.Middleware):
    def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        def bound(chunks: Iterator[bytes]) -> Iterator[bytes]:
            left = int(request.headers.get("x-limit", _LIMIT))
            for chunk in chunks:
                left -= len(chunk)
                if left < 0:
                    raise adieu.BodyTooLarge(f"{request.url} is longer than the limit")
                yield chunk

        return self.inner.send(request, exchange).wrap(bound)


class AsyncBound(adieu.AsyncMiddleware):
    async def send(self, request: adieu.Request, exchange: Any) -> adieu.AsyncResponse:
        async def bound(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            left = int(request.headers.get("x-limit", _LIMIT))
            async for chunk in chunks:
                left -= len(chunk)
                if left < 0:
                    raise adieu.BodyTooLarge(f"{request.url} is longer than the limit")
                yield chunk

        return (await self.inner.send(request, exchange)).wrap(bound)


MIDDLEWARES = {
    "tee": Pair(Tee, AsyncTee),
    "decrypt": Pair(Decrypt, AsyncDecrypt),
    "cache": Pair(Cache, AsyncCache),
    "fallback": Pair(Fallback, AsyncFallback),
    "again": Pair(Again, AsyncAgain),
    "bound": Pair(Bound, AsyncBound),
}

_EXPECTED = {
    "/small": SMALL,
    "/large": LARGE,
    "/chunked": SMALL,
    "/gzip": LARGE,
    "/empty": b"",
    "/none": b"",
    "/moved": SMALL,
    "/moved-empty": SMALL,
    "/moved-large": SMALL,
}


@pytest.fixture(params=MIDDLEWARES)
def name(request: pytest.FixtureRequest) -> str:
    """Each of the six."""
    chosen: str = request.param
    return chosen


def _part(cases: list[Any], name: str) -> list[Any]:
    """A sixth of the cases, another one for each middleware; each place sees all of them."""
    return cases[list(MIDDLEWARES).index(name) :: len(MIDDLEWARES)]


@pytest.mark.parametrize(
    "kind", [*itertools.chain(*MIDDLEWARES.values())], ids=lambda kind: kind.__name__
)
def test_each_is_written_in_fifteen_lines(kind: type) -> None:
    lines = inspect.getsource(kind).splitlines()
    assert len([line for line in lines if line.strip()]) <= 15


_WHOLE = [*itertools.product(_EXPECTED, POLICIES, (False, True))]


def test_the_user_gets_the_right_bytes(place: Place, name: str) -> None:
    pair = MIDDLEWARES[name]
    with place.block(place.client(pair)) as client:
        for path, policy, streaming in _part(_WHOLE, name):
            right = _EXPECTED[path].translate(_KEY) if name == "decrypt" else _EXPECTED[path]
            assert place.content(client, path, streaming, cleanup=policy) == right, (path, policy)
            head = place.get(client, path, "HEAD", cleanup=policy)
            assert head.is_closed
            assert place.read(head) == b""
            place.is_free(client)


def _bound_raises(place: Place, client: Any, policy: Any) -> None:
    for path, streaming in itertools.product(("/large", "/chunked"), (False, True)):
        with pytest.raises(adieu.BodyTooLarge, match="longer than the limit"):
            place.content(client, path, streaming, cleanup=policy, headers={"x-limit": "7"})


_ENDS = [*itertools.product(ENDS, POLICIES)]


@pytest.mark.usefixtures("uncollected")
def test_nothing_is_lost_however_a_body_ends(place: Place, name: str) -> None:
    with place.block(place.client(MIDDLEWARES[name])) as client:
        for end, policy in _part(_ENDS, name):
            end(place, client, policy)
            place.is_free(client)
        if name == "bound":
            for policy in POLICIES:
                _bound_raises(place, client, policy)
                place.is_free(client)


@pytest.mark.usefixtures("uncollected")
def test_nothing_is_lost_when_all_of_them_are_around_one_another(place: Place) -> None:
    # The cache is outside of what sends again.
    pairs = [MIDDLEWARES[name] for name in ("fallback", "again", "bound", "tee", "cache")]
    with place.block(place.client(*pairs)) as client:
        for policy, streaming in itertools.product(POLICIES, (False, True)):
            for path in ("/moved", "/gzip", "/chunked", "/500-large", "/again"):
                right = {"/500-large": b"fallback", "/again": b'{"again": false}'}
                wanted = right.get(path, _EXPECTED.get(path))
                assert place.content(client, path, streaming, cleanup=policy) == wanted
            left(place, client, policy)
            dropped(place, client, policy)
            cut(place, client, policy)
            place.is_free(client)


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="this interpreter counts no references")
def test_no_end_of_a_wrapped_body_makes_a_reference_cycle(place: Place, name: str) -> None:
    gc.collect()
    gc.freeze()  # The older objects stay frozen: every later collection would traverse all objects of pytest.
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        with place.block(place.client(MIDDLEWARES[name])) as client:
            for end in ENDS:
                end(place, client, adieu.ReleaseOnRead())
            if name == "bound":
                _bound_raises(place, client, adieu.Prefetch())
            place.runner.settle()
        del client
        gc.collect()
        found = [type(thing) for thing in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    ours = {kind for kind in found if kind.__module__.partition(".")[0] in _OURS}
    assert ours | ({*found} & _RUNNING) == set()


# What each of them is for


def test_a_tee_sees_what_the_user_reads_and_no_more(place: Place) -> None:
    with place.block(place.client(MIDDLEWARES["tee"])) as client:
        whole = place.get(client, "/large")
        assert place.read(whole) == whole.extras["copy"] == LARGE
        assert whole.extras["progress"] == len(LARGE)
        with place.block(client.stream("GET", "/chunked", cleanup=adieu.ReleaseOnRead())) as left:
            first = next(place.each(left.iter_bytes()))
        assert left.extras["copy"] == first  # What was drained is not the user's.
        place.is_free(client)


def test_a_decrypted_body_has_no_coding_any_more(place: Place) -> None:
    with place.block(place.client(MIDDLEWARES["decrypt"])) as client:
        response = place.get(client, "/gzip")
        assert place.read(response) == LARGE.translate(_KEY)
        assert "content-encoding" not in response.headers
        assert "content-length" not in response.headers


def test_a_cache_keeps_what_was_complete(place: Place) -> None:
    with place.block(place.client(MIDDLEWARES["cache"])) as client:
        for policy, path in itertools.product(POLICIES, ("/large", "/chunked", "/gzip", "/moved")):
            query = f"?{POLICIES.index(policy)}"
            left(place, client, policy)
            with pytest.raises(adieu.TransportError):
                place.content(client, "/cut", True, cleanup=policy)
            first = place.content(client, path + query, True, cleanup=policy)
            served = place.site.served
            for streaming in (False, True):
                second = place.content(client, path + query, streaming, cleanup=policy)
                assert second == first == _EXPECTED[path]
            assert place.site.served - served == 0 if "moved" not in path else True
            place.is_free(client)


def test_an_error_is_replaced_and_its_body_ended(place: Place) -> None:
    with place.block(place.client(MIDDLEWARES["fallback"])) as client:
        for policy, streaming in itertools.product(POLICIES, (False, True)):
            for path in ("/500", "/500-large"):
                with place.block(client.stream("GET", path, cleanup=policy)) as response:
                    assert (response.status_code, place.read(response)) == (200, b"fallback")
                assert place.content(client, path, streaming, cleanup=policy) == b"fallback"
                place.is_free(client)


def test_a_body_that_asks_for_it_is_sent_for_again(place: Place) -> None:
    with place.block(place.client(MIDDLEWARES["again"])) as client:
        for policy, streaming in itertools.product(POLICIES, (False, True)):
            served = place.site.served
            content = place.content(client, "/again", streaming, cleanup=policy)
            assert content == b'{"again": false}'
            assert place.site.served == served + 2
            place.is_free(client)
