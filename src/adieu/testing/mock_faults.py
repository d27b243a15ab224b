"""Faults that a `MockAdapter` answers with: the errors of adieu's own adapters, made by the same function.

Nothing waits: after a timeout the error tells the time that a real one would have taken.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from adieu._value import Value
from adieu.errors import (
    BodyTruncated,
    ConnectError,
    ConnectTimeout,
    DNSError,
    InvalidRequest,
    PeerClosed,
    ReadError,
    ReadTimeout,
    TLSError,
    WriteTimeout,
)
from adieu.http1.error_mapping import map_error
from adieu.http1.head import Truncated
from adieu.lifecycle.deadline import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adieu.errors import Phase, Sent, TransportError
    from adieu.lifecycle.deadline import Wait
    from adieu.messages.headers import HeaderFields
    from adieu.messages.request import Request
    from adieu.transport.exchange import AnyExchange, AnyResponse

__all__ = ["Fault", "FaultKind", "fault_for"]

FaultKind = Literal[
    "dns",
    "refused",
    "connect timeout",
    "tls",
    "write timeout",
    "reset",
    "closed",
    "read timeout",
    "cut body",
    "reset body",
    "body timeout",
]


class _Cause(NamedTuple):
    """What a real adapter would meet, and how far it would have come."""

    error: Callable[[], Exception]
    phase: Phase
    sent: Sent
    wait: Wait | None = None


def _reset() -> Exception:
    return ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


def _refused() -> Exception:
    return ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


def _unknown_name() -> Exception:
    return socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def _tls_broken_off() -> Exception:
    import ssl

    error = ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol")
    error.reason = "UNEXPECTED_EOF_WHILE_READING"  # As OpenSSL says it; only C code sets it.
    return error


def _truncated() -> Exception:
    return Truncated("the body ended too early")


_CAUSES: dict[FaultKind, _Cause] = {
    "dns": _Cause(_unknown_name, "dns", "no"),
    "refused": _Cause(_refused, "connect", "no"),
    "connect timeout": _Cause(TimeoutError, "connect", "no", "connect"),
    "tls": _Cause(_tls_broken_off, "tls", "no"),
    "write timeout": _Cause(TimeoutError, "write", "partly", "write"),
    "reset": _Cause(_reset, "head", "wholly"),
    "closed": _Cause(EOFError, "head", "wholly"),
    "read timeout": _Cause(TimeoutError, "head", "wholly", "read"),
    "cut body": _Cause(_truncated, "body", "wholly"),
    "reset body": _Cause(_reset, "body", "wholly"),
    "body timeout": _Cause(TimeoutError, "body", "wholly", "read"),
}


_BY_ERROR: dict[type[BaseException], FaultKind] = {
    DNSError: "dns",
    ConnectError: "refused",
    ConnectTimeout: "connect timeout",
    TLSError: "tls",
    WriteTimeout: "write timeout",
    ReadError: "reset",
    PeerClosed: "closed",
    ReadTimeout: "read timeout",
    BodyTruncated: "cut body",
}


def fault_for(error: type[BaseException]) -> Fault | None:
    """The fault that raises an error of this class, if there is one."""
    kind = _BY_ERROR.get(error)
    return None if kind is None else Fault(kind)


class Fault(Value):
    """An answer of a `MockAdapter` that fails as a server or a network does.

    Before there is a response: "dns", "refused", "connect timeout", "tls", "write timeout", "reset", "closed" and
    "read timeout". In the middle of a body: "cut body" (the connection is closed), "reset body" and "body timeout";
    these answer with `status` and `headers`, promise the bytes of `body`, and give the first `after` of them (default:
    half). The error is the one that adieu's adapters raise, with its facts. Raises `InvalidRequest` for another kind.
    """

    __slots__ = ("after", "body", "headers", "kind", "status")
    kind: FaultKind
    status: int
    headers: HeaderFields | None
    body: bytes
    after: int | None

    def __init__(
        self,
        kind: FaultKind,
        *,
        status: int = 200,
        headers: HeaderFields | None = None,
        body: bytes = b"x" * 1000,
        after: int | None = None,
    ) -> None:
        if kind not in get_args(FaultKind):
            raise InvalidRequest(f"no fault is called {kind!r}. There are: {', '.join(_CAUSES)}")
        if after is not None and not 0 <= after < len(body):
            raise InvalidRequest(f"after={after!r} is not between 0 and {len(body) - 1} bytes")
        self._set(kind=kind, status=status, headers=headers, body=body, after=after)

    def answer(self, request: Request, exchange: AnyExchange) -> AnyResponse:
        """Raise the error, or return a response whose body raises it."""
        if _CAUSES[self.kind].phase != "body":
            raise self._error(exchange, 0)
        after = len(self.body) // 2 if self.after is None else self.after
        response = exchange.respond(self.status, self.headers, self._pieces(exchange, after))
        response.headers["Content-Length"] = str(len(self.body))
        return response

    def _pieces(self, exchange: AnyExchange, after: int) -> Iterator[bytes]:
        if after:
            yield self.body[:after]
        raise self._error(exchange, after)

    def _error(self, exchange: AnyExchange, received: int) -> TransportError:
        cause = _CAUSES[self.kind]
        since = exchange.deadline
        if cause.wait is not None:
            since = self._after_wait(exchange, cause.wait)
        native = cause.error()
        facts = _Facts(exchange, cause, since, received, len(self.body) - received)
        error = map_error(native, cause.phase, facts)
        error.__cause__ = native
        return error

    def _after_wait(self, exchange: AnyExchange, wait: Wait) -> Deadline:
        """The clock of the call when a wait of this kind is over."""
        deadline = exchange.deadline
        left = deadline.remaining(wait)
        if left is None:
            raise InvalidRequest(
                f"Fault({self.kind!r}): this call has no limit for {wait!r} (Timeout.{wait}), so it would wait for ever"
            )
        moment = deadline.now() + left
        late = Deadline(deadline.timeout, lambda: moment)
        late.started_at, late.ends_at = deadline.started_at, deadline.ends_at
        return late


class _Facts:
    """The facts of the lease that a real adapter would have had."""

    reused = False

    def __init__(
        self, exchange: AnyExchange, cause: _Cause, since: Deadline, received: int, remaining: int
    ) -> None:
        self.method = exchange.method
        self.url = exchange.url
        self.key = exchange.url.origin
        self.connection = self
        self.since = since
        self.sent: Sent = cause.sent
        self.started = cause.phase == "body"
        self.received = received
        self.remaining = remaining
