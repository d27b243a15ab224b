"""What streams over plain and TLS sockets share: two directions at once, and a close that any thread may call.

Invariants:

- One thread may be in `recv` while another is in `send`. Each direction has a lock of its own.
- The socket never blocks. A thread waits in poll(), with the limit of its own call: a timeout set on the socket would
  be shared by both directions.
- Each wait asks the limit anew, and an operation that does not wait asks it once: neither a peer that sends a record
  byte by byte nor one that always has something to send can make a call longer than its `total`.
- A descriptor is closed only when no thread waits for it: the system may give its number to another socket, and the
  waiting thread would read that one's bytes. `close` first marks the stream as closed. If a thread uses it, `close`
  shuts the connection down, which wakes every thread that waits, and gives them a moment to leave. If one does not,
  that one closes the descriptor as it leaves. So `close` always ends: it may run in a finalizer, at any line of any
  thread, and while the interpreter ends, which has stopped the other threads for good and is not waited for.
"""

from __future__ import annotations

import socket
from abc import abstractmethod
from typing import TYPE_CHECKING

from adieu.lifecycle.lock import is_owned, new_lock, release_if_owned, try_acquire
from adieu.net.polling import READ, WRITE, milliseconds, poller
from adieu.net.stream import ByteStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.lifecycle.deadline import TimeLimit

__all__ = ["SocketBase", "aborted"]

_PIECE = 64 * 1024
# How long `close` waits for the threads that it has woken (seconds).
_A_MOMENT = 1.0


class SocketBase(ByteStream):
    """A `ByteStream` over a connected socket. Subclasses have the operations that read and write."""

    __slots__ = (
        "_closed",
        "_has_input",
        "_milliseconds",
        "_reading",
        "_recv",
        "_seconds",
        "_send",
        "_sock",
        "_wait_readable",
        "_writing",
    )

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._recv = sock.recv
        self._send = sock.send
        # The limit of the latest wait in `recv`, in seconds, and as `_wait_readable` takes it.
        self._seconds: float | None = None
        self._milliseconds: float | None = None
        self._closed = False
        self._reading = new_lock()
        self._writing = new_lock()
        try:
            sock.setblocking(False)
        except OSError:
            pass  # Its owner has closed it meanwhile, which the first operation will find.
        self._wait_readable = poller(sock, READ)
        # For `readable`, which does not wait for the thread that uses the other one.
        self._has_input: Callable[[float | None], object] | None = None

    def send_or_recv(self, data: memoryview, limit: TimeLimit) -> int | bytes:
        try:
            done = self._send_or_recv(data[:_PIECE], limit)
        except BaseException as error:
            self._leave(error)
            raise
        if self._closed:
            self._finish_close()
        return done

    def _send_or_recv(self, piece: memoryview, limit: TimeLimit) -> int | bytes:
        expired = False
        while True:
            seconds = limit.remaining("write")
            if self.readable():
                with self._reading:
                    answer = self._read_now(_PIECE)
                if answer is not None:
                    return answer
            with self._writing:
                taken = self._write_now(piece)
            if taken:
                return taken
            if expired:
                raise TimeoutError("the peer takes nothing and sends nothing")
            with self._reading:
                if not self._closed:
                    wait = poller(self._sock, READ | WRITE)
                    expired = not wait(milliseconds(seconds))

    @abstractmethod
    def _read_now(self, max_bytes: int) -> bytes | None:
        """Bytes that are there without waiting, b"" at the peer's end; None: nothing is there."""

    @abstractmethod
    def _write_now(self, data: memoryview) -> int:
        """Send what is taken without waiting: the number of bytes."""

    def readable(self) -> bool:
        if self._closed:
            return True
        if self._has_input is None:
            self._has_input = poller(self._sock, READ)
        return bool(self._has_input(0))

    def close(self) -> None:
        self._closed = True
        if self._finish_close():
            return
        sock = self._sock
        try:
            # Not the TLS socket's own shutdown, which would take its state away from a thread that reads.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        except OSError:
            pass  # The peer was faster, or it is closed already.
        self._finish_close(_A_MOMENT)

    def _finish_close(self, patience: float = 0.0) -> bool:
        """Close the descriptor, unless a thread uses it for longer than that (seconds): it does this as it leaves.

        True: it was closed here.
        """
        reading, writing = self._reading, self._writing
        if is_owned(reading) or is_owned(writing):
            # A finalizer or a signal handler, in the middle of a call of its own thread, which does this as it leaves.
            return False
        try:
            while try_acquire(reading, patience):
                if try_acquire(writing, patience):
                    self._sock.close()
                    writing.release()
                    reading.release()
                    return True
                reading.release()
                # The thread that sends closes the descriptor, unless it found `_reading` taken as it left.
                if not writing.acquire(False):
                    break
                writing.release()
        except OSError:
            self._release()  # The descriptor is gone all the same.
            return True
        except BaseException:
            self._release()
            raise
        return False

    def _leave(self, error: BaseException) -> None:
        """Clean up after an operation that raised. Of one that `close` ended, say so."""
        self._release()
        if self._closed:
            self._finish_close()
            if isinstance(error, OSError):
                raise aborted() from None

    def _release(self) -> None:
        release_if_owned(self._reading)
        release_if_owned(self._writing)

    def forget(self) -> None:
        # Without a shutdown, which would end the parent's connection too.
        self._closed = True
        try:
            self._sock.close()
        except OSError:
            pass


def aborted() -> ConnectionAbortedError:
    """The error of an operation on a stream that was closed here."""
    return ConnectionAbortedError("the connection was closed")
