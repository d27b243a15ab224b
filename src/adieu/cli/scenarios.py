"""The script that every client of the demo plays, as a person would write it who closes nothing by hand.

Rules of the room: it knows no library, only `Hands`. Every response and every error is kept until the sockets have been
counted, so that no socket can be closed by luck; and it is the operating system that counts.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from adieu.testing.socket_table import established

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from adieu.cli.small_server import SmallServer
    from adieu.testing.faults import FaultServer

__all__ = ["CROWD", "PATIENCE", "TIMES", "Classic", "Crowd", "Hands", "Opened", "classic", "crowd"]

TIMES = 20
CROWD = 200

PATIENCE = 2.0
"""Seconds after which somebody who waits for an answer counts as blocked."""

_GENEROUS = 5.0
_TIMEOUT = 0.1

# More than comes with a head, so that a body that nobody reads is still on its way when the response is handed out.
_LARGE = 300_000
_SMALL = 1_000


class Hands(Protocol):
    """What the script does with a client, in the words of its library. Timeouts are seconds."""

    @property
    def timeouts(self) -> type[Exception]:
        """What a timeout raises."""
        ...

    def head(self, url: str, timeout: float) -> Any:
        """HEAD."""
        ...

    def get(self, url: str, timeout: float) -> Any:
        """GET, redirects followed; what is not read by then stays unread."""
        ...

    def read(self, response: Any) -> bytes:
        """The whole body."""
        ...

    def stream(self, url: str, timeout: float) -> AbstractContextManager[Any]:
        """GET in a `with` block, which gives the response."""
        ...

    def pieces(self, response: Any) -> Iterator[bytes]:
        """The body as it comes."""
        ...


Opened = Callable[[], "AbstractContextManager[Hands]"]


class Classic(NamedTuple):
    """Sockets established at the end of the block and after it, connections the server accepted, seconds."""

    before: int
    after: int
    accepted: int
    seconds: float


class Crowd(NamedTuple):
    """How many requests were answered, what stopped them if not all, and how long the next client waited.

    `wait` is seconds, or None: no answer came while the server was asked (`PATIENCE`).
    """

    answered: int
    stopped: str | None
    wait: float | None


class Unexpected(Exception):
    """An answer was not the one that the server gives."""


def classic(opened: Opened, server: FaultServer) -> Classic:
    """20 HEAD, 20 GET read, 20 GET unread, 20 404 unread, redirects, a timeout, an exception in the middle of a body.

    Then one more GET: after all that, the client must still work.
    """
    ports = {server.port}
    kept: list[object] = []
    start = perf_counter()
    with opened() as hands:
        _twenty_of_each(hands, server.url, kept)
        _trouble(hands, server.url, kept)
        kept.append(_expect(200, hands.get(f"{server.url}/ok", _GENEROUS)))
        before = established(to_ports=ports)
    seconds = perf_counter() - start
    after = established(to_ports=ports)
    kept.clear()  # An error that is kept refers, by its traceback, to what keeps it.
    return Classic(before, after, server.accepted, seconds)


def _twenty_of_each(hands: Hands, url: str, kept: list[object]) -> None:
    def get(path: str, status: int = 200) -> Any:
        return _expect(status, hands.get(url + path, _GENEROUS))

    kept += [_expect(200, hands.head(f"{url}/head", _GENEROUS)) for _ in range(TIMES)]
    for _ in range(TIMES):
        response = get(f"/bytes?n={_SMALL}")
        length = len(hands.read(response))
        if length != _SMALL:
            raise Unexpected(f"{length} bytes came, not {_SMALL}")
        kept.append(response)
    kept += [get(f"/bytes?n={_LARGE}") for _ in range(TIMES)]
    kept += [get(f"/status/404?body={_LARGE}", 404) for _ in range(TIMES)]


def _trouble(hands: Hands, url: str, kept: list[object]) -> None:
    kept.append(_expect(200, hands.get(f"{url}/redirect?n=5&body={_SMALL}", _GENEROUS)))
    try:
        hands.get(f"{url}/stall-head?seconds=30", _TIMEOUT)
    except hands.timeouts as error:
        kept.append(error)
    else:
        raise Unexpected(f"no timeout of {_TIMEOUT} s")
    try:
        with hands.stream(f"{url}/chunked?n=60000&size=1000", _GENEROUS) as response:
            kept.append(_expect(200, response))
            for _piece in hands.pieces(response):
                raise ZeroDivisionError  # Any mistake in a user's own code.
    except ZeroDivisionError as error:
        kept.append(error)


def _expect(status: int, response: Any) -> Any:
    if response.status_code != status:
        raise Unexpected(f"the answer was {response.status_code}, not {status}")
    return response


def crowd(opened: Opened, server: SmallServer) -> Crowd:
    """200 requests whose bodies nobody reads; then, while all of that is still there, somebody else asks.

    Every second body is small and its response simply put aside; the others are large, and left unread at the end of
    their `with` block.
    """
    kept: list[object] = []
    stopped = None
    with opened() as hands:
        try:
            while len(kept) < CROWD:
                kept.append(_expect(200, hands.get(f"{server.url}/{_SMALL}", PATIENCE)))
                with hands.stream(f"{server.url}/{_LARGE}", PATIENCE) as response:
                    kept.append(_expect(200, response))
        except hands.timeouts as error:
            stopped = f"{type(error).__name__}: {error}"
        answered = len(kept)
        wait = _ask(server)
    kept.clear()
    return Crowd(answered, stopped, wait)


def _ask(server: SmallServer) -> float | None:
    """How long one more client waits, one that is nobody's here and behaves: seconds, or None for no answer."""
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
