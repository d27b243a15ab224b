"""From a name to addresses: the system's resolver, which blocks, in this thread or in one of its own."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, cast

from adieu.errors import ClientClosed, DNSError
from adieu.lifecycle.threads import BackgroundThread

if TYPE_CHECKING:
    from adieu.net.address import Address, SocketAddress
    from adieu.net.closing import Closable

__all__ = ["LookUp", "interleaved", "lookup", "lookup_in_thread", "lookup_within"]

LookUp: TypeAlias = "Callable[[str, int], list[Address]]"
Found: TypeAlias = "list[Address] | Exception"
"""The result of a look-up in a thread of its own."""


def lookup(host: str, port: int) -> list[Address]:
    """The addresses of a name from the system's resolver, with IPv6 and IPv4 in turn.

    An IPv4 address is its own: the resolver would load Python's codec for international names first.
    """
    if host[-1:].isdigit() and ":" not in host:
        try:
            socket.inet_pton(socket.AF_INET, host)
        except OSError:
            pass  # A name after all; or not one that the resolver takes, which then says so.
        else:
            return [(socket.AF_INET, (host, port))]
    try:
        found = cast(
            "list[tuple[int, int, int, str, SocketAddress]]",  # bytes only in a Python without IPv6
            socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM),
        )
    except UnicodeError as error:
        # The resolver's own codec refuses labels that are empty or too long.
        raise DNSError(f"the host name {host!r} cannot be looked up: {error}") from (
            error.with_traceback(None)
        )
    except socket.gaierror as error:
        raise DNSError(f"the host name {host!r} could not be resolved: {error.strerror}") from (
            error.with_traceback(
                None
            )  # It would keep the caller's frames alive: see `lookup_in_thread`.
        )
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    return interleaved(addresses)


def lookup_in_thread(
    host: str, port: int, answer: Callable[[Found], object], look_up: LookUp = lookup
) -> None:
    """Look up in a new thread, which passes the addresses, or the exception, to `answer`."""

    def look() -> None:
        try:
            found = look_up(host, port)
        except Exception as error:
            # Without frames: this one refers to `answer`, which then refers to the error.
            answer(error.with_traceback(None))
            return
        answer(found)

    try:
        BackgroundThread(look, name=f"adieu-dns-{host}").begin()
    except RuntimeError as error:
        raise DNSError(f"the host name {host!r} could not be looked up: {error}") from error


class _LookupCancel:
    """Ends the wait for an answer when the scope that owns this is closed."""

    __slots__ = ("_put",)

    def __init__(self, put: Callable[[Found], object]) -> None:
        self._put = put

    def close(self) -> None:
        self._put(ClientClosed("the client was closed while a name was being looked up"))


def lookup_within(
    host: str,
    port: int,
    seconds: float,
    own: Callable[[Closable], object],
    look_up: LookUp = lookup,
) -> list[Address] | None:
    """Look up, and wait for these seconds at most; None when they have passed.

    `own` is called with an object whose `close()` ends the wait.
    """
    import queue

    answers: queue.SimpleQueue[Found] = queue.SimpleQueue()
    own(_LookupCancel(answers.put))
    lookup_in_thread(host, port, answers.put, look_up)
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        return None
    if isinstance(answer, Exception):
        try:
            raise answer
        finally:
            del answer  # Or the exception's traceback would refer to the exception: a cycle.
    return answer


def interleaved(addresses: list[Address]) -> list[Address]:
    """The addresses in the resolver's order, with the two families in turn (RFC 8305, section 4)."""
    first = [a for a in addresses if a[0] == addresses[0][0]]
    other = [a for a in addresses if a[0] != addresses[0][0]]
    mixed: list[Address] = []
    for index in range(max(len(first), len(other))):
        mixed += first[index : index + 1] + other[index : index + 1]
    return mixed
