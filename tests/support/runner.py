"""Drives a client for a test: the test is written once, and each mode has a runner.

A test calls `run(client.get(...))`. A sync client has done the call by then, and `run` returns its result. The
awaitable of an async client is awaited in an event loop with its own thread, so several threads of a test may call at
once. The other methods hide the other differences between the modes.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
from typing import TYPE_CHECKING, Any, Protocol

import adieu
from support.portal import AsyncioPortal, TrioPortal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from contextlib import AbstractContextManager

    from support.portal import Portal

__all__ = ["RUNNERS", "AsyncRunner", "Runner", "SyncRunner"]


class Runner(Protocol):
    """The methods by which a test runs in every mode."""

    kind: type[Any]
    """The class of the clients."""
    adapters: tuple[str, ...]
    """The names of the adapters that such clients may have."""
    is_trio: bool
    """Its event loop is trio's."""

    def opened_at(self, place: str) -> str:
        """A regular expression for the place that a report names, if the test made the call at `place`."""
        ...

    def client(self, **options: Any) -> Any:
        """A client that the test has to close."""
        ...

    def run(self, awaitable: Any) -> Any:
        """The result of a call."""
        ...

    def now(self, awaitable: Any) -> Any:
        """The result of a call that does not wait, for a hook or listener that the client calls."""
        ...

    def block(self, thing: Any) -> AbstractContextManager[Any]:
        """A client or a stream as a `with` block."""
        ...

    def each(self, pieces: Any) -> Iterator[Any]:
        """The pieces of an `iter_...` method."""
        ...

    def one_shot(self, method: str, url: str, **options: Any) -> Any:
        """A call in a client of its own."""
        ...

    def settle(self) -> None:
        """Wait until the event loop has done what other threads requested."""
        ...

    def close(self) -> None:
        """The test is over."""
        ...

    def one_stream(self, method: str, url: str, **options: Any) -> AbstractContextManager[Any]:
        """A stream in a client of its own."""
        ...


class SyncRunner:
    """For `adieu.Client`."""

    kind = adieu.Client
    adapters: tuple[str, ...] = ("urllib3", "native", "close")
    is_trio = False

    def opened_at(self, place: str) -> str:
        return place

    def client(self, **options: Any) -> Any:
        return adieu.Client(**options)

    def run(self, awaitable: Any) -> Any:
        return awaitable

    now = run

    def block(self, thing: Any) -> AbstractContextManager[Any]:
        held: AbstractContextManager[Any] = thing
        return held

    def each(self, pieces: Any) -> Iterator[Any]:
        return iter(pieces)

    def one_shot(self, method: str, url: str, **options: Any) -> Any:
        return adieu.request(method, url, **options)

    def one_stream(self, method: str, url: str, **options: Any) -> AbstractContextManager[Any]:
        return adieu.stream(method, url, **options)

    def settle(self) -> None:
        pass

    def close(self) -> None:
        pass


class AsyncRunner:
    """For `adieu.AsyncClient`, in the event loop of a portal."""

    kind = adieu.AsyncClient
    adapters: tuple[str, ...] = ("native", "close")

    def opened_at(self, place: str) -> str:
        return rf"runner\.py:\d+ in {_awaited.__name__}"

    def __init__(self, portal: Callable[[], Portal]) -> None:
        self._portal = portal()
        self.is_trio = isinstance(self._portal, TrioPortal)

    def client(self, **options: Any) -> Any:
        return adieu.AsyncClient(**options)

    def run(self, awaitable: Any) -> Any:
        if not hasattr(awaitable, "__await__"):
            return awaitable
        awaitables = [awaitable]
        del awaitable
        return self._portal.run(lambda: _awaited(awaitables.pop()))

    def now(self, awaitable: Any) -> Any:
        try:
            awaitable.send(None)
        except StopIteration as end:
            return end.value
        awaitable.close()
        raise AssertionError("it waited")

    def block(self, thing: Any) -> AbstractContextManager[Any]:
        return _Block(self, thing)

    def each(self, pieces: Any) -> Iterator[Any]:
        return _Each(self, pieces)

    def one_shot(self, method: str, url: str, **options: Any) -> Any:
        async def call() -> object:
            own = _own(options)
            async with adieu.AsyncClient(**own) as client:
                return await client.request(method, url, **options)

        return call()

    @contextlib.contextmanager
    def one_stream(self, method: str, url: str, **options: Any) -> Iterator[Any]:
        with (
            self.block(adieu.AsyncClient(**_own(options))) as client,
            self.block(client.stream(method, url, **options)) as response,
        ):
            yield response

    def settle(self) -> None:
        self._portal.settle()

    def close(self) -> None:
        self._portal.close()


def _own(options: dict[str, Any]) -> dict[str, Any]:
    """Remove the options of a client from those of a call, and return them."""
    return {name: options.pop(name) for name in ("adapter", "verify", "cert") if name in options}


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


class _Block:
    """An `async with` block that the thread of the test enters and leaves."""

    def __init__(self, runner: AsyncRunner, thing: Any) -> None:
        self._runner = runner
        self._thing = thing

    def __enter__(self) -> Any:
        return self._runner.run(self._thing.__aenter__())

    def __exit__(self, *error: Any) -> Any:
        try:
            return self._runner.run(self._thing.__aexit__(*error))
        finally:
            del error


class _Each:
    """An async iterator that the thread of the test iterates over."""

    def __init__(self, runner: AsyncRunner, pieces: Any) -> None:
        self._runner = runner
        self._pieces = pieces

    def __iter__(self) -> _Each:
        return self

    def __next__(self) -> Any:
        try:
            return self._runner.run(self._pieces.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        self._runner.run(self._pieces.aclose())


RUNNERS: dict[str, Callable[[], Runner]] = {
    "sync": SyncRunner,
    "async": functools.partial(AsyncRunner, AsyncioPortal),
}
if importlib.util.find_spec("trio") is not None:
    RUNNERS["async-trio"] = functools.partial(AsyncRunner, TrioPortal)
