"""From native errors to errors with facts: one place, for every adapter that uses the engine."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Protocol

from adieu.errors import (
    BodyTruncated,
    ConnectError,
    DNSError,
    PeerClosed,
    Phase,
    ProtocolError,
    ReadError,
    TLSError,
    TransportError,
    WriteError,
)
from adieu.http1.head import Malformed, Truncated
from adieu.net.system_errors import reason

if TYPE_CHECKING:
    from adieu.errors import Sent
    from adieu.lifecycle.deadline import Deadline, Wait

__all__ = ["LeaseFacts", "attach_facts", "is_alert", "map_error"]

_WAITS: dict[Phase, Wait] = {
    "dns": "connect",
    "connect": "connect",
    "tls": "connect",
    "write": "write",
}


class LeaseFacts(Protocol):
    """The facts of a lease that an error tells."""

    @property
    def method(self) -> str: ...

    @property
    def url(self) -> object: ...

    @property
    def key(self) -> object: ...

    @property
    def connection(self) -> object: ...

    @property
    def since(self) -> Deadline: ...

    @property
    def sent(self) -> Sent: ...

    @property
    def started(self) -> bool: ...

    @property
    def received(self) -> int: ...

    @property
    def remaining(self) -> int | None: ...

    @property
    def reused(self) -> bool: ...


def map_error(
    error: Exception, phase: Phase, lease: LeaseFacts, deadline: Deadline | None = None
) -> TransportError:
    """The error of adieu for a native error, which becomes its cause.

    An error that is adieu's already is raised here: as a cause of itself it would be a reference cycle.
    """
    clock = deadline or lease.since
    what: TransportError
    if type(error).__name__ == "SSLEOFError" and phase in ("head", "body"):
        # TLS cut off without close_notify: an end that anybody between us and the peer could have made.
        error = Truncated("TLS ended without close_notify") if phase == "body" else EOFError()
    if isinstance(error, TransportError):
        try:
            raise attach_facts(error, lease)
        finally:
            del error  # Its traceback refers to this frame.
    if isinstance(error, TimeoutError):
        what = clock.exceeded(_WAITS.get(phase, "read"))
        if phase == "body":
            what.phase = "body"
    elif isinstance(error, Truncated):
        expected = None if lease.remaining is None else lease.received + lease.remaining
        of = f" of {expected}" if expected is not None else ""
        what = BodyTruncated(
            f"the server closed the connection in the middle of the body, after {lease.received}{of} bytes",
            received=lease.received,
            expected=expected,
        )
    elif isinstance(error, Malformed):
        what = ProtocolError(f"the server does not answer in HTTP/1.1: {error}", phase=phase)
    elif isinstance(error, EOFError):
        what = PeerClosed("the server closed the connection without an answer")
    elif phase in ("connect", "tls", "dns") or (
        is_alert(error) and not lease.started and not lease.reused
    ):
        what = _connecting(error, phase, lease)
    elif phase == "write":
        what = WriteError(f"the connection broke while the request was sent: {error}")
    else:
        what = ReadError(f"the connection broke while the response was read: {error}", phase=phase)
    return attach_facts(what, lease)


def is_alert(error: Exception) -> bool:
    """The peer refused something about our TLS, in its own words."""
    return type(error).__name__ == "SSLError" and "alert" in str(error).lower()


def attach_facts(error: TransportError, lease: LeaseFacts) -> TransportError:
    """Add the facts of the lease."""
    error.method = lease.method
    error.url = str(lease.url)
    error.reused = lease.reused if lease.connection is not None else None
    error.request_sent = lease.sent
    error.response_started = lease.started
    if error.elapsed is None:
        error.elapsed = lease.since.elapsed()
    return error


def _connecting(error: Exception, phase: Phase, lease: LeaseFacts) -> TransportError:
    import ssl

    origin = lease.key
    host = getattr(origin, "host", "")
    if isinstance(error, socket.gaierror):
        return DNSError(f"the host name {host!r} could not be resolved: {error.strerror}")
    if phase == "tls" or isinstance(error, (ssl.SSLError, ssl.CertificateError)):
        from adieu.net.tls.handshake import describe_tls_error

        return TLSError(describe_tls_error(error, host))
    return ConnectError(f"cannot connect to {origin}: {reason(error)}")
