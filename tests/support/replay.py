"""A proxy without a socket that sends fixed bytes: for tests of its replies and of the time that reading them takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from adieu import URL, ByteStream, ConnectScope, Deadline, Proxy, TimeLimit, Timeout, Wire
from adieu.http1.tunnel import Tunnels
from adieu.lifecycle.steps import drive
from adieu.net.proxies.proxy import ProxiedOrigin

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ReplayWire", "tunnel"]


class Replay(ByteStream):
    """A stream that delivers the given bytes in pieces, and then its end. `rest` are the bytes not read yet."""

    def __init__(self, said: bytes, piece: int) -> None:
        self.rest = said
        self.heard = b""
        self.closed = False
        self._piece = piece

    def recv(self, max_bytes: int, limit: TimeLimit) -> bytes:
        size = min(max_bytes, self._piece)
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def send(self, data: bytes, limit: TimeLimit) -> None:
        self.heard += data

    def readable(self) -> bool:
        return True  # The rest can be read, or the end.

    def close(self) -> None:
        self.closed = True


class ReplayWire(Wire):
    """Opens streams that all deliver the same bytes."""

    def __init__(self, said: bytes, piece: int = 65_536) -> None:
        self.streams: list[Replay] = []
        self._make: Callable[[], Replay] = lambda: Replay(said, piece)

    def open(self, origin: Any, scope: Any) -> Replay:
        self.streams.append(stream := self._make())
        scope.own(stream)
        return stream

    def addresses(self, host: str, port: int, scope: Any) -> list[Any]:
        return [(10, ("fd00::1", port)), (2, ("10.0.0.1", port))]


def tunnel(wire: Any, proxy: Proxy, url: str = "https://example.org/") -> Any:
    """The stream through this proxy."""
    scope = ConnectScope(Deadline(Timeout()), None)
    via = ProxiedOrigin(proxy, URL(url).origin)
    try:
        return drive(Tunnels(wire, lambda *_: pytest.fail("no TLS")).open(via, scope))
    except BaseException:
        scope.close()
        # The caller of `open` closes what the scope owns.
        assert all(stream.closed for stream in wire.streams)
        raise
