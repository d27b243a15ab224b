"""TLS over an open stream: its own way, if it has one, or through memory buffers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from adieu.lifecycle.steps import adrive, drive

if TYPE_CHECKING:
    from adieu.lifecycle.reporting import Agreed
    from adieu.lifecycle.steps import Steps
    from adieu.net.scope import ConnectScope
    from adieu.net.stream import AnyStream, AsyncByteStream, ByteStream

__all__ = ["start_tls", "start_tls_async"]


def start_tls(stream: ByteStream, hostname: str, scope: ConnectScope) -> ByteStream:
    """A stream under TLS, as `scope.tls` wants it, after the handshake. Raises what `ssl` raises."""
    secured: ByteStream = drive(reported(_start, stream, hostname, scope))
    return secured


def _start(stream: ByteStream, hostname: str, scope: ConnectScope) -> ByteStream:
    started = stream.start_tls(hostname, scope)
    if started is None:
        from adieu.net.tls.stream import TLSStream

        started = TLSStream.start(stream, hostname, scope)
    return started


async def start_tls_async(
    stream: AsyncByteStream, hostname: str, scope: ConnectScope
) -> AsyncByteStream:
    """See `start_tls`."""
    from adieu.net.tls.stream import AsyncTLSStream

    secured: AsyncByteStream = await adrive(reported(AsyncTLSStream.start, stream, hostname, scope))
    return secured


def reported(
    start: Callable[[Any, str, ConnectScope], object],
    stream: AnyStream,
    hostname: str,
    scope: ConnectScope,
) -> Steps[Any]:
    """`start(stream, hostname, scope)`. Listeners are told of the handshake, and of what it agreed on."""
    if scope.events is None:
        return (yield start(stream, hostname, scope))
    phase = scope.events.tls(hostname)
    try:
        secured: AnyStream = yield start(stream, hostname, scope)
    except BaseException as error:
        phase.failed(error)
        raise
    phase.agreed(_agreed(secured))
    return secured


def _agreed(stream: AnyStream) -> Agreed:
    from ssl import SSLObject, SSLSocket

    tls: object = stream.tls
    if not isinstance(tls, (SSLObject, SSLSocket)):
        return (
            None,
            None,
            None,
            False,
        )  # A stream of the user's own, or a context that is none of Python's.
    cipher = tls.cipher()
    return (
        tls.version(),
        None if cipher is None else cipher[0],
        tls.selected_alpn_protocol(),
        bool(tls.session_reused),
    )
