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
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import adieu
from adieu.cli.scenarios import LibraryResponse

if TYPE_CHECKING:
    from typing_extensions import Self

    from adieu.cli.scenarios import OpenClient
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
    open_client: OpenClient[Any]


def adieu_candidate(adapter: str, policy: str) -> Candidate:
    """An `adieu.Client` with the adapter and the policy of these names."""

    @contextlib.contextmanager
    def open_client() -> Iterator[_AdieuClient]:
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


class _RequestsResponse(LibraryResponse, Protocol):
    @property
    def content(self) -> bytes: ...

    def iter_content(self, size: int, /) -> Iterator[bytes]: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class _RequestsSession(Protocol):
    def head(self, url: str, *, timeout: float) -> _RequestsResponse: ...

    def get(self, url: str, *, timeout: float, stream: bool) -> _RequestsResponse: ...


class _RequestsClient:
    def __init__(self, session: _RequestsSession, timeouts: type[Exception], stream: bool) -> None:
        self.timeouts = timeouts
        self._session = session
        self._stream = stream

    def head(self, url: str, timeout: float) -> _RequestsResponse:
        return self._session.head(url, timeout=timeout)

    def get(self, url: str, timeout: float) -> _RequestsResponse:
        return self._session.get(url, timeout=timeout, stream=self._stream)

    def read(self, response: _RequestsResponse) -> bytes:
        return response.content

    def stream(self, url: str, timeout: float) -> AbstractContextManager[_RequestsResponse]:
        return self._session.get(url, timeout=timeout, stream=True)

    def pieces(self, response: _RequestsResponse) -> Iterator[bytes]:
        return response.iter_content(1024)


def _requests() -> list[Candidate]:
    requests: Any = importlib.import_module("requests")

    def opener(stream: bool) -> OpenClient[_RequestsResponse]:
        @contextlib.contextmanager
        def open_client() -> Iterator[_RequestsClient]:
            with requests.Session() as session:
                session.trust_env = False
                yield _RequestsClient(session, requests.Timeout, stream)

        return open_client

    return [
        Candidate("requests", "get()", opener(stream=False)),
        Candidate("requests", "get(stream=True)", opener(stream=True)),
    ]


class _HttpxResponse(LibraryResponse, Protocol):
    def read(self) -> bytes: ...

    def iter_bytes(self) -> Iterator[bytes]: ...


class _HttpxSession(Protocol):
    def head(self, url: str, *, timeout: float) -> _HttpxResponse: ...

    def build_request(self, method: str, url: str, *, timeout: float) -> object: ...

    def send(self, request: object, *, stream: bool) -> _HttpxResponse: ...

    def stream(
        self, method: str, url: str, *, timeout: float
    ) -> AbstractContextManager[_HttpxResponse]: ...


class _HttpxClient:
    def __init__(self, client: _HttpxSession, timeouts: type[Exception], stream: bool) -> None:
        self.timeouts = timeouts
        self._client = client
        self._stream = stream

    def head(self, url: str, timeout: float) -> _HttpxResponse:
        return self._client.head(url, timeout=timeout)

    def get(self, url: str, timeout: float) -> _HttpxResponse:
        request = self._client.build_request("GET", url, timeout=timeout)
        return self._client.send(request, stream=self._stream)

    def read(self, response: _HttpxResponse) -> bytes:
        return response.read()

    def stream(self, url: str, timeout: float) -> AbstractContextManager[_HttpxResponse]:
        return self._client.stream("GET", url, timeout=timeout)

    def pieces(self, response: _HttpxResponse) -> Iterator[bytes]:
        return response.iter_bytes()


def _httpx() -> list[Candidate]:
    httpx: Any = importlib.import_module("httpx")

    def opener(stream: bool) -> OpenClient[_HttpxResponse]:
        @contextlib.contextmanager
        def open_client() -> Iterator[_HttpxClient]:
            with httpx.Client(trust_env=False, follow_redirects=True) as client:
                yield _HttpxClient(client, httpx.TimeoutException, stream)

        return open_client

    return [
        Candidate("httpx", "get()", opener(stream=False)),
        Candidate("httpx", "send(stream=True)", opener(stream=True)),
    ]


OTHERS: dict[str, Callable[[], list[Candidate]]] = {"requests": _requests, "httpx": _httpx}
