"""TLS over an open stream: its own way, if it has one, or through memory buffers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adieu.net.scope import ConnectScope
    from adieu.net.stream import AsyncByteStream, ByteStream

__all__ = ["start_tls", "start_tls_async"]


def start_tls(stream: ByteStream, hostname: str, scope: ConnectScope) -> ByteStream:
    """A stream under TLS, as `scope.tls` wants it, after the handshake. Raises what `ssl` raises."""
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

    return await AsyncTLSStream.start(stream, hostname, scope)
