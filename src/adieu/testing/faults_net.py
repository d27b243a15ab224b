"""Peers that fail before HTTP begins: they refuse connections, never answer, or fail in the TLS handshake.

Each is a context manager on a free loopback port. For a certificate of the wrong host, or from an unknown authority,
give `FaultServer` a TLS context that has one.
"""

from __future__ import annotations

import contextlib
import select
import socket
from typing import TYPE_CHECKING, Final, Literal, get_args

from adieu.testing.faults import FaultServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

    from adieu.testing.peer import Ending, Peer

__all__ = ["BlackHole", "TLSFault", "TLSFaults", "refused_port"]


@contextlib.contextmanager
def refused_port(host: str = "127.0.0.1") -> Iterator[int]:
    """A port that refuses connections. No other process can get it meanwhile.

    >>> with refused_port() as port:
    ...     socket.create_connection(("127.0.0.1", port))
    Traceback (most recent call last):
    ConnectionRefusedError: [Errno 111] Connection refused
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as held:
        # Bound without listening: the kernel answers a SYN with RST.
        held.bind((host, 0))
        yield held.getsockname()[1]


class BlackHole:
    """A listener that never sends anything.

    Its kernel completes connections, up to `backlog` of them, and drops what is sent there: a request gets no answer,
    and a TLS handshake does not end. With ``full=True`` the backlog is filled from the start, so connecting itself does
    not end (on Linux, where a full backlog drops SYNs; on other systems the connection may be refused).
    """

    def __init__(self, *, backlog: int = 128, full: bool = False) -> None:
        self._fillers: list[socket.socket] = []
        self._listener = socket.socket()
        try:
            self._listener.bind(("127.0.0.1", 0))
            self._listener.listen(0 if full else backlog)
            self.port: int = self._listener.getsockname()[1]
            self.url = f"http://127.0.0.1:{self.port}"
            while full and self._connects():
                pass
        except BaseException:
            self.close()
            raise

    def _connects(self) -> bool:
        """Fill one more place of the backlog. False if there was none: on loopback that is known at once."""
        filler = socket.socket()
        self._fillers.append(filler)
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", self.port))
        return bool(select.select([], [filler], [], 0.1)[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all sockets. Idempotent."""
        for sock in (self._listener, *self._fillers):
            sock.close()


TLSFault = Literal["stall", "close", "reset", "plain", "alert", "half"]

_HANDSHAKE_FAILURE: Final = b"\x15\x03\x03\x00\x02\x02\x28"  # RFC 8446, section 6: fatal alert 40
_HALF_A_RECORD: Final = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"


class TLSFaults(FaultServer):
    """A server that waits for the client's first TLS record and then fails in the handshake.

    `kind` says how: ``stall`` never answers, ``close`` closes, ``reset`` resets, ``plain`` answers in HTTP without TLS,
    ``alert`` sends the alert handshake_failure, ``half`` sends a part of a record and closes. It counts connections as
    `FaultServer` does; there are no requests.
    """

    def __init__(self, kind: TLSFault, *, host: str = "127.0.0.1") -> None:
        if kind not in get_args(TLSFault):
            raise ValueError(f"kind={kind!r} is none of {', '.join(get_args(TLSFault))}")
        self._kind = kind
        super().__init__(host=host)
        self.url = self.url.replace("http:", "https:")

    def _exchange(self, peer: Peer) -> Ending:
        if not peer.read_raw():
            return "close"
        if self._kind == "stall":
            peer.pause(60.0)
        elif self._kind == "plain":
            peer.reply(400, b"this port speaks plain HTTP", [("connection", "close")])
        elif self._kind == "alert":
            peer.send(_HANDSHAKE_FAILURE)
        elif self._kind == "half":
            peer.send(_HALF_A_RECORD)
        if self._kind == "reset":
            return "reset"
        if self._kind != "stall":
            peer.linger()
        return "close"
