"""The clients that run the demo's scenarios: adieu, and for comparison other libraries that many people use.

Invariants. Every library is used as its own documentation shows it: in a `with` block, with timeouts. The environment
is ignored: a proxy setting would lead away from the demo's server. What the scenarios do not read or close is left to
the library, because the demo shows what it does then.
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
    from adieu.cli.scenarios import LibraryClient, OpenClient
    from adieu.lifecycle.cleanup import CleanupPolicy

__all__ = ["OTHERS", "POLICIES", "Candidate", "adieu_candidate", "candidates_of"]

POLICIES: dict[str, Callable[[], CleanupPolicy]] = {
    "Prefetch": adieu.Prefetch,
    "ReleaseOnRead": adieu.ReleaseOnRead,
    "CloseOnExit": adieu.CloseOnExit,
    "NoKeepAlive": adieu.NoKeepAlive,
    # Its default limit is above every body of the scenarios. With this one, some bodies are prefetched, others not.
    "PrefetchUpTo": lambda: adieu.PrefetchUpTo(64 * 1024),
    "Strict": adieu.Strict,
}


class Candidate(NamedTuple):
    """A row of the table: the name of the library or the adapter, how it treats bodies, and how to open a client."""

    name: str
    mode: str
    open_client: OpenClient


def adieu_candidate(adapter: str, policy: str) -> Candidate:
    """An `adieu.Client` with the adapter and the policy of these names."""

    @contextlib.contextmanager
    def open_client() -> Iterator[LibraryClient]:
        with adieu.Client(adapter=adapter, cleanup=POLICIES[policy](), proxy=None) as client:
            yield _AdieuClient(client)

    return Candidate(adapter, policy, open_client)


def candidates_of(library: str) -> list[Candidate]:
    """The candidates of a library of `OTHERS`; none if it is not installed."""
    if importlib.util.find_spec(library) is None:
        return []
    return OTHERS[library]()


class _AdieuClient:
    timeouts = adieu.RequestTimeout

    def __init__(self, client: adieu.Client) -> None:
        self._client = client

    def head(self, url: str, timeout: float) -> adieu.Response:
        return self._client.head(url, timeout=timeout)

    def get(self, url: str, timeout: float) -> adieu.Response:
        return self._client.get(url, timeout=timeout)

    def read(self, response: adieu.Response) -> bytes:
        return response.read()

    def stream(self, url: str, timeout: float) -> AbstractContextManager[adieu.Response]:
        return self._client.stream("GET", url, timeout=timeout)

    def pieces(self, response: adieu.Response) -> Iterator[bytes]:
        return response.iter_bytes()


class _RequestsClient:
    def __init__(self, session: Any, timeouts: type[Exception], stream: bool) -> None:
        self._session = session
        self.timeouts = timeouts
        self._stream = stream

    def head(self, url: str, timeout: float) -> Any:
        return self._session.head(url, timeout=timeout)

    def get(self, url: str, timeout: float) -> Any:
        return self._session.get(url, timeout=timeout, stream=self._stream)

    def read(self, response: Any) -> bytes:
        content: bytes = response.content
        return content

    def stream(self, url: str, timeout: float) -> AbstractContextManager[Any]:
        response: AbstractContextManager[Any] = self._session.get(url, timeout=timeout, stream=True)
        return response

    def pieces(self, response: Any) -> Iterator[bytes]:
        pieces: Iterator[bytes] = response.iter_content(1024)
        return pieces


def _requests() -> list[Candidate]:
    requests: Any = importlib.import_module("requests")

    def opener(stream: bool) -> OpenClient:
        @contextlib.contextmanager
        def open_client() -> Iterator[LibraryClient]:
            with requests.Session() as session:
                session.trust_env = False
                yield _RequestsClient(session, requests.Timeout, stream)

        return open_client

    return [
        Candidate("requests", "get()", opener(stream=False)),
        Candidate("requests", "get(stream=True)", opener(stream=True)),
    ]


class _HttpxClient:
    def __init__(self, client: Any, timeouts: type[Exception], stream: bool) -> None:
        self._client = client
        self.timeouts = timeouts
        self._stream = stream

    def head(self, url: str, timeout: float) -> Any:
        return self._client.head(url, timeout=timeout)

    def get(self, url: str, timeout: float) -> Any:
        request = self._client.build_request("GET", url, timeout=timeout)
        return self._client.send(request, stream=self._stream)

    def read(self, response: Any) -> bytes:
        content: bytes = response.read()
        return content

    def stream(self, url: str, timeout: float) -> AbstractContextManager[Any]:
        block: AbstractContextManager[Any] = self._client.stream("GET", url, timeout=timeout)
        return block

    def pieces(self, response: Any) -> Iterator[bytes]:
        pieces: Iterator[bytes] = response.iter_bytes()
        return pieces


def _httpx() -> list[Candidate]:
    httpx: Any = importlib.import_module("httpx")

    def opener(stream: bool) -> OpenClient:
        @contextlib.contextmanager
        def open_client() -> Iterator[LibraryClient]:
            with httpx.Client(trust_env=False, follow_redirects=True) as client:
                yield _HttpxClient(client, httpx.TimeoutException, stream)

        return open_client

    return [
        Candidate("httpx", "get()", opener(stream=False)),
        Candidate("httpx", "send(stream=True)", opener(stream=True)),
    ]


OTHERS: dict[str, Callable[[], list[Candidate]]] = {"requests": _requests, "httpx": _httpx}
