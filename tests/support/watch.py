"""The value of the fixture `census`: the sockets that a test must not leave open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.testing.socket_table import CONNECTED, SocketRow, open_sockets
from servers import KNOWN_PORTS, forget_ended

if TYPE_CHECKING:
    from collections.abc import Collection


class Watch:
    """The client sockets that this process has opened to known servers since this object was made."""

    def __init__(self) -> None:
        self.ports: set[int] = set()
        rows = open_sockets()
        self._before = {_identity(row) for row in rows}
        forget_ended(rows)

    def also(self, port: int) -> None:
        """Include the port of a server that no fixture started."""
        self.ports.add(port)

    def rows(self) -> list[SocketRow]:
        """The connected client sockets, and those that are still open although their connection is dead.

        A dead socket no longer knows its peer, so every new one counts that is not connected, except the
        server's own, which are still bound to the port of the server.
        """
        ports = KNOWN_PORTS | self.ports
        # The server's end is bound to its port; the port of the peer may be one that another server had before.
        return [
            row
            for row in open_sockets()
            if (_connected(row, ports) or (row.state == "CLOSE" and row.family != "unix"))
            and _identity(row) not in self._before
            and not (isinstance(row.local, tuple) and row.local[1] in ports)
        ]

    def count(self) -> int:
        """The number of these sockets."""
        return len(self.rows())

    def check(self) -> None:
        """Fail with their rows if there are any."""
        rows = self.rows()
        assert not rows, "sockets left open:\n" + "\n".join(map(str, rows))


def _connected(row: SocketRow, ports: Collection[int]) -> bool:
    """Whether this is the client's end of a connection to such a port."""
    remote = row.remote
    return row.state in CONNECTED and isinstance(remote, tuple) and remote[1] in ports


def _identity(row: SocketRow) -> object:
    return row.inode or row[:5]
