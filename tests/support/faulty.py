"""Sockets of which one call fails: the test chooses the number of the call and the kind of failure.

Only the sockets that adieu opens are of this kind, not those of the servers in the same process.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FAULTS", "Plan"]


def _reset(call: Callable[[], Any], name: str, sock: socket.socket) -> Any:
    with contextlib.suppress(OSError):
        # A connection that was reset receives nothing any more either.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    raise ConnectionResetError(errno.ECONNRESET, "injected: Connection reset by peer")


def _timeout(call: Callable[[], Any], name: str, sock: socket.socket) -> Any:
    raise TimeoutError("injected: timed out")


def _eof(call: Callable[[], Any], name: str, sock: socket.socket) -> Any:
    return b"" if name == "recv" else call()


def _before(call: Callable[[], Any], name: str, sock: socket.socket) -> Any:
    raise KeyboardInterrupt


def _after(call: Callable[[], Any], name: str, sock: socket.socket) -> Any:
    call()
    raise KeyboardInterrupt


FAULTS: dict[str, Callable[[Callable[[], Any], str, socket.socket], Any]] = {
    "reset": _reset,
    "timeout": _timeout,
    "end of stream": _eof,
    "interrupt before": _before,
    "interrupt after": _after,
}


class Plan:
    """The call that fails, and how. `calls` are the names of the calls so far; `struck` is the one that failed."""

    def __init__(self, fault: str, at: int) -> None:
        self.calls: list[str] = []
        self.struck: str | None = None
        self.closing_fails = False
        self._fault = FAULTS[fault]
        self._at = at
        self._over = False

    def around(self, name: str, sock: socket.socket, call: Callable[[], Any]) -> Any:
        if self._over:
            return call()
        self.calls.append(name)
        if name == "close" and self.closing_fails:
            call()
            raise OSError(errno.EIO, "injected: it is closed all the same")
        if len(self.calls) != self._at:
            return call()
        self.struck = name
        if name == "close" and self._fault in {_reset, _timeout}:
            # A close that fails has released the descriptor before.
            call()
        if name == "socket" and self._fault is _after:
            # The only place where no code outside `socket.socket` can be the owner.
            return call()
        return self._fault(call, name, sock)

    def end(self) -> None:
        """No more faults."""
        self._over = True

    def module(self) -> Any:
        """A replacement for the module `socket`."""
        return _Module(self)


class _Module:
    def __init__(self, plan: Plan) -> None:
        self.socket = _faulty(plan)

    def __getattr__(self, name: str) -> Any:
        return getattr(socket, name)


_CALLS = (
    "bind",
    "connect",
    "connect_ex",
    "recv",
    "send",
    "setblocking",
    "setsockopt",
    "settimeout",
)


def _faulty(plan: Plan) -> Any:
    def method(name: str) -> Callable[..., Any]:
        plain = getattr(socket.socket, name)

        def call(self: Any, *args: Any) -> Any:
            return plan.around(name, self, lambda: plain(self, *args))

        return call

    class FaultySocket(socket.socket):
        """A socket that adieu opened."""

        __slots__ = ()

        def __init__(self, *args: Any) -> None:
            plan.around("socket", self, lambda: socket.socket.__init__(self, *args))

        def close(self) -> None:
            if self.fileno() >= 0:
                plan.around("close", self, lambda: socket.socket.close(self))

    for name in _CALLS:
        setattr(FaultySocket, name, method(name))
    return FaultySocket
