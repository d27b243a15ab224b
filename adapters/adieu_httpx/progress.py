"""How far a request over a transport has come, and which sockets the transport has: as httpcore's `trace` tells.

A transport returns when it has a response, and says nothing before. httpcore calls the function that a request has as
its extension `trace`; transports that are not over httpcore do not, and then nothing is known.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from adieu.net.closing import shut

if TYPE_CHECKING:
    from adieu.errors import Sent

__all__ = ["Progress", "Sockets"]

_OPENING = ("connect_tcp", "connect_unix_socket", "setup_socks5_connection", "start_tls")


class Sockets:
    """The sockets that a transport has opened, and not dropped yet."""

    def __init__(self) -> None:
        self._streams: WeakSet[Any] = WeakSet()

    def note(self, stream: Any) -> None:
        """This one was opened."""
        self._streams.add(stream)

    def _take(self) -> list[socket.socket]:
        found = [stream.get_extra_info("socket") for stream in list(self._streams)]
        self._streams.clear()
        return [each for each in found if isinstance(each, socket.socket)]

    def shut(self) -> None:
        """Close all of them; threads that wait for one wake up."""
        for sock in self._take():
            shut(sock)

    def forget(self) -> None:
        """In a forked child: close the descriptors alone, for the connections are the parent's."""
        for sock in self._take():
            socket.SocketType.close(sock)


class Progress:
    """How much of one request was sent; None: that is not known."""

    def __init__(self, sockets: Sockets) -> None:
        self.sent: Sent | None = None
        self._sockets = sockets

    def note(self, event: str, info: dict[str, Any]) -> None:
        """The `trace` of a sync transport."""
        step, _, state = event.rpartition(".")
        step = step.rpartition(".")[2]
        if step in _OPENING:
            self.sent = "no"
            if state == "complete" and info.get("return_value") is not None:
                self._sockets.note(info["return_value"])
        elif step == "send_request_headers":
            self.sent = "partly"
        elif step == "send_request_body" and state == "complete":
            self.sent = "wholly"

    async def note_async(self, event: str, info: dict[str, Any]) -> None:
        """The same of an async transport, which awaits it."""
        self.note(event, info)
