"""`PeerSocket`: what urllib3 takes for the socket of a connection, and http.client for the file of its responses.

Every byte of a connection goes through here, in both directions. So every wait asks the deadline of the exchange, a
long upload hears a peer that answers early, and bytes after the end of a response are seen before the connection is
used again.

Invariant: nothing that urllib3 or http.client calls closes the stream. Its owner does: a scope while it is being
opened, and then the connection in adieu's pool (`pooled.Connection`), which outlives all objects of urllib3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adieu.http1.chunk_guard import ChunkGuard
from adieu.http1.early_answer import MOST_HELD, answer_after, stops_upload
from adieu.http1.head import (
    MAX_HEAD,
    MAX_INTERIM,
    Malformed,
    Truncated,
    check_beginning,
    find_head,
    read_head,
    strict_form,
)
from adieu.lifecycle.deadline import Within
from adieu.lifecycle.steps import drive

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.http1.head import Head
    from adieu.lifecycle.deadline import Deadline, TimeLimit
    from adieu.net.scope import ConnectScope

__all__ = ["PeerSocket"]

_READ = 64 * 1024
# The seconds for which a peer that was asked whether it wants the content may keep silent: many do not know the
# question.
_CONTINUE_TIMEOUT = 1.0


class PeerSocket:
    """A stream of adieu's under the names that sockets and their files have.

    `limit`: what each wait asks, the scope while the stream is being opened, and then the deadline of the present
    exchange. `heard`: some byte of its response has come; `on_first` is called with the first one.
    `is_sound`: nothing in its framing speaks against another exchange on the connection.
    """

    __slots__ = (
        "_answer",
        "_at",
        "_buffer",
        "_guard",
        "_held",
        "_held_bytes",
        "heard",
        "interim",
        "is_sound",
        "limit",
        "on_first",
        "stream",
    )

    def __init__(self, stream: Any, scope: ConnectScope) -> None:
        self.stream = stream
        self.limit: TimeLimit = scope
        self.heard = False
        self.on_first: Callable[[], object] | None = None
        self.interim = 0
        self.is_sound = True
        # What has come and has not been read; it begins at `_at`.
        self._buffer = b""
        self._at = 0
        self._guard: ChunkGuard | None = None
        # The final head, if it came while the request was being sent, and what has come after it.
        self._answer: Head | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0

    def begin(self, deadline: Deadline, on_first: Callable[[], object] | None) -> None:
        """A new exchange begins."""
        self.limit = deadline
        self.heard = False
        self.on_first = on_first
        self.interim = 0
        self.is_sound = True
        self._guard = None
        self._answer = None
        self._held_bytes = 0

    @property
    def buffered(self) -> int:
        """The number of bytes that are here and have not been read."""
        return len(self._buffer) - self._at

    @property
    def trailers(self) -> list[tuple[str, str]]:
        """The fields after a chunked body, as far as they have come."""
        return self._guard.trailers if self._guard is not None else []

    def has_body(self, received: int) -> bool:
        """Whether bytes of the body, or its end, are here, so that http.client does not wait for them.

        `received`: the bytes of the body that were read before.
        """
        guard = self._guard
        return self.buffered > 0 if guard is None else guard.done or guard.received > received

    # -- as a socket -------------------------------------------------------------------------------------------------

    def sendall(self, data: bytes) -> None:
        """Send a head, in one piece."""
        try:
            self.stream.send(data, self.limit)
        except OSError as error:
            self._take(drive(answer_after(error, self.stream)))
            raise _answered() from None

    def send_body(
        self, data: bytes, asked_close: bool, on_interim: Callable[[int], object]
    ) -> None:
        """Send a part of a request's body, unless the peer answers that it does not want it, or hangs up.

        `asked_close`: the request says `Connection: close`, so that the same in an answer says nothing.

        Raises `BrokenPipeError` then, after which urllib3 reads the answer. What comes after any other answer is held.
        """
        rest = memoryview(data)
        while rest:
            try:
                if self._held_bytes < MOST_HELD:
                    done = self.stream.send_or_recv(rest, self.limit)
                else:
                    self.stream.send(bytes(rest), self.limit)
                    done = len(rest)
            except OSError as error:
                if self._answer is None:
                    self._take(drive(answer_after(error, self.stream)))
                raise _answered() from None
            if isinstance(done, int):
                rest = rest[done:]
                continue
            if not done:
                raise BrokenPipeError(
                    "the peer closed the connection before it had the whole request"
                )
            self._hear(done, on_interim)
            if self._answer is not None and stops_upload(self._answer, asked_close):
                raise _answered()

    def _hear(self, data: bytes, on_interim: Callable[[int], object]) -> None:
        """Take what the peer sent while it was sent a request."""
        if self._answer is not None:
            self._held.append(data)
            self._held_bytes += len(data)
        else:
            self._take(data)
            self._answer = self._next_head("", on_interim)

    def await_continue(self, on_interim: Callable[[int], object]) -> None:
        """Wait until the peer says that it wants the content (RFC 9110, section 10.1.1), for a limited time.

        Raises `BrokenPipeError` if it answers without it, or has closed.
        """
        seen: list[int] = []

        def seen_on_interim(status: int) -> None:
            seen.append(status)
            on_interim(status)

        soon = Within(_CONTINUE_TIMEOUT, self.limit)
        while 100 not in seen:
            try:
                data = self.stream.recv(_READ, soon)
            except TimeoutError:
                return  # The next step asks the deadline, if it was that.
            if not data:
                raise BrokenPipeError("the peer closed the connection without an answer")
            self._hear(data, seen_on_interim)
            if self._answer is not None:
                raise BrokenPipeError("the peer answered without the content")

    def settimeout(self, seconds: object) -> None:
        """Nothing: each wait asks the deadline."""

    def makefile(self, mode: str = "rb", *args: Any, **options: Any) -> PeerSocket:
        """The file of a response: this object, so that no byte is left in the buffer of a file that was closed."""
        return self

    def close(self) -> None:
        """Nothing: see the invariant above."""

    # -- as a file ---------------------------------------------------------------------------------------------------

    closed = False

    def flush(self) -> None:
        """Nothing: what was sent is not kept."""

    def read1(self, size: int = -1) -> bytes:
        """At most so many bytes, with at most one wait; b"" at the end of the stream."""
        if not self.buffered:
            self.fill()
        return self._taken(size)

    def read(self, size: int | None = -1) -> bytes:
        """So many bytes, fewer only at the end of the stream."""
        wanted = -1 if size is None else size
        pieces: list[bytes] = []
        while wanted:
            piece = self.read1(wanted)
            if not piece:
                break
            pieces.append(piece)
            if wanted > 0:
                wanted -= len(piece)
        return b"".join(pieces)

    def readinto(self, target: Any) -> int:
        """As `read`, into a buffer: the number of bytes."""
        data = self.read(len(target))
        target[: len(data)] = data
        return len(data)

    def readline(self, limit: int = -1) -> bytes:
        """A line with its LF, or as many bytes as the limit allows."""
        start = self._at
        while True:
            end = self._buffer.find(b"\n", start) + 1
            if end:
                size = end - self._at
                return self._taken(size if limit < 0 else min(size, limit))
            if 0 <= limit <= self.buffered:
                return self._taken(limit)
            seen = self.buffered
            if not self.fill():
                return self._taken(-1)
            start = self._at + seen

    def peek(self, size: int = 0) -> bytes:
        """Bytes that are not taken by this, at least one unless the stream has ended."""
        if not self.buffered:
            self.fill()
        return self._buffer[self._at :]

    def _taken(self, size: int) -> bytes:
        start = self._at
        end = len(self._buffer)
        if 0 <= size < end - start:
            self._at = start + size
            return self._buffer[start : start + size]
        data = self._buffer[start:] if start else self._buffer
        self._buffer, self._at = b"", 0
        return data

    def _take(self, data: bytes) -> None:
        if not self.heard:
            self.heard = True
            if self.on_first is not None:
                self.on_first()
        self._buffer = self._buffer[self._at :] + data if self.buffered else data
        self._at = 0

    def replace_buffered(self, data: bytes) -> None:
        """Let this be read in the place of what has come."""
        self._buffer, self._at = data, 0

    def fill(self, size: int = _READ, limit: TimeLimit | None = None) -> bool:
        """Wait for more bytes, at most so many, by a limit of its own if there is one. False: the stream has ended."""
        if limit is None:
            limit = self.limit
        guard = self._guard
        while True:
            data: bytes = self.stream.recv(size, limit)
            if guard is None or guard.done:
                break
            if not data:
                raise Truncated("it closed the connection in the middle of a chunked body")
            if data := self._checked(guard, data):
                break
        if data:
            self._take(data)
        return bool(data)

    def _checked(self, guard: ChunkGuard, data: bytes) -> bytes:
        checked = guard.check(data)
        self.is_sound = self.is_sound and guard.is_strict
        return checked

    # -- heads -------------------------------------------------------------------------------------------------------

    def final_head(
        self, method: str, on_interim: Callable[[int], object] = lambda status: None
    ) -> Head:
        """Wait for the final head and check it; http.client reads it afterwards. Interim heads are dropped.

        Raises `EOFError` if the peer closes without an answer, and `Malformed`.
        """
        if self._held:
            self._take(b"".join(self._held))
            self._held = []
        while (facts := self._next_head(method, on_interim)) is None:
            if not self.fill():
                if self.buffered:
                    raise Truncated("it closed the connection in the middle of a head")
                raise EOFError("the peer closed the connection without an answer")
        if facts.status == 101:
            raise Malformed("it switches to another protocol, which urllib3 does not speak")
        return facts

    def body_begins(self, facts: Head) -> None:
        """The final head has been read."""
        if facts.framing == "chunked":
            self._guard = guard = ChunkGuard()
            self.replace_buffered(self._checked(guard, self._buffer[self._at :]))

    def _next_head(self, method: str, on_interim: Callable[[int], object]) -> Head | None:
        """The final head, if all of it is here."""
        while True:
            begun = self._buffer[self._at :]
            end = find_head(begun)
            if not end or end > MAX_HEAD:
                if begun:
                    check_beginning(begun)
                return None
            block, rest = begun[:end], begun[end:]
            facts = read_head(block, method)
            block = strict_form(block)
            self.replace_buffered(block + rest)
            self.is_sound = self.is_sound and (facts.keep_alive or facts.status >= 200)
            if facts.status >= 200 or facts.status == 101:
                return facts
            self.interim += 1
            if self.interim > MAX_INTERIM:
                raise Malformed(f"it sent more than {MAX_INTERIM} 1xx responses")
            self._taken(len(block))
            on_interim(facts.status)


def _answered() -> BrokenPipeError:
    return BrokenPipeError("the peer answered before it had the whole request")
