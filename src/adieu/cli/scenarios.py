"""The two scenarios that every client of the demo runs, written as a user would who closes nothing by hand.

Invariants. The scenarios know no library, only `LibraryClient`. Every response and every error is kept until the
sockets have been counted, so no socket is closed by luck. The operating system counts.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from adieu.testing.socket_table import established

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from adieu.cli.small_server import SmallServer
    from adieu.testing.faults import FaultServer

__all__ = [
    "PATIENCE",
    "TIMES",
    "UNREAD",
    "LibraryClient",
    "LibraryResponse",
    "ManyUnread",
    "OpenClient",
    "OrdinaryUse",
    "many_unread",
    "ordinary_use",
]

TIMES = 20
UNREAD = 200

PATIENCE = 2.0
"""Seconds after which a client that waits for an answer counts as blocked."""

_LONG_TIMEOUT = 5.0
_SHORT_TIMEOUT = 0.1

# More than comes with a head, so an unread body is still on its way when the response is returned.
_LARGE = 300_000
_SMALL = 1_000


class LibraryResponse(Protocol):
    """A response of any library."""

    @property
    def status_code(self) -> int:
        """The status."""
        ...


R = TypeVar("R", bound=LibraryResponse)


class LibraryClient(Protocol[R]):
    """A client of any library, whose responses are `R`. Timeouts are seconds."""

    @property
    def timeouts(self) -> type[Exception]:
        """The class of the error that a timeout raises."""
        ...

    def head(self, url: str, timeout: float) -> R:
        """HEAD."""
        ...

    def get(self, url: str, timeout: float) -> R:
        """GET, with redirects followed. The body is left as the library returns it, read or unread."""
        ...

    def read(self, response: R) -> bytes:
        """The whole body."""
        ...

    def stream(self, url: str, timeout: float) -> AbstractContextManager[R]:
        """GET as a context manager that gives the response."""
        ...

    def pieces(self, response: R) -> Iterator[bytes]:
        """The body in pieces, as it comes."""
        ...


OpenClient = Callable[[], "AbstractContextManager[LibraryClient[R]]"]


class OrdinaryUse(NamedTuple):
    """Established sockets at the end of the block and after it, connections that the server accepted, seconds."""

    before: int
    after: int
    accepted: int
    seconds: float


class ManyUnread(NamedTuple):
    """How many requests were answered, which error stopped the rest, and how long the next client waited.

    `wait` is in seconds, or None if no answer came within `PATIENCE`.
    """

    answered: int
    stopped: str | None
    wait: float | None


class UnexpectedAnswer(Exception):
    """An answer is not the one that the server sent."""


def ordinary_use(open_client: OpenClient[R], server: FaultServer) -> OrdinaryUse:
    """20 HEAD, 20 GET read, 20 GET unread, 20 404 unread, redirects, a timeout, an exception in the middle of a body.

    Then one more GET: the client must still work after all that.
    """
    ports = {server.port}
    kept: list[object] = []
    start = perf_counter()
    with open_client() as client:
        _twenty_of_each(client, server.url, kept)
        _redirects_and_errors(client, server.url, kept)
        kept.append(_expect(200, client.get(f"{server.url}/ok", _LONG_TIMEOUT)))
        before = established(to_ports=ports)
    seconds = perf_counter() - start
    after = established(to_ports=ports)
    kept.clear()  # A kept error refers to the list, through its traceback: a cycle.
    return OrdinaryUse(before, after, server.accepted, seconds)


def _twenty_of_each(client: LibraryClient[R], url: str, kept: list[object]) -> None:
    def get(path: str, status: int = 200) -> R:
        return _expect(status, client.get(url + path, _LONG_TIMEOUT))

    kept += [_expect(200, client.head(f"{url}/head", _LONG_TIMEOUT)) for _ in range(TIMES)]
    for _ in range(TIMES):
        response = get(f"/bytes?n={_SMALL}")
        length = len(client.read(response))
        if length != _SMALL:
            raise UnexpectedAnswer(f"{length} bytes came, not {_SMALL}")
        kept.append(response)
    kept += [get(f"/bytes?n={_LARGE}") for _ in range(TIMES)]
    kept += [get(f"/status/404?body={_LARGE}", 404) for _ in range(TIMES)]


def _redirects_and_errors(client: LibraryClient[R], url: str, kept: list[object]) -> None:
    kept.append(_expect(200, client.get(f"{url}/redirect?n=5&body={_SMALL}", _LONG_TIMEOUT)))
    try:
        client.get(f"{url}/stall-head?seconds=30", _SHORT_TIMEOUT)
    except client.timeouts as error:
        kept.append(error)
    else:
        raise UnexpectedAnswer(f"no timeout of {_SHORT_TIMEOUT} s")
    try:
        with client.stream(f"{url}/chunked?n=60000&size=1000", _LONG_TIMEOUT) as response:
            kept.append(_expect(200, response))
            for _piece in client.pieces(response):
                raise ZeroDivisionError  # A mistake in the user's own code.
    except ZeroDivisionError as error:
        kept.append(error)


def _expect(status: int, response: R) -> R:
    if response.status_code != status:
        raise UnexpectedAnswer(f"the answer was {response.status_code}, not {status}")
    return response


def many_unread(open_client: OpenClient[R], server: SmallServer) -> ManyUnread:
    """200 requests whose bodies are not read. Then, while all responses are kept, another client sends a request.

    Every second body is small, and its response is only kept. The others are large, and left unread at the end of their
    `with` block.
    """
    kept: list[object] = []
    stopped = None
    with open_client() as client:
        try:
            while len(kept) < UNREAD:
                kept.append(_expect(200, client.get(f"{server.url}/{_SMALL}", PATIENCE)))
                with client.stream(f"{server.url}/{_LARGE}", PATIENCE) as response:
                    kept.append(_expect(200, response))
        except client.timeouts as error:
            stopped = f"{type(error).__name__}: {error}"
        answered = len(kept)
        wait = _wait_of_next_client(server)
    kept.clear()
    return ManyUnread(answered, stopped, wait)


def _wait_of_next_client(server: SmallServer) -> float | None:
    """How long one more client waits for its answer, one of the standard library: seconds, or None for no answer."""
    start = perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    try:
        connection.request("GET", f"/{_SMALL}", headers={"Connection": "close"})
        connection.getresponse().read()
    except TimeoutError:
        return None
    finally:
        connection.close()
    return perf_counter() - start
