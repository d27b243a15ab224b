"""The open sockets of this process, in the operating system's table.

A client that has lost a socket does not know it, so asking the client proves nothing. These functions go through the
file descriptors of the process and ask the kernel about each. Invariants: they see stream sockets only (TCP, and Unix
sockets that have a path at one end, so that the socketpair of an event loop is no leak); they change no descriptor;
they are fast enough for hundreds of calls in one test.

On Linux the states are the kernel's own (TCP_INFO). The table in ``/proc/self/net/tcp`` is read only for the peers of
connections that are still being made, which the sockets do not know: each reading costs milliseconds, because the
kernel walks its whole hash table. On other systems a socket only knows whether it has a peer, so ``CLOSE_WAIT`` is
shown as ``ESTABLISHED``, and a connection that is being made as ``CLOSE``. On Windows, where descriptors cannot be
listed, the interpreter's socket objects are asked, so a socket that only C code holds is not seen.
"""

from __future__ import annotations

import errno
import gc
import os
import socket
import stat
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

__all__ = ["CONNECTED", "Address", "SocketRow", "established", "established_rows", "open_sockets"]

Address = tuple[str, int] | str | None
"""Host and port, or the path of a Unix socket, or None if it has no name."""

# In the order of Linux's include/net/tcp_states.h, which counts from 1.
_STATES = (
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
)

CONNECTED = frozenset(_STATES) - {"CLOSE", "LISTEN", "TIME_WAIT"}
"""The states in which a socket has a peer, is connecting to one, or is being closed."""

_POSIX = os.name == "posix"
_TCP_INFO = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
_UNIX = getattr(socket, "AF_UNIX", None)
_FAMILIES = {socket.AF_INET: "tcp4", socket.AF_INET6: "tcp6"}
if _UNIX is not None:
    _FAMILIES[_UNIX] = "unix"


class SocketRow(NamedTuple):
    """One open stream socket of this process.

    `fd` is its descriptor and `inode` its identity in the kernel (0 where the platform has none). Compare two lists by
    `inode`, because descriptors are used again. `family` is ``tcp4``, ``tcp6`` or ``unix``. `state` is a TCP state such
    as ``ESTABLISHED``, ``CLOSE_WAIT``, ``SYN_SENT`` or ``LISTEN``; ``CLOSE`` is an open descriptor whose connection was
    reset by the peer, or never made.
    """

    fd: int
    inode: int
    family: str
    local: Address
    remote: Address
    state: str


def open_sockets(ports: Collection[int] | None = None) -> list[SocketRow]:
    """The open stream sockets of this process, in the order of their descriptors.

    With `ports`, only TCP sockets that have one of these ports at either end.
    """
    rows = sorted(_rows())
    if ports is None:
        return rows
    return [row for row in rows if _port(row.local) in ports or _port(row.remote) in ports]


def established_rows(
    *, to_ports: Collection[int] | None = None, to_paths: Collection[str] | None = None
) -> list[SocketRow]:
    """The client ends of connections that this process has open, half-closed ones too.

    A client end has its *remote* port in `to_ports`, or its remote path in `to_paths`: a server in the same process has
    that port on the local side of the same connection. Without both arguments, every connected socket counts whose
    local address is none on which this process listens.
    """
    rows = open_sockets()
    connected = [row for row in rows if row.state in CONNECTED and row.remote is not None]
    if to_ports is None and to_paths is None:
        listening = {_port(row.local) or row.local for row in rows if row.state == "LISTEN"}
        return [row for row in connected if (_port(row.local) or row.local) not in listening]
    ports, paths = to_ports or (), to_paths or ()
    return [row for row in connected if _port(row.remote) in ports or row.remote in paths]


def established(
    *, to_ports: Collection[int] | None = None, to_paths: Collection[str] | None = None
) -> int:
    """How many client ends of connections are open: the length of `established_rows`."""
    return len(established_rows(to_ports=to_ports, to_paths=to_paths))


def _port(address: Address) -> int | None:
    return address[1] if isinstance(address, tuple) else None


def _rows() -> Iterator[SocketRow]:
    if _POSIX:
        return _rows_of_descriptors()
    return _rows_of_objects()


def _rows_of_descriptors() -> Iterator[SocketRow]:
    peers: dict[int, Address] | None = None
    for fd in _descriptors():
        row = _row_of_descriptor(fd)
        if row is None:
            continue
        if row.state == "SYN_SENT":
            peers = _peers_by_inode() if peers is None else peers
            row = row._replace(remote=peers.get(row.inode))
        yield row


def _descriptors() -> Iterable[int]:
    if sys.platform in {
        "darwin",
        "linux",
    }:  # On other systems the folder may show only three of them.
        try:
            return [int(name) for name in os.listdir("/dev/fd")]
        except OSError:  # Some containers do not have it.
            pass
    return range(min(os.sysconf("SC_OPEN_MAX"), 65_536))


def _row_of_descriptor(fd: int) -> SocketRow | None:
    """The row of a duplicate: closing its socket object leaves the original descriptor open."""
    try:
        status = os.fstat(fd)
        if not stat.S_ISSOCK(status.st_mode):
            return None
        duplicate = os.dup(fd)
    except OSError:  # It was closed in the meantime.
        return None
    blocking = os.get_blocking(duplicate)
    try:
        sock = socket.socket(fileno=duplicate)
    except OSError:
        os.close(duplicate)
        return None
    with sock:
        # After `socket.setdefaulttimeout()` every new socket object makes its socket non-blocking, which the duplicate
        # shares with the original.
        if os.get_blocking(duplicate) != blocking:
            os.set_blocking(duplicate, blocking)
        return _row(sock, fd, status.st_ino)


def _rows_of_objects() -> Iterator[SocketRow]:
    for found in gc.get_objects():
        if isinstance(found, socket.socket):
            fd = found.fileno()
            row = _row(found, fd, 0) if fd != -1 else None
            if row is not None:
                yield row


def _row(sock: socket.socket, fd: int, inode: int) -> SocketRow | None:
    """The row of a socket; None for a kind that is not counted."""
    family = _FAMILIES.get(sock.family)
    if family is None or sock.type != socket.SOCK_STREAM:
        return None
    try:
        local = _name(sock.getsockname())
    except OSError:
        local = None
    try:
        remote, state = _name(sock.getpeername()), "ESTABLISHED"
    except OSError as error:
        if error.errno == errno.EBADF:
            return None
        remote, state = None, "LISTEN" if _listens(sock) else "CLOSE"
    if family == "unix":
        if local is None and remote is None:
            return None
    elif _TCP_INFO is not None:
        state = _STATES[sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0] - 1]
    return SocketRow(fd, inode, family, local, remote, state)


def _listens(sock: socket.socket) -> bool:
    try:
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except (
        AttributeError,
        OSError,
    ):  # Some platforms do not have, or do not answer, SO_ACCEPTCONN.
        return False


def _name(address: object) -> Address:
    if isinstance(address, tuple):
        return (str(address[0]), int(address[1])) if address[1] else None
    if isinstance(address, bytes):  # A name in Linux's abstract namespace.
        return os.fsdecode(address) or None
    return str(address) or None


def _peers_by_inode() -> dict[int, Address]:
    """The peers in the kernel's table of connections, by inode."""
    peers: dict[int, Address] = {}
    for path in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        try:
            with open(path, "rb") as table:
                lines = table.read().splitlines()
        except OSError:  # A kernel without IPv6 has no tcp6.
            continue
        for line in lines[1:]:
            fields = line.split(None, 10)
            peers[int(fields[9])] = _address(fields[2].decode("ascii"))
    return peers


def _address(field: str) -> Address:
    """Read ``WORDS:PORT``: 32-bit words in the byte order of the machine, all in hexadecimal."""
    words, _, port = field.partition(":")
    packed = b"".join(
        int(words[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(words), 8)
    )
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, packed), int(port, 16)
