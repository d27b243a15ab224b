"""TLS as a layer over any byte stream, through memory buffers: written once, as steps, for sync and async.

Sockets do not need it (`SocketStream.start_tls` lets OpenSSL use the descriptor); async streams, and streams that
are no sockets, do.

Invariants:

- One thread or task may receive while another one sends. OpenSSL's object and its two buffers are used under one lock
  that is never held while the stream below works.
- Encrypted bytes reach the stream below in the order in which OpenSSL made them. So only one call at a time sends, and
  it goes on until the buffer is empty: another one, that has made some meanwhile, leaves them to it.
"""

from __future__ import annotations

import ssl
import threading
from typing import TYPE_CHECKING, Any

from adieu.lifecycle.deadline import Within
from adieu.lifecycle.lock import locked, new_lock, release_if_owned
from adieu.lifecycle.steps import Steps, adrive, drive
from adieu.net.stream import AsyncByteStream, ByteStream
from adieu.net.tls.config import TLSConfig
from adieu.net.tls.handshake import handshake
from adieu.net.tls.sessions import resume

if TYPE_CHECKING:
    from adieu.lifecycle.deadline import TimeLimit
    from adieu.net.scope import ConnectScope

__all__ = ["AsyncTLSStream", "TLSStream"]

_BLOCK = 64 * 1024
# The most that a record carries (RFC 8446, section 5.1). A read returns one, but allocates all that it may return.
_RECORD = 16 * 1024
# How long sending an alert may take (seconds): normally it does not wait.
_POLL_TIMEOUT = 0.001
# How long the peer may take to take a reply of OpenSSL's to what was read (seconds).
_REPLY_TIMEOUT = 1.0


class _Layer:
    """TLS between a stream below and bytes above."""

    __slots__ = (
        "_below",
        "_config",
        "_ended",
        "_in",
        "_out",
        "_resumption",
        "_sender",
        "_session",
        "_taken",
        "_tls",
        "_unsent",
    )

    def __init__(
        self, below: ByteStream | AsyncByteStream, hostname: str, scope: ConnectScope
    ) -> None:
        self._below = below
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._config = config = scope.tls or TLSConfig()
        context, name = config.context_for(), config.name_for(hostname)
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        # Until the first bytes have come, and the session with them.
        self._resumption = resume(self._tls, context, config, name, scope.peer)
        # Taken for each use of the three above.
        self._session = new_lock()
        # The thread that sends encrypted bytes; 0: none does.
        self._sender = 0
        self._ended = False
        # The unsent rest of an encrypted piece of an upload, and the length of that piece before encryption.
        self._unsent = memoryview(b"")
        self._taken = 0

    def _handshake(self, scope: ConnectScope) -> Steps[None]:
        try:
            yield from self._agree(scope)
        except BaseException:
            if self._resumption is not None:
                self._resumption.failed()
            raise

    def _agree(self, scope: ConnectScope) -> Steps[None]:
        while True:
            try:
                handshake(self._tls, self._config)
                break
            except ssl.SSLWantReadError:
                yield from self._flush(scope)
                yield from self._fill(scope)
            except ssl.SSLError:
                try:
                    # An alert, for the server's log. It is a few bytes, which need no long wait.
                    yield from self._flush(Within(_POLL_TIMEOUT))
                except OSError:
                    pass
                raise
        yield from self._flush(scope)

    def _read(self, max_bytes: int, limit: TimeLimit) -> Steps[bytes]:
        while (data := self._decrypted(max_bytes)) is None:
            if self._out.pending:
                # New keys, say. Not with the limit of the read, which may be a mere look: what was taken from OpenSSL
                # and did not go would break the connection.
                yield from self._flush(Within(_REPLY_TIMEOUT))
            self._feed((yield self._below.recv(_BLOCK, limit)))
        return data

    def _decrypted(self, max_bytes: int) -> bytes | None:
        """The bytes that have come, as far as they can be decrypted: None if there are none yet, b"" at the end."""
        pieces = []
        incoming = self._in
        with self._session:
            if self._ended:
                return b""
            try:
                while max_bytes > 0 and (incoming.pending or incoming.eof or self._tls.pending()):
                    piece = self._tls.read(min(max_bytes, _RECORD))
                    if not piece:
                        self._ended = True  # The peer's close_notify.
                        break
                    pieces.append(piece)
                    max_bytes -= len(piece)
            except ssl.SSLWantReadError:
                pass  # Part of a record, or one without data in it: a session ticket, new keys.
            if pieces and self._resumption is not None:
                resumption, self._resumption = self._resumption, None
                resumption.keep(self._tls)
            return b"".join(pieces) if pieces or self._ended else None

    def _write(self, data: bytes | memoryview, limit: TimeLimit) -> Steps[None]:
        rest = memoryview(data)
        if self._unsent:
            # The data begins with the piece of an upload that the peer's answer has interrupted.
            yield self._below.send(bytes(self._unsent), limit)
            self._unsent, rest = memoryview(b""), rest[self._taken :]
        while rest:
            with self._session:
                taken = self._encrypted(rest)
                # Under the same lock: else a thread that receives could take these bytes, and would send them first.
                out = self._claimed()
            yield from self._transmit(out, limit)
            if taken is None:
                yield from self._fill(limit)
            else:
                rest = rest[taken:]

    def _encrypted(self, data: memoryview) -> int | None:
        """Encrypt a piece of the data: its length. None if the peer wants to negotiate again first (TLS 1.2)."""
        try:
            return self._tls.write(data[:_BLOCK])
        except ssl.SSLWantReadError:
            return None

    def _write_or_read(self, data: memoryview, limit: TimeLimit) -> Steps[int | bytes]:
        """See `SocketStream.send_or_recv`. What was encrypted has to go as it is, so it is kept until it has gone.

        So whatever is sent next has to begin with the same data.
        """
        if (answer := self._decrypted(_BLOCK)) is not None:
            return answer
        while not self._unsent:
            with self._session:
                taken = self._encrypted(data)
                if taken is not None:
                    self._taken, self._unsent = taken, memoryview(self._out.read())
            if taken is None:
                yield from self._flush(limit)
                yield from self._fill(limit)
        while self._unsent:
            done = yield self._below.send_or_recv(self._unsent, limit)
            if isinstance(done, int):
                self._unsent = self._unsent[done:]
                continue
            self._feed(done)
            if (answer := self._decrypted(_BLOCK)) is not None:
                return answer
        return self._taken

    def _flush(self, limit: TimeLimit) -> Steps[None]:
        """Send what OpenSSL has to say."""
        with self._session:
            out = self._claimed()
        yield from self._transmit(out, limit)

    def _claimed(self) -> bytes:
        """Encrypted bytes that the caller must send: none while another call sends, or a piece of an upload is due."""
        if self._sender or self._unsent or not self._out.pending:
            return b""
        self._sender = threading.get_ident()
        return self._out.read()

    def _transmit(self, out: bytes, limit: TimeLimit) -> Steps[None]:
        """Send claimed bytes, and those that other calls have left meanwhile."""
        try:
            while out:
                yield self._below.send(out, limit)
                with self._session:
                    self._sender = 0
                    out = self._claimed()
        except BaseException:
            self._sender = 0
            raise

    def _fill(self, limit: TimeLimit) -> Steps[None]:
        # Never more: for 128 KiB and beyond the allocator may map fresh pages each time, which doubles what TLS costs.
        self._feed((yield self._below.recv(_BLOCK, limit)))

    def _feed(self, data: bytes) -> None:
        with self._session:
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
        return locked(self._session, self._has_buffered) or self._below.readable()

    def _has_buffered(self) -> bool:
        return self._tls.pending() > 0 or self._in.pending > 0

    def close(self) -> None:
        self._below.close()

    def forget(self) -> None:
        self._below.forget()


class TLSStream(_Layer, ByteStream):
    """A `ByteStream` with TLS over another one."""

    __slots__ = ("_reading", "_writing")

    def __init__(self, below: ByteStream, hostname: str, scope: ConnectScope) -> None:
        super().__init__(below, hostname, scope)
        self._reading = new_lock()
        self._writing = new_lock()

    @classmethod
    def start(cls, below: ByteStream, hostname: str, scope: ConnectScope) -> TLSStream:
        """The secured stream, after the handshake."""
        stream = cls(below, hostname, scope)
        drive(stream._handshake(scope))
        return stream

    def recv(self, max_bytes: int, limit: TimeLimit) -> bytes:
        try:
            with self._reading:
                return drive(self._read(max_bytes, limit))
        except BaseException:
            self._release()
            raise

    def send(self, data: bytes, limit: TimeLimit) -> None:
        try:
            with self._writing:
                drive(self._write(data, limit))
        except BaseException:
            self._release()
            raise

    def send_or_recv(self, data: memoryview, limit: TimeLimit) -> int | bytes:
        """See `SocketStream.send_or_recv`. No other thread may use the stream meanwhile."""
        try:
            return drive(self._write_or_read(data, limit))
        except BaseException:
            self._release()
            raise

    def _release(self) -> None:
        if self._sender == threading.get_ident():
            self._sender = 0  # An interrupt can fall between claiming bytes and sending them.
        for lock in (self._session, self._reading, self._writing):
            release_if_owned(lock)


class AsyncTLSStream(_Layer, AsyncByteStream):
    """An `AsyncByteStream` with TLS over another one."""

    __slots__ = ()

    @classmethod
    async def start(
        cls, below: AsyncByteStream, hostname: str, scope: ConnectScope
    ) -> AsyncTLSStream:
        """The secured stream, after the handshake."""
        stream = cls(below, hostname, scope)
        await adrive(stream._handshake(scope))
        return stream

    async def recv(self, max_bytes: int, limit: TimeLimit) -> bytes:
        return await adrive(self._read(max_bytes, limit))

    async def send(self, data: bytes, limit: TimeLimit) -> None:
        await adrive(self._write(data, limit))

    def send_now(self, data: bytes) -> None:
        """See `AsyncByteStream.send_now`."""
        with self._session:
            if self._sender or self._unsent:
                return  # What was encrypted before has not gone yet.
            self._tls.write(data)
            out = self._out.read()
        self._below.send_now(out)

    async def until_input(self, limit: TimeLimit) -> bool:
        """See `AsyncByteStream.until_input`."""
        below: Any = self._below
        return bool(await below.until_input(limit))

    async def send_or_recv(self, data: memoryview, limit: TimeLimit) -> int | bytes:
        """See `SocketStream.send_or_recv`."""
        return await adrive(self._write_or_read(data, limit))
