"""TLS as a layer over any byte stream, by memory buffers: written once, as steps, for both colours.

Sync sockets do not need it (`SocketStream.start_tls` lets OpenSSL use the descriptor); async streams and streams that
are no sockets do.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from adieu.lifecycle.steps import Steps, adrive, drive
from adieu.transport.tls import TLSConfig, handshake

if TYPE_CHECKING:
    from adieu.transport.wire import Opening

__all__ = ["AsyncTLSStream", "TLSStream"]

_BLOCK = 64 * 1024


class _Layer:
    """TLS between a stream below and bytes above."""

    __slots__ = ("_below", "_in", "_out", "_tls")

    def __init__(self, below: Any, hostname: str, opening: Opening) -> None:
        self._below = below
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        context = (opening.tls or TLSConfig()).context_for()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=hostname)

    def _handshake(self, opening: Opening) -> Steps[None]:
        while True:
            try:
                handshake(self._tls)
                break
            except ssl.SSLWantReadError:
                yield from self._flush(opening.left())
                yield from self._fill(opening.left())
        yield from self._flush(opening.left())

    def _read(self, max_bytes: int, timeout: float | None) -> Steps[bytes]:
        while True:
            try:
                return self._tls.read(max_bytes)
            except ssl.SSLWantReadError:
                yield from self._flush(timeout)
                yield from self._fill(timeout)
            except ssl.SSLZeroReturnError:
                return b""

    def _write(self, data: bytes, timeout: float | None) -> Steps[None]:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._tls.write(rest[:_BLOCK]) :]
            except ssl.SSLWantReadError:  # The peer wants to renegotiate keys first.
                yield from self._flush(timeout)
                yield from self._fill(timeout)
            else:
                yield from self._flush(timeout)

    def _flush(self, timeout: float | None) -> Steps[None]:
        if self._out.pending:
            yield self._below.send(self._out.read(), timeout)

    def _fill(self, timeout: float | None) -> Steps[None]:
        data = yield self._below.recv(_BLOCK, timeout)
        if data:
            self._in.write(data)
        else:
            # Without a close_notify before it, OpenSSL makes an error of this: anybody could have cut the stream.
            self._in.write_eof()

    def readable(self) -> bool:
        return self._tls.pending() > 0 or self._in.pending > 0 or self._below.readable()

    def close(self) -> None:
        self._below.close()

    def forget(self) -> None:
        forget = getattr(self._below, "forget", self._below.close)
        forget()


class TLSStream(_Layer):
    """A `ByteStream` with TLS over another one."""

    __slots__ = ()

    @classmethod
    def start(cls, below: Any, hostname: str, opening: Opening) -> TLSStream:
        """Shake hands, and give the secured stream."""
        stream = cls(below, hostname, opening)
        drive(stream._handshake(opening))
        return stream

    def recv(self, max_bytes: int, timeout: float | None) -> bytes:
        return drive(self._read(max_bytes, timeout))

    def send(self, data: bytes, timeout: float | None) -> None:
        drive(self._write(data, timeout))


class AsyncTLSStream(_Layer):
    """An `AsyncByteStream` with TLS over another one."""

    __slots__ = ()

    @classmethod
    async def start(cls, below: Any, hostname: str, opening: Opening) -> AsyncTLSStream:
        """Shake hands, and give the secured stream."""
        stream = cls(below, hostname, opening)
        await adrive(stream._handshake(opening))
        return stream

    async def recv(self, max_bytes: int, timeout: float | None) -> bytes:
        return await adrive(self._read(max_bytes, timeout))

    async def send(self, data: bytes, timeout: float | None) -> None:
        await adrive(self._write(data, timeout))
