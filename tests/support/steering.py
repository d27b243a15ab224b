"""Runs coroutines for tests, in every kind of event loop, and cancels them at any of their waits.

The tests are written once. This module has one name for what asyncio and trio call differently: tasks, pauses, limits.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from adieu.net.async_backend import in_trio
from adieu.net.async_wire import AsyncTCPWire
from adieu.net.stream import AsyncByteStream
from support.stage import collect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable

    from adieu.lifecycle.deadline import TimeLimit
    from adieu.net.address import Address
    from adieu.net.scope import ConnectScope

__all__ = [
    "ASYNCIO_LOOPS",
    "CANCELLATIONS",
    "LOOPS",
    "SCOPES",
    "Cut",
    "DelayedWire",
    "NarrowWire",
    "TwoAddresses",
    "Unwatched",
    "gather",
    "later",
    "limited",
    "outcome",
    "run",
    "settle",
    "sleep",
    "spawn",
    "to_thread",
    "trio_loop",
    "wait",
]

# Tasks of both libraries


class TrioTask:
    """A trio task with the methods of an asyncio task."""

    def __init__(self, awaitable: Coroutine[Any, Any, Any]) -> None:
        import trio

        self._awaitable = awaitable
        self._over = trio.Event()
        self._scope = trio.CancelScope()
        self._result: list[Any] = []
        _trio.tasks.start_soon(self._run)

    async def _run(self) -> None:
        try:
            with self._scope:
                try:
                    self._result = [await self._awaitable, None]
                except asyncio.CancelledError as error:  # As in asyncio.
                    self._result = [None, error]
                except Exception as error:
                    self._result = [None, error]
                    _trio.failures.append(self)
        finally:
            if not self._result:
                self._result = [None, asyncio.CancelledError()]
            self._over.set()

    def cancel(self) -> None:
        self._scope.cancel()

    def done(self) -> bool:
        return self._over.is_set()

    def cancelled(self) -> bool:
        return self.done() and isinstance(self._result[1], asyncio.CancelledError)

    def exception(self) -> Any:
        if self in _trio.failures:
            _trio.failures.remove(self)  # The error has been retrieved.
        return self._result[1]

    def result(self) -> Any:
        if self.exception() is not None:
            raise self._result[1]
        return self._result[0]

    def __await__(self) -> Generator[Any, Any, Any]:
        yield from self._over.wait().__await__()
        return self.result()

    async def wait(self) -> None:
        await self._over.wait()


class _Trio(threading.local):
    """The trio run of this thread: nurseries for tasks and pauses, and the tasks whose errors were not retrieved."""

    tasks: Any
    services: Any
    failures: list[TrioTask]


_trio = _Trio()


def spawn(awaitable: Coroutine[Any, Any, Any]) -> Any:
    """A task: `cancel`, `done`, `cancelled`, `result`, `exception`, and to be awaited."""
    return TrioTask(awaitable) if in_trio() else asyncio.ensure_future(awaitable)


async def sleep(seconds: float) -> None:
    """A pause; 0 seconds let the other tasks run once."""
    if not in_trio():
        await asyncio.sleep(seconds)
        return
    import trio

    await trio.sleep(seconds)


def later(seconds: float, function: Callable[..., object], *args: Any) -> None:
    """Have the loop call this after these seconds."""
    if not in_trio():
        asyncio.get_running_loop().call_later(seconds, function, *args)
        return
    import trio

    async def call() -> None:
        await trio.sleep(seconds)
        function(*args)

    _trio.services.start_soon(call)


async def wait(tasks: Iterable[Any], timeout: float | None = None) -> None:
    """Wait for tasks, at most this long, and ignore their results."""
    tasks = list(tasks)
    if not in_trio():
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)
        return
    import trio

    with trio.move_on_after(float("inf") if timeout is None else timeout):
        for task in tasks:
            await task.wait()


async def gather(*awaitables: Any, return_exceptions: bool = False) -> list[Any]:
    """Run all of them concurrently and return their results."""
    tasks = [one if hasattr(one, "done") else spawn(one) for one in awaitables]
    await wait(tasks)
    if return_exceptions:
        return [_error(task) or task.result() for task in tasks]
    return [task.result() for task in tasks]


def _error(task: Any) -> Any:
    return asyncio.CancelledError() if task.cancelled() else task.exception()


async def limited(awaitable: Any, seconds: float) -> Any:
    """As `asyncio.wait_for`, under either library."""
    if not in_trio():
        return await asyncio.wait_for(awaitable, seconds)
    import trio

    with trio.move_on_after(seconds) as scope:
        return await awaitable
    assert scope.cancelled_caught
    raise asyncio.TimeoutError


async def to_thread(function: Callable[[], Any]) -> Any:
    """Call this in another thread and return its result."""
    if not in_trio():
        return await asyncio.to_thread(function)
    import trio

    return await trio.to_thread.run_sync(function)


# Cancellation at any wait

CANCELLATIONS: Final = ("early", "late", "twice", "scope")
"""When a cancellation happens: before the awaited result; after it, but before the task resumes; twice before the task
resumes; from a timer, as with `asyncio.timeout`."""

SCOPES: Final = (
    *(("timeout",) if sys.version_info >= (3, 11) else ()),
    *(("anyio",) if importlib.util.find_spec("anyio") is not None else ()),
)
"""The block that cancels: `asyncio.timeout` (under trio: a deadline), or a cancel scope of anyio."""


class Cut:
    """Awaits a coroutine, and cancels it at its nth wait.

    `waits` counts the waits, `happened` tells whether there were that many, and `after` counts the waits after the
    cancellation: cleanup that waits can be lost.
    """

    def __init__(self, awaitable: Coroutine[Any, Any, Any], nth: int, how: str) -> None:
        self._awaitable = awaitable
        self._nth = nth
        self._how = how
        self.waits = 0
        self.after = 0
        # The cancel scopes around the task, if there are any.
        self.scopes: list[Any] = []

    @property
    def happened(self) -> bool:
        return self.waits >= self._nth

    def __await__(self) -> Generator[Any, Any, Any]:
        error: BaseException | None = None
        value: Any = None
        was_cancelled = False
        awaitable = self._awaitable
        try:
            while True:
                # Trio sends an outcome, which the coroutine unwraps, and throws nothing.
                was_cancelled = was_cancelled or self._is_ours(
                    error or getattr(value, "error", None)
                )
                future = awaitable.send(value) if error is None else awaitable.throw(error)
                error = value = None
                self.after += was_cancelled
                self.waits += 1
                if self.waits == self._nth:
                    self._cancel()
                try:
                    value = yield future
                    if self.waits == self._nth and self._how == "late":
                        if self.scopes:
                            self.scopes[0].cancel()
                        else:
                            error = asyncio.CancelledError()
                except BaseException as thrown:
                    error = thrown
        except StopIteration as end:
            return end.value
        finally:
            del error, value

    def _is_ours(self, error: object) -> bool:
        """Whether this is our cancellation; trio also ends pauses and limits with cancellations and handles those."""
        if type(error).__name__ not in {"CancelledError", "Cancelled"}:
            return False
        return not self.scopes or bool(getattr(self.scopes[0], "cancel_called", True))

    def _cancel(self) -> None:
        how = self._how
        if how in {"timeout", "anyio"} or self.scopes:
            self._cancel_scopes()
            return
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        if how in {"early", "twice"}:
            task.cancel()
        if how in {"scope", "twice"}:
            loop.call_soon(task.cancel)

    def _cancel_scopes(self) -> None:
        inner, outer = self.scopes[0], self.scopes[-1]
        if hasattr(inner, "reschedule"):
            inner.reschedule(asyncio.get_running_loop().time())
        elif self._how in {"early", "twice", "anyio"}:
            inner.cancel()
        elif self._how == "timeout":
            inner.deadline = float("-inf")
        if self._how == "scope":
            later(0, inner.cancel)
        elif self._how == "twice":
            later(0, outer.cancel)


async def _awaited(cut: Cut) -> object:
    """The result of the coroutine, or its error; `CancelledError` if a scope ended it."""
    if cut._how == "anyio":
        import anyio

        with anyio.CancelScope() as scope:
            cut.scopes.append(scope)
            return await cut
        assert scope.cancelled_caught
        raise asyncio.CancelledError
    if in_trio():
        import trio

        with trio.CancelScope() as outer, trio.CancelScope() as inner:
            cut.scopes += [inner, outer]
            return await cut
        raise asyncio.CancelledError
    if cut._how == "timeout":
        limit = _timeout()
        try:
            async with limit:
                cut.scopes.append(limit)
                return await cut
        except TimeoutError:
            if not limit.expired():
                raise
            raise asyncio.CancelledError from None
    return await cut


def _timeout() -> Any:
    if sys.version_info >= (3, 11):
        return asyncio.timeout(None)
    raise AssertionError


async def outcome(cut: Cut) -> Any:
    """Run the coroutine in a task of its own and return its result or its error."""
    task = spawn(_awaited(cut))
    await wait([task])
    cut.scopes.clear()
    if task.cancelled():
        return asyncio.CancelledError
    error = task.exception()
    return task.result() if error is None else error


async def settle() -> None:
    """Let Python's own tasks for dropped async generators end, and check that no other task is left."""
    left: Any = ()
    for turn in range(1000):
        left = _trio.tasks.child_tasks if in_trio() else _others()
        if not left:
            return
        # Some need another thread, which may come late.
        await sleep(0 if turn < 10 else 0.002)
    raise AssertionError(f"tasks are left: {left}")


def _others() -> set[Any]:
    return asyncio.all_tasks() - {asyncio.current_task()}


# Wires


class DelayedStream(AsyncByteStream):
    """A stream of which every operation waits before it begins and after it has finished."""

    def __init__(self, inner: AsyncByteStream) -> None:
        self._inner = inner

    def readable(self) -> bool:
        return self._inner.readable()

    def close(self) -> None:
        self._inner.close()

    def forget(self) -> None:
        self._inner.forget()

    async def recv(self, max_bytes: int, limit: TimeLimit) -> bytes:
        async with _wait_around():
            return await self._inner.recv(max_bytes, limit)

    async def send(self, data: bytes, limit: TimeLimit) -> None:
        async with _wait_around():
            await self._inner.send(data, limit)

    async def send_or_recv(self, data: memoryview, limit: TimeLimit) -> int | bytes:
        async with _wait_around():
            return await self._inner.send_or_recv(data, limit)


@contextlib.asynccontextmanager
async def _wait_around() -> AsyncIterator[None]:
    await sleep(0)
    yield
    await sleep(0)


class NarrowWire(AsyncTCPWire):
    """A wire with small send buffers, so that even a small upload has to wait."""

    async def open(self, origin: Any, scope: ConnectScope) -> AsyncByteStream:
        stream: Any = await super().open(origin, scope)
        stream._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        narrow: AsyncByteStream = stream
        return narrow


class DelayedWire(NarrowWire):
    """A wire on which every operation waits: on loopback many finish at once, so no cancellation could hit them."""

    async def open(self, origin: Any, scope: ConnectScope) -> AsyncByteStream:
        async with _wait_around():
            return DelayedStream(await super().open(origin, scope))

    async def addresses(self, host: str, port: int, scope: ConnectScope) -> Any:
        async with _wait_around():
            return await super().addresses(host, port, scope)


class TwoAddresses(AsyncTCPWire):
    """A wire that resolves every name to these addresses."""

    def __init__(self, *addresses: Address) -> None:
        self._addresses = addresses

    async def addresses(self, host: str, port: int, scope: ConnectScope) -> Any:
        return self._addresses


# Loops


class Unwatched(asyncio.SelectorEventLoop):
    """A loop without `add_reader`, as the proactor loop of Windows."""

    add_reader = asyncio.AbstractEventLoop.add_reader
    add_writer = asyncio.AbstractEventLoop.add_writer


def trio_loop() -> Any:
    """A placeholder for a trio run, which cannot be made before it runs."""
    raise AssertionError("trio's loops are not made but run")


ASYNCIO_LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "unwatched": Unwatched,
}
if importlib.util.find_spec("uvloop") is not None:
    import uvloop

    ASYNCIO_LOOPS["uvloop"] = uvloop.new_event_loop

LOOPS = dict(ASYNCIO_LOOPS)
if importlib.util.find_spec("trio") is not None:
    LOOPS["trio"] = trio_loop


def run(
    main: Coroutine[Any, Any, Any],
    loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop,
) -> Any:
    """As `asyncio.run` in such a loop; errors that the loop would only log fail the test, and no task may be left."""
    complaints: list[dict[str, Any]] = []

    async def watched() -> object:
        if not in_trio():
            handler = asyncio.get_running_loop().set_exception_handler
            handler(lambda _, said: complaints.append(said))
        result = await main
        await settle()
        # Finalizers report errors that were never retrieved.
        collect()
        await sleep(0)
        return result

    try:
        result = _run_trio(watched()) if loop is trio_loop else _run(watched(), loop)
    finally:
        main.close()
    assert not complaints, complaints
    return result


def _run_trio(main: Any) -> Any:
    import trio

    async def inside() -> Any:
        async with trio.open_nursery() as services, trio.open_nursery() as tasks:
            _trio.services, _trio.tasks, _trio.failures = services, tasks, []
            try:
                result = [await main, None]
                assert not _trio.failures, [task.exception() for task in list(_trio.failures)]
            except BaseException as error:
                result = [None, error]
            finally:
                tasks.cancel_scope.cancel()
                services.cancel_scope.cancel()
        return result

    result, error = trio.run(inside)
    try:
        if error is not None:
            raise error
    finally:
        del error
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
