"""From what urllib3, http.client and the stream raise to an error of adieu's with its facts.

urllib3 wraps errors in errors, and its frames refer to them: such an error would keep its connection alive until the
garbage collector comes. So the native error is found among those that wrap it, becomes the cause of adieu's, and none
of them keeps its frames.
"""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any, Protocol

from urllib3 import exceptions

from adieu.errors import (
    AdieuError,
    ConnectError,
    DNSError,
    InvalidURL,
    ProxyError,
    TLSError,
    TransportError,
)
from adieu.http1.error_mapping import LeaseFacts, attach_facts, map_error
from adieu.http1.head import Malformed, Truncated
from adieu.net.tls.handshake import describe_tls_error

if TYPE_CHECKING:
    from adieu.errors import Phase
    from adieu.lifecycle.deadline import Deadline
    from adieu.messages.url import Origin
    from adieu.net.connection_settings import ConnectionSettings

__all__ = ["translated"]


# The native errors, the most telling ones first.
_NATIVE: tuple[type[Exception], ...] = (
    Malformed,
    http.client.IncompleteRead,
    http.client.RemoteDisconnected,
    OSError,
    EOFError,
    http.client.HTTPException,
)

# What urllib3 raises when it makes no connection.
_CONNECTING = (
    exceptions.NewConnectionError,
    exceptions.ConnectTimeoutError,
    exceptions.ProxyError,
    exceptions.SSLError,
)


class FailedLease(LeaseFacts, Protocol):
    """What is asked of a lease on which something failed."""

    @property
    def phase(self) -> Phase: ...

    @property
    def is_foreign(self) -> bool: ...

    @property
    def origin(self) -> Origin: ...

    @property
    def settings(self) -> ConnectionSettings: ...


def translated(error: Exception, lease: FailedLease, deadline: Deadline) -> Exception:
    """The error of adieu's that tells what happened; what is none of the transport's business is left as it is."""
    found = _linked(error)
    for one in found:
        one.__traceback__ = None
    ours = next((one for one in found if isinstance(one, AdieuError)), None)
    if ours is not None:
        link: BaseException | None = ours
        while link is not None:
            # urllib3's frames keep the error: with them, what it wraps would refer to it.
            link.__traceback__ = None
            link = link.__cause__ or link.__context__
        return attach_facts(ours, lease) if isinstance(ours, TransportError) else ours
    native = next((one for kind in _NATIVE for one in found if isinstance(one, kind)), None)
    connecting = None
    if lease.is_foreign and lease.phase != "body":
        connecting = next((one for one in found if isinstance(one, _CONNECTING)), None)
    if native is not None and connecting is None:
        if lease.phase == "proxy":
            what = attach_facts(_of_proxy(native, lease, deadline), lease)
        else:
            what = map_error(_plain(native, lease.phase == "body"), lease.phase, lease, deadline)
    else:
        made = _of_urllib3(connecting or error, lease, deadline)
        if not isinstance(made, TransportError):
            return made
        what = attach_facts(made, lease)
        if connecting is not None:
            what.request_sent = "no"
    if native is not None:
        what.__cause__ = native
    return what


def _linked(error: BaseException) -> list[BaseException]:
    """An error, and those that it wraps, each in its own way; but not what an error of adieu's wraps."""
    found: list[BaseException] = []
    todo: list[Any] = [error]
    while todo:
        one = todo.pop(0)
        if not isinstance(one, BaseException) or any(one is other for other in found):
            continue
        found.append(one)
        if not isinstance(one, AdieuError):
            reason = one.reason if isinstance(one, exceptions.MaxRetryError) else None
            todo += [*one.args, reason, one.__cause__, one.__context__]
    return found


def _plain(error: BaseException, began: bool) -> Exception:
    """The same in the terms of `map_error`. `began`: the body has begun."""
    if isinstance(error, http.client.RemoteDisconnected):
        return EOFError()
    if isinstance(error, http.client.IncompleteRead):
        return Truncated("the body ended early")
    if isinstance(error, Truncated) and not began:
        return Malformed(str(error))  # In the head: no body was cut.
    if isinstance(error, http.client.HTTPException):
        return Malformed(str(error) or type(error).__name__)
    assert isinstance(error, Exception)
    return error


def _of_urllib3(error: Exception, lease: FailedLease, deadline: Deadline) -> Exception:
    """What urllib3 tells by an error of its own."""
    if isinstance(error, exceptions.EmptyPoolError):
        return deadline.exceeded("pool")
    if isinstance(error, exceptions.NameResolutionError):
        return DNSError(f"cannot resolve {lease.origin}: {error}")
    if isinstance(error, exceptions.NewConnectionError):
        return ConnectError(f"cannot connect to {lease.origin}: {error}")
    if isinstance(error, exceptions.ConnectTimeoutError):
        return deadline.exceeded("connect")
    if isinstance(error, exceptions.TimeoutError):
        return deadline.exceeded("read")
    if isinstance(error, exceptions.ProxyError):
        return ProxyError(f"no connection to {lease.origin} through the manager's proxy: {error}")
    if isinstance(error, exceptions.SSLError):
        return TLSError(describe_tls_error(error, lease.origin.host))
    if isinstance(error, exceptions.LocationValueError):
        return InvalidURL(f"urllib3 cannot send to {lease.origin}: {error}")
    if isinstance(error, exceptions.HTTPError):
        return map_error(Malformed(str(error)), lease.phase, lease, deadline)
    return error


def _of_proxy(error: BaseException, lease: FailedLease, deadline: Deadline) -> TransportError:
    """The way through a proxy came to an end before the tunnel stood."""
    proxy = lease.settings.route
    if isinstance(error, TimeoutError):
        late = deadline.exceeded("connect")
        late.args = (f"{late.args[0]}, on the way through the proxy {proxy}",)
        return late
    said = str(error) or "it closed the connection without an answer"
    return ProxyError(f"the proxy {proxy} made no tunnel to {lease.origin}: {said}")
