"""The census: which sockets this process has open, by the operating system's books, not ours.

A client that forgot a socket does not know that it did; asking it proves nothing. So the census
walks the file descriptors of the process and asks the kernel about each. Rules of the room: it sees
stream sockets only (TCP, and Unix sockets that have a path at one end, so that the socketpair of an
event loop is nobody's leak); it disturbs no descriptor; it is cheap enough to be taken hundreds of
times in one test.

On Linux the states are the kernel's own (TCP_INFO). The table in ``/proc/self/net/tcp`` is read
only for the peers of connections that are still being made, which no socket tells: the kernel walks
its whole hash table for each reading, which costs milliseconds. Elsewhere a socket only says
whether it has a peer, so ``CLOSE_WAIT`` is shown as ``ESTABLISHED``, and a connection that is being made as
``CLOSE``. Where descriptors cannot be walked (Windows), the interpreter's own socket objects are
asked, so a socket that only C code holds is not seen.
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
"""Host and port, or the path of a Unix socket, or nothing where there is no name."""

# include/net/tcp_states.h, in its order from 1.
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
"""The states in which a socket has a peer, or is on its way to one or from it."""

_POSIX = os.name == "posix"
_TCP_INFO = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
_UNIX = getattr(socket, "AF_UNIX", None)
_FAMILIES = {socket.AF_INET: "tcp4", socket.AF_INET6: "tcp6"}
if _UNIX is not None:
    _FAMILIES[_UNIX] = "unix"


class SocketRow(NamedTuple):
    """One open stream socket of this process.

    `fd` is its descriptor and `inode` its identity in the kernel (0 where the platform has none):
    two censuses are compared by `inode`, because descriptors are used again. `family` is ``tcp4``,
    ``tcp6`` or ``unix``. `state` is a TCP state such as ``ESTABLISHED``, ``CLOSE_WAIT``,
    ``SYN_SENT`` or ``LISTEN``; ``CLOSE`` is a descriptor that is open though its connection is gone
    (the peer reset it) or was never made.
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
    rows = sorted(_census())
    if ports is None:
        return rows
    return [row for row in rows if _port(row.local) in ports or _port(row.remote) in ports]


def established_rows(
    *, to_ports: Collection[int] | None = None, to_paths: Collection[str] | None = None
) -> list[SocketRow]:
    """The client ends of connections that this process has open, a half-closed one too.

    A client end is known by the *remote* port in `to_ports`, or the remote path in `to_paths`: a
    server in the same process has the same connection with that port on its local side. Given
    neither, every connected socket counts whose local address is not one on which this process
    listens.
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


def _census() -> Iterator[SocketRow]:
    """The one place where platforms differ."""
    if _POSIX:
        return _of_the_descriptors()
    return _of_the_objects()


def _of_the_descriptors() -> Iterator[SocketRow]:
    peers: dict[int, Address] | None = None
    for fd in _descriptors():
        row = _ask_a_duplicate(fd)
        if row is None:
            continue
        if row.state == "SYN_SENT":
            peers = _peers_in_the_table() if peers is None else peers
            row = row._replace(remote=peers.get(row.inode))
        yield row


def _descriptors() -> Iterable[int]:
    if sys.platform in {"darwin", "linux"}:  # elsewhere the folder may show three of them only
        try:
            return [int(name) for name in os.listdir("/dev/fd")]
        except OSError:  # a container without it
            pass
    return range(min(os.sysconf("SC_OPEN_MAX"), 65_536))


def _ask_a_duplicate(fd: int) -> SocketRow | None:
    """Ask a duplicate, so that whatever happens to the socket object, the descriptor stays open."""
    try:
        status = os.fstat(fd)
        if not stat.S_ISSOCK(status.st_mode):
            return None
        duplicate = os.dup(fd)
    except OSError:  # closed in the meantime
        return None
    blocking = os.get_blocking(duplicate)
    try:
        sock = socket.socket(fileno=duplicate)
    except OSError:
        os.close(duplicate)
        return None
    with sock:
        # After `socket.setdefaulttimeout()` every new socket object makes its socket non-blocking,
        # and that is a property which the duplicate shares with the original.
        if os.get_blocking(duplicate) != blocking:
            os.set_blocking(duplicate, blocking)
        return _ask(sock, fd, status.st_ino)


def _of_the_objects() -> Iterator[SocketRow]:
    for thing in gc.get_objects():
        if isinstance(thing, socket.socket):
            fd = thing.fileno()
            row = _ask(thing, fd, 0) if fd != -1 else None
            if row is not None:
                yield row


def _ask(sock: socket.socket, fd: int, inode: int) -> SocketRow | None:
    """The row of a socket by what it says of itself, if it is one that the census counts."""
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
    except (AttributeError, OSError):  # not every platform has, or answers, SO_ACCEPTCONN
        return False


def _name(address: object) -> Address:
    if isinstance(address, tuple):
        return (str(address[0]), int(address[1])) if address[1] else None
    if isinstance(address, bytes):  # Linux's abstract names
        return os.fsdecode(address) or None
    return str(address) or None


def _peers_in_the_table() -> dict[int, Address]:
    """The peers in the kernel's table of connections, by inode."""
    peers: dict[int, Address] = {}
    for path in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        try:
            with open(path, "rb") as table:
                lines = table.read().splitlines()
        except OSError:  # a kernel without IPv6 has no tcp6
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
