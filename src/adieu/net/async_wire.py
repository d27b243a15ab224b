"""Async wires, for asyncio and trio: TCP and Unix sockets.

Addresses, races and owners are those of the sync wires. Everything that waits is in the back end of the running event
loop: see `async_backend`.
"""

from __future__ import annotations

import errno
import os
import socket
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from adieu.errors import ConnectError, InvalidRequest
from adieu.lifecycle.steps import adrive
from adieu.net import dial
from adieu.net.async_backend import current_backend
from adieu.net.lookup import lookup
from adieu.net.lookup_threads import LOOKUPS, found
from adieu.net.tls.start import start_tls_async

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adieu.messages.url import Origin
    from adieu.net.address import Address
    from adieu.net.scope import ConnectScope
    from adieu.net.stream import AsyncByteStream

__all__ = ["AsyncTCPWire", "AsyncUnixWire", "AsyncWire"]

# The first and the longest pause before connecting to a Unix socket again whose queue was full (seconds).
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05


class AsyncWire(ABC):
    """Opens async byte streams: see `Wire`."""

    does_tls: bool = False
    guards: bool = False
    is_direct: bool = False

    @abstractmethod
    async def open(self, origin: Origin, scope: ConnectScope) -> AsyncByteStream:
        """See `Wire.open`."""

    async def addresses(
        self, host: str, port: int, scope: ConnectScope
    ) -> Sequence[Address] | None:
        """See `Wire.addresses`."""
        return None

    async def start_tls(
        self, stream: AsyncByteStream, hostname: str, scope: ConnectScope
    ) -> AsyncByteStream:
        """See `Wire.start_tls`."""
        return await start_tls_async(stream, hostname, scope)


class AsyncTCPWire(AsyncWire):
    """TCP: see `TCPWire`."""

    guards = True

    async def open(self, origin: Origin, scope: ConnectScope) -> AsyncByteStream:
        host, port = origin.host, origin.port
        if not host or port is None:
            raise ConnectError(f"{origin} names no host and port to connect to")
        if scope.events is None:
            found = await self.addresses(host, port, scope)
        else:
            found = await adrive(dial.looked_up(self.addresses, host, port, scope))
        addresses = dial.permitted(found, origin, scope)
        backend = current_backend()
        race = backend.connect_race(scope)
        try:
            sock = await adrive(dial.race(addresses, origin, race, race.ready))
        finally:
            race.finish()
        if scope.events is not None:
            dial.report_ends(sock, scope)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return backend.stream(sock, scope)

    async def addresses(self, host: str, port: int, scope: ConnectScope) -> Sequence[Address]:
        """See `TCPWire.addresses`."""
        connect = scope.connect
        if connect is not None and (pinned := connect.pinned(host, port)) is not None:
            return pinned
        if ":" in host or host[-1].isdigit():
            return lookup(host, port)
        if connect is not None and connect.awaits:
            try:
                return await current_backend().within(
                    scope.remaining(), connect.look_up_async(host, port)
                )
            except TimeoutError:
                raise scope.exceeded() from None
        look_up = lookup if connect is None else connect.look_up
        result = current_backend().thread_result()
        scope.own(result)
        asked = LOOKUPS.ask(host, port, result.set, look_up)
        try:
            if not await result.wait(scope.remaining()):
                result.discard()
                raise asked.late(scope.exceeded())
        finally:
            asked.forget()
        return found(result.take())


class AsyncUnixWire(AsyncWire):
    """A Unix domain socket at `path`."""

    is_direct = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        if not hasattr(socket, "AF_UNIX"):
            raise InvalidRequest("this platform has no Unix sockets")

    async def open(self, origin: Origin, scope: ConnectScope) -> AsyncByteStream:
        backend = current_backend()
        sock = dial.new_socket(scope, socket.AF_UNIX)
        sock.setblocking(False)
        pause = _FIRST_PAUSE
        # The socket connects at once, unless the queue of the server is full. The system has no event for its end.
        while (code := sock.connect_ex(self.path)) == errno.EAGAIN:
            left = scope.remaining()
            await backend.sleep(pause if left is None else min(pause, left))
            pause = min(pause * 2, _LONGEST_PAUSE)
        if code:
            raise ConnectError(
                f"cannot connect to the Unix socket {self.path}: {os.strerror(code)}"
            )
        if scope.events is not None:
            dial.report_ends(sock, scope)
        return backend.stream(sock, scope)

    def __repr__(self) -> str:
        return f"AsyncUnixWire({self.path!r})"
