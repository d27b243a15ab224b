"""What a scenario has: a server, clients of the adapter under test, and the system's count of their sockets.

A scenario is written once, as steps that call a client and yield the result, and is driven for sync and async clients
alike. `Broken` is a rule that does not hold, with what was seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import adieu
from adieu.lifecycle.cleanup import ReleaseOnRead
from adieu.testing.ledger import Ledger
from adieu.transport.adapter import base_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.lifecycle.steps import Steps
    from adieu.testing.check.either import Either
    from adieu.testing.check.site import AppSite, NetworkSite

__all__ = ["Background", "Broken", "Interrupt", "LeftOut", "SilentPolicy", "Trial", "read_whole"]

T = TypeVar("T", bound=BaseException)

# Seconds: for what has to come at once, and for what another thread has to do.
PATIENCE = adieu.Timeout(connect=3, read=3, write=3, pool=3)
SOON = 3.0
_LOOK = 0.01


class Broken(AssertionError):
    """What was seen, where something else had to be."""


class LeftOut(NamedTuple):
    """What a scenario returns if it cannot be shown with this adapter: `why`."""

    why: str


class Interrupt(BaseException):
    """Stands for Ctrl-C and for a task's cancellation: no `except Exception` catches it."""


class SilentPolicy(ReleaseOnRead):
    """Reads nothing ahead, and does not warn of a dropped response: the ledger has it."""

    def on_abandoned(self, info: object) -> None:
        """Nothing."""


class Trial:
    """One run of one scenario."""

    def __init__(
        self, factory: Callable[..., Either], server: AppSite | NetworkSite, *, awaits: bool
    ) -> None:
        self._factory = factory
        self._clients: list[Either] = []
        # Of an app there is only what scenarios use that need no network.
        self.server: Either = server
        self.awaits = awaits
        self.ledger = Ledger()
        # What a user would keep, so that nothing is freed only because it was dropped.
        self.kept: list[Either] = []

    def adapter(self, **options: Either) -> Either:
        """A new adapter."""
        return self._factory(**options)

    def client(self, adapter: Either = None, **options: Any) -> Either:
        """A client of a new adapter, which is closed after the scenario."""
        kind = adieu.AsyncClient if self.awaits else adieu.Client
        options = {"timeout": PATIENCE, "proxy": None, "events": self.ledger, **options}
        options.setdefault("base_url", self.server.url)
        client = kind(adapter=self.adapter() if adapter is None else adapter, **options)
        self._clients.append(client)
        return client

    def middleware(self, send: Callable[[Either, Either, Either], Steps[Either]]) -> Either:
        """A new adapter inside a middleware with these steps: they get the inner `send`, the request, the exchange."""
        from adieu.lifecycle.steps import adrive, drive

        class Sync(adieu.Middleware):
            def send(self, request: Either, exchange: Either) -> Either:
                return drive(send(self.inner.send, request, exchange))

        class Async(adieu.AsyncMiddleware):
            async def send(self, request: Either, exchange: Either) -> Either:
                return await adrive(send(self.inner.send, request, exchange))

        return Async(self.adapter()) if self.awaits else Sync(self.adapter())

    def close_all(self) -> Steps[None]:
        """After the scenario."""
        for client in self._clients:
            yield client.close()

    # -- what was seen -------------------------------------------------------------------------------------------------

    def sockets(self) -> int:
        """The sockets of this process that are connected to the server; or the responses of an app that go on."""
        return int(self.server.in_use())

    def expect(self, holds: object, seen: str) -> None:
        """Raise `Broken` if this is not true."""
        if not holds:
            raise Broken(seen)

    def no_socket(self, after: str) -> Steps[None]:
        """No socket to the server is open, or will be in a moment: another thread may close it."""
        yield from self.eventually(
            lambda: not self.sockets(), f"{self.server.counted} were still open after {after}"
        )

    def nothing_in_use(self, client: Either, after: str) -> Steps[None]:
        """At most one socket is open, and no connection is in use."""
        yield from self.eventually(
            lambda: self.sockets() <= 1,
            f"more than one of the {self.server.counted} was open after {after}, where one is enough",
        )
        used = [str(line) for line in client.connections() if line.lease is not None]
        self.expect(not used, f"after {after} a connection was in use: {', '.join(used)}")

    def eventually(self, holds: Callable[[], object], seen: str) -> Steps[None]:
        """Raise `Broken` if this does not come true soon."""
        until = time.monotonic() + SOON
        while not holds():
            self.expect(time.monotonic() < until, seen)
            yield self.pause(_LOOK)

    def failing(
        self,
        kind: type[T] | tuple[type[T], ...],
        call: Callable[..., Either],
        *facts: Any,
        **options: Any,
    ) -> Steps[T]:
        """The error of a call, which must be one of these classes. Kept, with its traceback."""
        kinds = kind if isinstance(kind, tuple) else (kind,)
        name = " or ".join(each.__name__ for each in kinds)
        try:
            result = yield call(*facts, **options)
        except kind as error:
            self.kept.append(error)
            return error
        except BaseException as error:
            raise Broken(f"{_shown(facts)} raised {error!r}, not {name}") from error
        raise Broken(f"{_shown(facts)} raised no {name}, and returned {result!r:.200}")

    def own_answer(self, client: Either, after: str) -> Steps[None]:
        """The next call gets the answer to its own request."""
        before = self.server.served
        response = yield client.get("/ok")
        yield response.read()
        number = int(response.headers.get("x-request-number", "0"))
        self.expect(
            before < number <= self.server.served,
            f"after {after}, a request got the answer to request {number}, and {before} had been served before",
        )

    # -- what differs between the kinds --------------------------------------------------------------------------------

    def next_piece(self, pieces: Either) -> Either:
        """The next piece of an iterator; b"" at its end."""
        return anext(pieces, b"") if self.awaits else next(pieces, b"")

    def pause(self, seconds: float) -> Any:
        """Wait."""
        return asyncio.sleep(seconds) if self.awaits else time.sleep(seconds)

    def start(self, call: Callable[[], Either]) -> Background:
        """Make a call beside the others, in a thread or a task."""
        return Background(call, awaits=self.awaits)

    @contextlib.contextmanager
    def without_reports(self) -> Iterator[None]:
        """A block in which errors are expected that Python reports because they cannot be raised."""
        hook, sys.unraisablehook = sys.unraisablehook, lambda report: None
        try:
            yield
        finally:
            sys.unraisablehook = hook

    def collect(self) -> None:
        """Finalize what was dropped."""
        for _ in range(3):
            gc.collect()

    @property
    def has_network(self) -> bool:
        """The requests go to a server, and not to an app in this process."""
        return bool(self.server.port)

    @property
    def honours(self) -> frozenset[str]:
        """What the adapter says that it honours."""
        return frozenset(base_of(self.adapter()).honours)


def read_whole(client: Either, url: str, **options: Any) -> Either:
    """Call GET, and read the whole body (async: an awaitable)."""
    if isinstance(client, adieu.AsyncClient):
        return _awaited_read(client, url, options)
    return client.get(url, **options).read()


async def _awaited_read(client: Either, url: str, options: Any) -> bytes:
    return await (await client.get(url, **options)).read()  # type: ignore[no-any-return]


class Background:
    """A call in a thread, or in a task."""

    def __init__(self, call: Callable[[], Either], *, awaits: bool) -> None:
        self._outcome: list[Any] = []
        self._call = call
        self._awaits = awaits
        if awaits:
            self._task = asyncio.get_running_loop().create_task(self._awaited())
        else:
            self._thread = threading.Thread(target=self._called, daemon=True)
            self._thread.start()

    def _called(self) -> None:
        try:
            self._outcome.append(self._call())
        except BaseException as error:
            self._outcome.append(error)

    async def _awaited(self) -> None:
        try:
            self._outcome.append(await self._call())
        except BaseException as error:
            self._outcome.append(error)

    def cancel(self) -> None:
        """Cancel the task."""
        self._task.cancel()

    def outcome(self) -> Any:
        """Wait for its result or error, and return it (async: an awaitable). `Broken` if it does not end."""
        if self._awaits:
            return self._async_outcome()
        self._thread.join(SOON)
        return self._taken()

    async def _async_outcome(self) -> Any:
        await asyncio.wait([self._task], timeout=SOON)
        if self._task.cancelled():  # Before its first step.
            return asyncio.CancelledError()
        return self._taken()

    def _taken(self) -> Any:
        if not self._outcome:
            raise Broken(f"a call that waited did not end within {SOON:g} s")
        return self._outcome[0]


def _shown(facts: tuple[Any, ...]) -> str:
    """What was called for: methods and URLs, and not the objects of this kit."""
    return " ".join(fact for fact in facts if isinstance(fact, str)) or "reading"
