"""Who plays the demo's script: adieu, and for comparison what many people use instead.

Rules of the room: every library is used as its own documentation has it: in a `with` block, with timeouts; and without
anything from the environment, since a proxy setting would lead away from the demo's server. What the script does not
read or close is left to the library, for that is what is looked at.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

import adieu

if TYPE_CHECKING:
    from adieu.cli.scenarios import Hands, Opened
    from adieu.lifecycle.cleanup import CleanupPolicy

__all__ = ["OTHERS", "POLICIES", "Player", "others", "ours"]

POLICIES: dict[str, Callable[[], CleanupPolicy]] = {
    "Prefetch": adieu.Prefetch,
    "ReleaseOnRead": adieu.ReleaseOnRead,
    "CloseOnExit": adieu.CloseOnExit,
    "NoKeepAlive": adieu.NoKeepAlive,
    # Its own limit would take every body of the script; with this one it does both things that it can do.
    "PrefetchUpTo": lambda: adieu.PrefetchUpTo(64 * 1024),
    "Strict": adieu.Strict,
}


class Player(NamedTuple):
    """One line of the table: a client, the way in which it treats bodies, and how it is opened."""

    name: str
    way: str
    opened: Opened


def ours(adapter: str, policy: str) -> Player:
    """Our client, with the adapter and the policy of these names."""

    @contextlib.contextmanager
    def opened() -> Iterator[Hands]:
        with adieu.Client(adapter=adapter, cleanup=POLICIES[policy](), proxy=None) as client:
            yield _AdieuHands(client)

    return Player(adapter, policy, opened)


def others(library: str) -> list[Player]:
    """The players of a library of `OTHERS`; none if it is not installed."""
    if importlib.util.find_spec(library) is None:
        return []
    return OTHERS[library]()


class _AdieuHands:
    timeouts = adieu.RequestTimeout

    def __init__(self, client: adieu.Client) -> None:
        self.client = client

    def head(self, url: str, timeout: float) -> adieu.Response:
        return self.client.head(url, timeout=timeout)

    def get(self, url: str, timeout: float) -> adieu.Response:
        return self.client.get(url, timeout=timeout)

    def read(self, response: adieu.Response) -> bytes:
        return response.read()

    def stream(self, url: str, timeout: float) -> AbstractContextManager[adieu.Response]:
        return self.client.stream("GET", url, timeout=timeout)

    def pieces(self, response: adieu.Response) -> Iterator[bytes]:
        return response.iter_bytes()


class _RequestsHands:
    def __init__(self, session: Any, timeouts: type[Exception], stream: bool) -> None:
        self.session = session
        self.timeouts = timeouts
        self._stream = stream

    def head(self, url: str, timeout: float) -> Any:
        return self.session.head(url, timeout=timeout)

    def get(self, url: str, timeout: float) -> Any:
        return self.session.get(url, timeout=timeout, stream=self._stream)

    def read(self, response: Any) -> bytes:
        content: bytes = response.content
        return content

    def stream(self, url: str, timeout: float) -> AbstractContextManager[Any]:
        response: AbstractContextManager[Any] = self.session.get(url, timeout=timeout, stream=True)
        return response

    def pieces(self, response: Any) -> Iterator[bytes]:
        pieces: Iterator[bytes] = response.iter_content(1024)
        return pieces


def _requests() -> list[Player]:
    requests: Any = importlib.import_module("requests")

    def opened(stream: bool) -> Opened:
        @contextlib.contextmanager
        def session() -> Iterator[Hands]:
            with requests.Session() as session:
                session.trust_env = False
                yield _RequestsHands(session, requests.Timeout, stream)

        return session

    return [
        Player("requests", "get()", opened(stream=False)),
        Player("requests", "get(stream=True)", opened(stream=True)),
    ]


class _HttpxHands:
    def __init__(self, client: Any, timeouts: type[Exception], stream: bool) -> None:
        self.client = client
        self.timeouts = timeouts
        self._stream = stream

    def head(self, url: str, timeout: float) -> Any:
        return self.client.head(url, timeout=timeout)

    def get(self, url: str, timeout: float) -> Any:
        request = self.client.build_request("GET", url, timeout=timeout)
        return self.client.send(request, stream=self._stream)

    def read(self, response: Any) -> bytes:
        content: bytes = response.read()
        return content

    def stream(self, url: str, timeout: float) -> AbstractContextManager[Any]:
        block: AbstractContextManager[Any] = self.client.stream("GET", url, timeout=timeout)
        return block

    def pieces(self, response: Any) -> Iterator[bytes]:
        pieces: Iterator[bytes] = response.iter_bytes()
        return pieces


def _httpx() -> list[Player]:
    httpx: Any = importlib.import_module("httpx")

    def opened(stream: bool) -> Opened:
        @contextlib.contextmanager
        def client() -> Iterator[Hands]:
            with httpx.Client(trust_env=False, follow_redirects=True) as client:
                yield _HttpxHands(client, httpx.TimeoutException, stream)

        return client

    return [
        Player("httpx", "get()", opened(stream=False)),
        Player("httpx", "send(stream=True)", opened(stream=True)),
    ]


OTHERS: dict[str, Callable[[], list[Player]]] = {"requests": _requests, "httpx": _httpx}
