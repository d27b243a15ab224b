"""TLS as a layer over any byte stream, by memory buffers: written once, as steps, for both colours.

Sync sockets do not need it (`SocketStream.start_tls` lets OpenSSL use the descriptor); async streams and streams that
are no sockets do.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from adieu.lifecycle.steps import Steps, adrive, drive
from adieu.net.tls.config import TLSConfig
from adieu.net.tls.handshake import handshake

if TYPE_CHECKING:
    from adieu.net.wire import ConnectScope

__all__ = ["AsyncTLSStream", "TLSStream"]

_BLOCK = 64 * 1024
# What a record carries at most (RFC 8446, section 5.1). A read gives one, and would reserve all that it may give.
_RECORD = 16 * 1024
_A_GLANCE = 0.001


class _Layer:
    """TLS between a stream below and bytes above."""

    __slots__ = ("_below", "_config", "_ended", "_in", "_out", "_taken", "_tls", "_unsent")

    def __init__(self, below: Any, hostname: str, scope: ConnectScope) -> None:
        self._below = below
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._config = config = scope.tls or TLSConfig()
        self._tls = config.context_for().wrap_bio(
            self._in, self._out, server_hostname=config.name_for(hostname)
        )
        self._ended = False
        # Of a piece of an upload: what is encrypted and has not gone yet, and how long it was before.
        self._unsent = memoryview(b"")
        self._taken = 0

    def _handshake(self, scope: ConnectScope) -> Steps[None]:
        while True:
            try:
                handshake(self._tls, self._config)
                break
            except ssl.SSLWantReadError:
                yield from self._flush(scope.remaining())
                yield from self._fill(scope.remaining())
            except ssl.SSLError:
                try:
                    # An alert, for the server's log. It is a few bytes, for which nobody has to wait.
                    yield from self._flush(_A_GLANCE)
                except OSError:
                    pass
                raise
        yield from self._flush(scope.remaining())

    def _read(self, max_bytes: int, timeout: float | None) -> Steps[bytes]:
        while (data := self._decrypted(max_bytes)) is None:
            if (
                not self._unsent
            ):  # Else the peer takes nothing, and answers before it has everything.
                yield from self._flush(timeout)
            yield from self._fill(timeout)
        return data

    def _decrypted(self, max_bytes: int) -> bytes | None:
        """What has come, as far as it is decrypted already or can be: None is nothing yet, b"" the end."""
        if self._ended:
            return b""
        here = self._in
        pieces = []
        try:
            while max_bytes > 0 and (here.pending or here.eof or self._tls.pending()):
                piece = self._tls.read(min(max_bytes, _RECORD))
                if not piece:
                    self._ended = True  # The peer's close_notify.
                    break
                pieces.append(piece)
                max_bytes -= len(piece)
        except ssl.SSLWantReadError:
            pass  # Part of a record, or one without data in it: a session ticket, new keys.
        return b"".join(pieces) if pieces or self._ended else None

    def _write(self, data: bytes | memoryview, timeout: float | None) -> Steps[None]:
        rest = memoryview(data)
        while rest:
            sent = yield from self._encrypt(rest, timeout)
            yield from self._flush(timeout)
            rest = rest[sent:]

    def _encrypt(self, data: memoryview, timeout: float | None) -> Steps[int]:
        """Encrypt a piece of the data: how much it was."""
        while True:
            try:
                return self._tls.write(data[:_BLOCK])
            except ssl.SSLWantReadError:  # The peer wants to renegotiate keys first.
                yield from self._flush(timeout)
                yield from self._fill(timeout)

    def _write_or_read(self, data: memoryview, timeout: float | None) -> Steps[int | bytes]:
        """See `SocketStream.send_or_recv`. What was encrypted has to go as it is, so it is kept until it has gone."""
        both = getattr(self._below, "send_or_recv", None)
        if both is None:
            return (yield from self._glance_and_write(data, timeout))
        if (said := self._decrypted(_BLOCK)) is not None:
            return said
        if not self._unsent:
            self._taken = yield from self._encrypt(data, timeout)
            self._unsent = memoryview(self._out.read())
        while self._unsent:
            done = yield both(self._unsent, timeout)
            if isinstance(done, int):
                self._unsent = self._unsent[done:]
                continue
            self._feed(done)
            if (said := self._decrypted(_BLOCK)) is not None:
                return said
        return self._taken

    def _glance_and_write(self, data: memoryview, timeout: float | None) -> Steps[int | bytes]:
        if self.readable():
            try:
                return (yield from self._read(_BLOCK, _A_GLANCE))
            except TimeoutError:
                pass  # A record without data in it.
        data = data[:_BLOCK]
        yield from self._write(data, timeout)
        return len(data)

    def _flush(self, timeout: float | None) -> Steps[None]:
        if self._out.pending:
            yield self._below.send(self._out.read(), timeout)

    def _fill(self, timeout: float | None) -> Steps[None]:
        # Never more: for 128 KiB and beyond the allocator may map fresh pages each time, which doubles what TLS costs.
        self._feed((yield self._below.recv(_BLOCK, timeout)))

    def _feed(self, data: bytes) -> None:
        if data:
            self._in.write(data)
        else:
            # Without a close_notify before it, OpenSSL makes an error of this: anybody could have cut the stream.
            self._in.write_eof()

    @property
    def tls(self) -> ssl.SSLObject:
        """What knows certificate, version and cipher."""
        return self._tls

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
    def start(cls, below: Any, hostname: str, scope: ConnectScope) -> TLSStream:
        """Shake hands, and give the secured stream."""
        stream = cls(below, hostname, scope)
        drive(stream._handshake(scope))
        return stream

    def recv(self, max_bytes: int, timeout: float | None) -> bytes:
        return drive(self._read(max_bytes, timeout))

    def send(self, data: bytes, timeout: float | None) -> None:
        drive(self._write(data, timeout))

    def send_or_recv(self, data: memoryview, timeout: float | None) -> int | bytes:
        """See `SocketStream.send_or_recv`."""
        return drive(self._write_or_read(data, timeout))


class AsyncTLSStream(_Layer):
    """An `AsyncByteStream` with TLS over another one."""

    __slots__ = ()

    @classmethod
    async def start(cls, below: Any, hostname: str, scope: ConnectScope) -> AsyncTLSStream:
        """Shake hands, and give the secured stream."""
        stream = cls(below, hostname, scope)
        await adrive(stream._handshake(scope))
        return stream

    async def recv(self, max_bytes: int, timeout: float | None) -> bytes:
        return await adrive(self._read(max_bytes, timeout))

    async def send(self, data: bytes, timeout: float | None) -> None:
        await adrive(self._write(data, timeout))

    async def send_or_recv(self, data: memoryview, timeout: float | None) -> int | bytes:
        """See `SocketStream.send_or_recv`."""
        return await adrive(self._write_or_read(data, timeout))
