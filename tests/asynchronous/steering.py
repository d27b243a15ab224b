"""Runs coroutines for these tests: in every kind of event loop, and cancelled at any of their waits."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.util
import socket
import sys
from typing import TYPE_CHECKING, Any, Final

from adieu.transport.async_wire import AsyncTCPWire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Generator

    from adieu.transport.async_stream import AsyncByteStream
    from adieu.transport.dial import Address
    from adieu.transport.wire import Opening

__all__ = [
    "LOOPS",
    "MODES",
    "Cut",
    "FussyWire",
    "NarrowWire",
    "TwoAddresses",
    "Unwatched",
    "outcome",
    "run",
    "settle",
]

MODES: Final = ("early", "late", "twice", "scope")
"""When a cancellation comes: before what was waited for; after it, but before the task has seen it; once more before
the task has seen the first; from a clock, as `asyncio.timeout` does it."""


class Cut:
    """Awaits a coroutine, and cancels it at its nth wait.

    `waits` counts, `happened` says whether there were so many; `after` are the waits that came after the cancellation:
    an end that waits is an end that can be lost.
    """

    def __init__(self, wish: Coroutine[Any, Any, Any], nth: int, mode: str) -> None:
        self._wish = wish
        self._nth = nth
        self._mode = mode
        self.waits = 0
        self.after = 0

    @property
    def happened(self) -> bool:
        return self.waits >= self._nth

    def __await__(self) -> Generator[Any, Any, Any]:
        error: BaseException | None = None
        told = False
        wish = self._wish
        try:
            while True:
                told = told or isinstance(error, asyncio.CancelledError)
                future = wish.send(None) if error is None else wish.throw(error)
                error = None
                self.after += told
                self.waits += 1
                if self.waits == self._nth:
                    self._cancel()
                try:
                    yield future
                    if self.waits == self._nth and self._mode == "late":
                        error = asyncio.CancelledError()
                except BaseException as thrown:
                    error = thrown
        except StopIteration as end:
            return end.value
        finally:
            del error

    def _cancel(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        if self._mode in {"early", "twice"}:
            task.cancel()
        if self._mode in {"scope", "twice"}:
            loop.call_soon(task.cancel)


async def _awaited(cut: Cut) -> object:
    return await cut


async def outcome(cut: Cut) -> Any:
    """What the coroutine gave or raised, run in a task of its own."""
    task = asyncio.ensure_future(_awaited(cut))
    await asyncio.wait([task])
    if task.cancelled():
        return asyncio.CancelledError
    error = task.exception()
    return task.result() if error is None else error


async def settle() -> None:
    """Let the tasks end that only clean up (Python's own for async generators that were dropped); no other is left."""
    me = asyncio.current_task()
    left = asyncio.all_tasks() - {me}
    for _ in range(10):
        left = asyncio.all_tasks() - {me}
        if not left:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"tasks are left: {left}")


class Fussy:
    """A stream whose every operation waits before and after it has happened."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.readable = inner.readable
        self.close = inner.close
        self.forget = inner.forget

    async def recv(self, max_bytes: int, timeout: float | None) -> bytes:
        async with _fuss():
            data: bytes = await self._inner.recv(max_bytes, timeout)
        return data

    async def send(self, data: bytes, timeout: float | None) -> None:
        async with _fuss():
            await self._inner.send(data, timeout)

    async def send_or_recv(self, data: memoryview, timeout: float | None) -> int | bytes:
        async with _fuss():
            done: int | bytes = await self._inner.send_or_recv(data, timeout)
        return done


@contextlib.asynccontextmanager
async def _fuss() -> AsyncIterator[None]:
    await asyncio.sleep(0)
    yield
    await asyncio.sleep(0)


class NarrowWire(AsyncTCPWire):
    """A wire whose sockets take little at once, so that an upload need not be large to have to wait."""

    async def open(self, origin: Any, opening: Opening) -> AsyncByteStream:
        stream: Any = await super().open(origin, opening)
        stream._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        narrow: AsyncByteStream = stream
        return narrow


class FussyWire(NarrowWire):
    """A wire where every operation waits: on loopback many are done at once, and nobody could be cancelled in them."""

    async def open(self, origin: Any, opening: Opening) -> AsyncByteStream:
        async with _fuss():
            return Fussy(await super().open(origin, opening))

    async def addresses(self, host: str, port: int, opening: Opening) -> Any:
        async with _fuss():
            return await super().addresses(host, port, opening)


class TwoAddresses(AsyncTCPWire):
    """A wire whose names have these addresses."""

    def __init__(self, *addresses: Address) -> None:
        self._addresses = addresses

    async def addresses(self, host: str, port: int, opening: Opening) -> Any:
        return self._addresses


class Unwatched(asyncio.SelectorEventLoop):
    """A loop that cannot watch sockets for others, as Windows' proactor."""

    add_reader = asyncio.AbstractEventLoop.add_reader
    add_writer = asyncio.AbstractEventLoop.add_writer


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "unwatched": Unwatched,
}
if importlib.util.find_spec("uvloop") is not None:
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop


def run(
    main: Coroutine[Any, Any, Any],
    loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop,
) -> Any:
    """As `asyncio.run` in such a loop; what the loop would only log is an error, and no task may be left."""
    complaints: list[dict[str, Any]] = []

    async def watched() -> object:
        asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
        result = await main
        await settle()
        # What was never retrieved is told by finalizers.
        gc.collect()
        await asyncio.sleep(0)
        return result

    try:
        result = _run(watched(), loop)
    finally:
        main.close()
    assert not complaints, complaints
    return result


if sys.version_info >= (3, 11):

    def _run(main: Any, loop: Any) -> Any:
        with asyncio.Runner(loop_factory=loop) as runner:
            return runner.run(main)

else:

    def _run(main: Any, loop: Any) -> Any:
        made = loop()
        try:
            return made.run_until_complete(main)
        finally:
            made.run_until_complete(made.shutdown_asyncgens())
            made.close()
