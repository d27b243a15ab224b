"""What the bridges use of httpx or httpx2, which have the same classes under the same names."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import adieu
from adieu.lifecycle.exchange import skip_frames_of
from adieu.texts import show

if TYPE_CHECKING:
    from types import ModuleType

    from adieu.errors import Sent
    from adieu.lifecycle.deadline import Deadline, Wait

__all__ = ["Library"]

# The first class that fits counts.
_THEIRS: tuple[tuple[type[adieu.AdieuError], str], ...] = (
    (adieu.PoolTimeout, "PoolTimeout"),
    (adieu.ConnectTimeout, "ConnectTimeout"),
    (adieu.WriteTimeout, "WriteTimeout"),
    (adieu.RequestTimeout, "ReadTimeout"),
    (adieu.ProxyError, "ProxyError"),
    (adieu.ConnectError, "ConnectError"),
    (adieu.WriteError, "WriteError"),
    (adieu.ReadError, "ReadError"),
    (adieu.ProtocolError, "RemoteProtocolError"),
    (adieu.TransportError, "TransportError"),
    (adieu.InvalidURL, "UnsupportedProtocol"),
    (adieu.InvalidRequest, "LocalProtocolError"),
)
# "no": nothing of the request can have been sent.
_OURS: tuple[tuple[str, type[adieu.TransportError], Sent], ...] = (
    ("PoolTimeout", adieu.PoolTimeout, "no"),
    ("ConnectTimeout", adieu.ConnectTimeout, "no"),
    ("WriteTimeout", adieu.WriteTimeout, "partly"),
    ("TimeoutException", adieu.ReadTimeout, "partly"),
    ("ProxyError", adieu.ProxyError, "no"),
    ("ConnectError", adieu.ConnectError, "no"),
    ("WriteError", adieu.WriteError, "partly"),
    ("NetworkError", adieu.ReadError, "partly"),
    ("RemoteProtocolError", adieu.ProtocolError, "partly"),
    ("TransportError", adieu.TransportError, "partly"),
)
_WAITS: dict[type[adieu.TransportError], Wait] = {
    adieu.PoolTimeout: "pool",
    adieu.ConnectTimeout: "connect",
    adieu.WriteTimeout: "write",
    adieu.ReadTimeout: "read",
}
_TIMEOUTS: tuple[Wait, ...] = ("connect", "read", "write", "pool")


class Library:
    """One of the two modules. `stream` and `async_stream` are the classes for the bodies of its responses."""

    def __init__(
        self, name: str, module: ModuleType, stream: type[Any], async_stream: type[Any]
    ) -> None:
        # The module has no type by which mypy could tell its attributes.
        self.module: Any = module
        self.stream = stream
        self.async_stream = async_stream
        self._ours: list[tuple[type[Exception], type[adieu.TransportError], Sent]] = [
            (vars(module)[theirs], ours, sent) for theirs, ours, sent in _OURS
        ]
        skip_frames_of(name)

    def theirs(self, error: adieu.AdieuError, request: object) -> BaseException:
        """The error that the library raises for the same reason. One of the caller's content is the caller's own."""
        if isinstance(error, adieu.ContentError) and error.__cause__ is not None:
            return error.__cause__
        for ours, name in _THEIRS:
            if isinstance(error, ours):
                made: BaseException = vars(self.module)[name](str(error), request=request)
                return made
        if isinstance(error, (adieu.BodyClosed, adieu.ClientClosed)):
            closed: BaseException = self.module.ReadError(str(error), request=request)
            return closed
        return error

    def ours(
        self, error: Exception, request: adieu.Request, deadline: Deadline, *, begun: bool
    ) -> Exception:
        """The error of adieu's for one of the library's; any other one is returned as it is. `begun`: in the body."""
        if isinstance(error, (self.module.UnsupportedProtocol, self.module.InvalidURL)):
            return adieu.InvalidURL(str(error))
        if isinstance(error, self.module.LocalProtocolError):
            return adieu.InvalidRequest(str(error))
        for theirs, ours, sent in self._ours:
            if isinstance(error, theirs):
                if ours is adieu.ConnectError and _is_of_tls(error):
                    ours = adieu.TLSError  # noqa: PLW2901
                if begun and ours is adieu.ProtocolError:
                    ours = adieu.BodyTruncated  # noqa: PLW2901
                made: adieu.TransportError = ours(f"{type(error).__name__}: {show(str(error))}")
                wait = _WAITS.get(ours)
                if wait is not None and deadline.remaining_since(wait, 0) is not None:
                    made = deadline.exceeded(wait)
                made.request_sent = "wholly" if begun else sent
                if begun:
                    made.phase, made.response_started = "body", True
                made.method, made.url = request.method, str(request.url)
                return made
        return error

    def timeout_of(self, request: Any, total: float | None) -> adieu.Timeout:
        """The limits that the client has put into the request; those of adieu if there are none."""
        given = request.extensions.get("timeout")
        if given is None:
            return adieu.Timeout(total=total)
        return adieu.Timeout(**{name: given.get(name) for name in _TIMEOUTS}, total=total)

    def timeouts_of(self, deadline: Deadline) -> dict[str, float | None]:
        """The limits of an exchange as the client of the library puts them into a request."""
        return {name: deadline.remaining(name) for name in _TIMEOUTS}


def _is_of_tls(error: BaseException | None) -> bool:
    """Whether an error of `ssl` is the reason for this one."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
