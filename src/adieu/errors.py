"""Every error that adieu raises: one root, a tree below it as in requests and httpx, and facts in each of them.

Invariants: this module imports nothing of adieu but how URLs are shown (`StatusError` is in `adieu.messages`, because
it carries a response). Every error can be pickled. A `TransportError` has facts: in which phase it happened, how much
of the request had been sent, whether a response had begun, on what connection. So code that retries decides by facts,
not by class names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict, TypeVar

from adieu.texts import show_url

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "AdieuError",
    "BodyBusy",
    "BodyClosed",
    "BodyTooLarge",
    "BodyTruncated",
    "ClientClosed",
    "ConnectError",
    "ConnectTimeout",
    "ContentError",
    "DNSError",
    "DeadlineExceeded",
    "DecodeError",
    "GuardError",
    "InvalidHeader",
    "InvalidRequest",
    "InvalidURL",
    "MissingExtra",
    "MountError",
    "PeerClosed",
    "PolicyError",
    "PoolTimeout",
    "ProtocolError",
    "ProxyError",
    "ReadError",
    "ReadTimeout",
    "RedirectError",
    "RequestTimeout",
    "TLSError",
    "TooManyRedirects",
    "TransportError",
    "UnknownAdapter",
    "WebSocketClosed",
    "WriteError",
    "WriteTimeout",
]

Phase = Literal["pool", "dns", "connect", "proxy", "tls", "write", "head", "body", "drain", "send"]
Sent = Literal["no", "partly", "wholly"]

_E = TypeVar("_E", bound="AdieuError")


class Facts(TypedDict, total=False):
    """The facts that every `TransportError` can be given: its attributes, by name."""

    phase: Phase
    request_sent: Sent
    response_started: bool
    reused: bool | None
    elapsed: float | None
    limit: float | None
    method: str | None
    url: str | None


def _rebuild(cls: type[_E], args: tuple[object, ...], state: dict[str, object]) -> _E:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class AdieuError(Exception):
    """The root of every error that adieu raises.

    `method` and `url` are those of the request that failed, where there was one. The text names them, the URL without
    its secrets; `url` itself is whole, apart from user name and password.
    """

    method: str | None = None
    url: str | None = None

    def __str__(self) -> str:
        """The message, and the request that failed unless the message names it."""
        text = super().__str__()
        if self.method is None or self.url is None:
            return text
        shown = show_url(self.url)
        return text if shown in text else f"{text} ({self.method} {shown})"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args, self.__dict__.copy())


class InvalidRequest(AdieuError, ValueError):
    """An argument of a call makes no sense; nothing was sent."""


class InvalidURL(InvalidRequest):
    """A URL cannot be understood, or no adapter serves it; nothing was sent."""


class InvalidHeader(InvalidRequest):
    """A header field name or value is not allowed (RFC 9110, section 5); nothing was sent."""


class PolicyError(AdieuError, TypeError):
    """A hook of a cleanup policy returned what it may not return. The connection is closed."""


class MountError(AdieuError, ValueError):
    """A mount pattern is not understood, or is equal to one that is mounted already."""


class UnknownAdapter(AdieuError, LookupError):
    """No adapter is installed under this name."""


class MissingExtra(AdieuError, ImportError):
    """A feature needs an optional dependency; the text says which extra to install."""


class ClientClosed(AdieuError, RuntimeError):
    """A closed client or adapter was used, or closing it cut off the body that was being read."""


class BodyClosed(AdieuError, RuntimeError):
    """The body was closed, abandoned or already read as a stream: its bytes are gone."""


class BodyBusy(AdieuError, RuntimeError):
    """Two threads or tasks tried to read the same body, or the outcomes of one map, at once."""


class ContentError(AdieuError):
    """A request's content could not be read while it was sent; `__cause__` is the error of the file or iterator."""


class DecodeError(AdieuError, ValueError):
    """The body arrived, but cannot be decoded: its content coding (gzip, deflate ...), its JSON, its event stream."""


class BodyTooLarge(AdieuError):
    """A body is larger than its limit (bytes)."""


class RedirectError(AdieuError):
    """A redirect cannot be followed: its Location is unusable, or following it would be unsafe.

    `method` and `url` are those of the request that was redirected, `status_code` is the status of its answer, and
    `location` the value of its Location field, with its secrets masked.
    """

    status_code: int | None = None
    location: str | None = None

    def __init__(
        self,
        message: str,
        *,
        method: str | None = None,
        url: str | None = None,
        status_code: int | None = None,
        location: str | None = None,
    ) -> None:
        super().__init__(message)
        self.method = method
        self.url = url
        self.status_code = status_code
        self.location = location


class TooManyRedirects(RedirectError):
    """More redirects than `max_redirects` allows. `limit` is that number."""

    limit: int | None = None

    def __init__(
        self,
        message: str,
        *,
        limit: int | None = None,
        method: str | None = None,
        url: str | None = None,
        status_code: int | None = None,
        location: str | None = None,
    ) -> None:
        super().__init__(
            message, method=method, url=url, status_code=status_code, location=location
        )
        self.limit = limit


class TransportError(AdieuError):
    """An exchange failed between the call and the end of the response.

    `phase`: where it failed; `request_sent`: how much of the request had been sent ("no", "partly", "wholly");
    `response_started`: whether any byte of a response had come; `reused`: whether the connection had carried an earlier
    exchange (None: there was no connection); `elapsed` and `limit`: seconds, if a time limit was involved. `method` and
    `url` are those of the hop.
    """

    phase: Phase = "send"
    request_sent: Sent = "no"
    response_started: bool = False
    reused: bool | None = None
    elapsed: float | None = None
    limit: float | None = None

    def __init__(self, message: str, **facts: Unpack[Facts]) -> None:
        super().__init__(message)
        for name in facts:
            if name not in Facts.__annotations__:
                raise TypeError(f"{type(self).__name__} has no fact called {name!r}")
        self.__dict__.update(facts)

    @property
    def retry_safe(self) -> bool:
        """True if the server cannot have acted on the request: nothing of it was sent."""
        return self.request_sent == "no"


class ConnectError(TransportError):
    """No connection could be made."""

    phase: Phase = "connect"


class DNSError(ConnectError):
    """The host name could not be resolved."""

    phase: Phase = "dns"


class GuardError(ConnectError):
    """A guard refused to connect. `refused` has pairs of address and rule, as in the text.

    Show neither of them to the person who gave the URL: both reveal the addresses behind your host names.
    """

    refused: tuple[tuple[str, str], ...] = ()

    def __init__(
        self, message: str, *, refused: tuple[tuple[str, str], ...] = (), **facts: Unpack[Facts]
    ) -> None:
        super().__init__(message, **facts)
        self.refused = refused

    @property
    def retry_safe(self) -> bool:
        """False: nothing was sent, but the guard would refuse again."""
        return False


class TLSError(ConnectError):
    """The TLS handshake failed; the text says which check failed for which host."""

    phase: Phase = "tls"


class ProxyError(ConnectError):
    """A proxy could not be reached, or made no connection to the origin; no part of the request was sent.

    `phase` is "proxy" if the proxy answered with a refusal, else the phase in which reaching it failed. `status` and
    `reason` are those of its answer to CONNECT, `answer` is the beginning of that answer's content; None, "" and b"" if
    it did not answer.
    """

    phase: Phase = "proxy"
    status: int | None = None
    reason: str = ""
    answer: bytes = b""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        reason: str = "",
        answer: bytes = b"",
        **facts: Unpack[Facts],
    ) -> None:
        super().__init__(message, **facts)
        self.status = status
        self.reason = reason
        self.answer = answer


class ReadError(TransportError):
    """The connection broke while a response was being read."""

    phase: Phase = "head"


class WriteError(TransportError):
    """The connection broke while the request was being written."""

    phase: Phase = "write"


class ProtocolError(TransportError):
    """The peer sent something that is not HTTP/1.1 (RFC 9112); the connection was closed."""

    phase: Phase = "head"


class PeerClosed(ProtocolError):
    """The peer closed the connection before a response began."""


class BodyTruncated(ProtocolError):
    """The connection ended before the body was complete. `received` and `expected`: bytes (None: not known)."""

    phase: Phase = "body"
    received: int = 0
    expected: int | None = None

    def __init__(
        self,
        message: str,
        *,
        received: int = 0,
        expected: int | None = None,
        **facts: Unpack[Facts],
    ) -> None:
        super().__init__(message, **facts)
        self.received = received
        self.expected = expected


class WebSocketClosed(TransportError):
    """A WebSocket is over: no message can be sent or received any more.

    `code` and `reason` are those of the peer's Close frame (RFC 6455, section 7.1.5): 1005 for a frame without a code,
    1006 if there was none. `sent_code` and `sent_reason` are those of the frame that was sent; None and "" if none was.
    `is_clean`: each side has sent one, and neither said that anything went wrong (1000, 1001 or no code).
    """

    phase: Phase = "body"
    code: int = 1006
    reason: str = ""
    sent_code: int | None = None
    sent_reason: str = ""

    def __init__(
        self,
        message: str,
        *,
        code: int = 1006,
        reason: str = "",
        sent_code: int | None = None,
        sent_reason: str = "",
        **facts: Unpack[Facts],
    ) -> None:
        super().__init__(message, **facts)
        self.code = code
        self.reason = reason
        self.sent_code = sent_code
        self.sent_reason = sent_reason

    @property
    def is_clean(self) -> bool:
        """Both sides have said goodbye, and neither because of an error."""
        return self.code in (1000, 1001, 1005) and self.sent_code in (1000, 1001, 1005)


class RequestTimeout(TransportError, TimeoutError):
    """A wait took longer than its limit (seconds)."""

    def __init__(self, message: str, **facts: Unpack[Facts]) -> None:
        TransportError.__init__(self, message, **facts)


class ConnectTimeout(RequestTimeout, ConnectError):
    """Resolving, connecting or the TLS handshake took longer than `Timeout.connect`."""

    phase: Phase = "connect"


class WriteTimeout(RequestTimeout):
    """The peer took no byte of the request for `Timeout.write` seconds."""

    phase: Phase = "write"


class ReadTimeout(RequestTimeout):
    """The peer sent nothing for `Timeout.read` seconds."""

    phase: Phase = "head"


class DeadlineExceeded(RequestTimeout):
    """The whole call took longer than `Timeout.total`; `phase` says how far it had come."""


class PoolTimeout(RequestTimeout):
    """No connection became free for `Timeout.pool`; the text names the exchanges that hold them, and since when."""

    phase: Phase = "pool"
    holders: tuple[str, ...] = ()

    def __init__(
        self, message: str, *, holders: tuple[str, ...] = (), **facts: Unpack[Facts]
    ) -> None:
        super().__init__(message, **facts)
        self.holders = holders
