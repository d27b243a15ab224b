"""A route that answers when the test lets it, where one that answers after some time would race with the test."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adieu.testing import FaultServer
    from adieu.testing.faults import Ending, Peer, Request

__all__ = ["Gate"]


class Gate:
    """`path` is its path. `arrived` is set when a request has come; after `open` all of them are answered."""

    def __init__(self, server: FaultServer, path: str = "/gate") -> None:
        self.path = path
        self.arrived = threading.Event()
        self._opened = threading.Event()
        server.on(path, self._serve)

    def open(self) -> None:
        """Answer."""
        self._opened.set()

    def _serve(self, peer: Peer, request: Request) -> Ending:
        self.arrived.set()
        self._opened.wait(30)
        peer.reply(200, b"")
        return "keep"
