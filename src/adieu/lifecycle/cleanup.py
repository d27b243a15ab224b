"""Cleanup policies: how a lease ends, as a value that the user chooses.

Theory of operation: a policy decides and never acts. Its hooks get a snapshot (`View`) and return an action, which is
data; the body carries the action out, once, for sync and async alike. A policy never sees the connection, so it cannot
leak one; it does no I/O, so one object serves every client and thread. Some things no policy can do: a connection that
is not reusable is closed whatever the policy says, and broken wires, timeouts, cancellation and interrupts close it
without asking.
"""

from __future__ import annotations

import warnings
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeVar

from adieu.errors import InvalidRequest, PolicyError

if TYPE_CHECKING:
    from adieu.lifecycle.events import LeaseInfo

__all__ = [
    "CLOSE",
    "REFUSE",
    "RELEASE",
    "STREAM",
    "Act",
    "CleanupPolicy",
    "CloseOnExit",
    "Drain",
    "NoKeepAlive",
    "Prefetch",
    "PrefetchUpTo",
    "Read",
    "ReleaseOnRead",
    "Strict",
    "View",
    "Why",
    "checked_answer",
]

_Answer = TypeVar("_Answer")

Why = Literal["exit", "redirect", "auth", "retry", "replaced", "error"]
Framing = Literal["none", "length", "chunked", "close"]


class Act(Enum):
    """The actions that need no numbers."""

    STREAM = "stream"
    RELEASE = "release"
    CLOSE = "close"
    REFUSE = "refuse"

    def __repr__(self) -> str:
        return self.name


STREAM: Final = Act.STREAM
RELEASE: Final = Act.RELEASE
CLOSE: Final = Act.CLOSE
REFUSE: Final = Act.REFUSE


class Read(NamedTuple):
    """Read the body now, up to so many bytes and seconds (None: no bound beyond the call's timeouts).

    What was read is kept and handed out first. If the body is longer, `otherwise` says what becomes of it: STREAM hands
    out the rest, CLOSE closes it and hands out the response without a body, REFUSE is the error `BodyTooLarge`.
    """

    max_bytes: int | None = None
    max_seconds: float | None = None
    otherwise: Literal[Act.STREAM, Act.CLOSE, Act.REFUSE] = Act.STREAM


class Drain(NamedTuple):
    """Read and drop the rest of the body, if that takes no more than so many bytes and seconds; else close."""

    max_bytes: int
    max_seconds: float


# For the close handshake of a WebSocket. It costs a round trip; a server that works at something may take longer.
_HANDSHAKE = Drain(1024 * 1024, 5.0)

OnHeaders = Read | Literal[Act.STREAM, Act.CLOSE]
OnComplete = Literal[Act.RELEASE, Act.CLOSE]
OnClose = Drain | Literal[Act.CLOSE]
OnClientClose = Literal[Act.CLOSE, Act.STREAM]


class View(NamedTuple):
    """What a policy sees of an exchange: a snapshot, and no way to the connection.

    `received` and `remaining` count raw body bytes (`remaining` is None where the framing does not tell); `age` is
    the connection's in seconds; `hop` counts from 0 within a call.
    """

    method: str
    url: str
    status: int
    framing: Framing
    received: int
    remaining: int | None
    reusable: bool
    reused: bool
    age: float
    hop: int


class CleanupPolicy:
    """The base of all policies, and the simplest: hand out the stream, release at its end, close if left early.

    A policy keeps no state besides its parameters: one object serves every client, thread and task, and two of one
    class with equal parameters are equal.
    """

    __slots__ = ()

    keep_alive: bool = True
    """False: known before sending that the connection will not be kept, so `Connection: close` is sent."""

    def on_headers(self, view: View) -> OnHeaders:
        """The final head has arrived; the user does not have the response yet."""
        return STREAM

    def on_complete(self, view: View) -> OnComplete:
        """The body has been read to its end, and the request was sent in full."""
        return RELEASE

    def on_close(self, view: View, why: Why) -> OnClose:
        """The rest of the body is not wanted.

        `why`: "exit" (closed by the user); "redirect", "auth" or "retry" (the client goes on without it); "replaced"
        (a middleware returned another response); "error" (an exception in the user's block or in decoding, while the
        connection itself is still in order).
        """
        return CLOSE

    def on_client_close(self, view: View) -> OnClientClose:
        """The client closes while this body is open: CLOSE cuts it off, STREAM lets it finish and closes then."""
        return CLOSE

    def on_websocket_close(self, view: View, why: Why) -> OnClose:
        """A WebSocket is left: by `close` or the end of its block ("exit"), or by an exception in the block ("error").

        A `Drain` waits for the server's part of the close handshake, at most so many bytes and seconds; CLOSE sends the
        Close frame if that needs no wait, and closes the connection.
        """
        return _HANDSHAKE

    def on_abandoned(self, info: LeaseInfo) -> None:
        """The response, or WebSocket, was dropped without being read or closed.

        Runs in a finalizer: report, and nothing else.
        """
        what, advice = (
            "response was dropped unread",
            "Read it, close it, or open it with `with client.stream(...)`",
        )
        if info.url.startswith(("ws:", "wss:")):
            what, advice = "WebSocket was dropped open", "Close it, or use it in a `with` block"
        warnings.warn(
            f"a {what}, and its connection had to be closed: {info}. {advice}.",
            ResourceWarning,
            stacklevel=2,
        )

    def _parameters(self) -> dict[str, object]:
        names = [name for cls in type(self).__mro__[::-1] for name in getattr(cls, "__slots__", ())]
        names += getattr(self, "__dict__", {})
        return {name: getattr(self, name) for name in names}

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._parameters() == other._parameters()

    def __hash__(self) -> int:
        return hash((type(self), *self._parameters().values()))

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={value!r}" for name, value in self._parameters().items())
        return f"{type(self).__name__}({inner})"


_ANSWERS: dict[str, tuple[tuple[Act, ...], type[Read | Drain] | None]] = {
    "on_headers": ((STREAM, CLOSE), Read),
    "on_complete": ((RELEASE, CLOSE), None),
    "on_close": ((CLOSE,), Drain),
    "on_client_close": ((CLOSE, STREAM), None),
    "on_websocket_close": ((CLOSE,), Drain),
}
"""What each hook may return."""


def checked_answer(policy: CleanupPolicy, hook: str, answer: _Answer) -> _Answer:
    """What a hook of this name has returned, if it may: else `PolicyError`."""
    acts, kind = _ANSWERS[hook]
    if any(answer is act for act in acts):
        return answer
    if kind is not None and isinstance(answer, kind) and _is_sound(answer):
        return answer
    allowed = [*map(repr, acts), *([] if kind is None else [f"a sound {kind.__name__}"])]
    hint = "; is a `return` missing?" if answer is None else ""
    raise PolicyError(
        f"{hook} of {policy!r:.80} returned {answer!r:.80}, and may return {' or '.join(allowed)}{hint}"
    )


def _is_sound(answer: object) -> bool:
    if isinstance(answer, Drain):
        return _is_bound(answer.max_bytes) and _is_bound(answer.max_seconds)
    return (
        isinstance(answer, Read)
        and (answer.max_bytes is None or _is_bound(answer.max_bytes))
        and (answer.max_seconds is None or _is_bound(answer.max_seconds))
        and any(answer.otherwise is act for act in (STREAM, CLOSE, REFUSE))
    )


def _is_bound(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _bound(name: str, value: object) -> None:
    if not _is_bound(value):
        raise InvalidRequest(f"{name} must be a number of at least 0, not {value!r}")


class ReleaseOnRead(CleanupPolicy):
    """Hand out the stream; release when it has been read. Left early: drain up to `drain` bytes, `within` seconds."""

    __slots__ = ("drain", "within")

    def __init__(self, drain: int = 64 * 1024, within: float = 0.1) -> None:
        _bound("drain", drain)
        _bound("within", within)
        self.drain = drain
        self.within = within

    def on_close(self, view: View, why: Why) -> OnClose:
        return Drain(self.drain, self.within) if self.drain and self.within else CLOSE


class Prefetch(ReleaseOnRead):
    """Read the whole body before the call returns, so that no response ever holds a connection. The default.

    With `max_bytes`, a longer body is an error instead (`BodyTooLarge`), and its connection is closed.
    """

    __slots__ = ("max_bytes",)

    def __init__(
        self, max_bytes: int | None = None, *, drain: int = 64 * 1024, within: float = 0.1
    ) -> None:
        super().__init__(drain, within)
        if max_bytes is not None:
            _bound("max_bytes", max_bytes)
        self.max_bytes = max_bytes

    def on_headers(self, view: View) -> OnHeaders:
        return _READ_ALL if self.max_bytes is None else Read(self.max_bytes, None, REFUSE)


_READ_ALL = Read()


class PrefetchUpTo(ReleaseOnRead):
    """Read bodies of up to `limit` bytes at once; hand out longer ones as a stream, from their first byte."""

    __slots__ = ("limit",)

    def __init__(
        self, limit: int = 1024 * 1024, *, drain: int = 64 * 1024, within: float = 0.1
    ) -> None:
        super().__init__(drain, within)
        _bound("limit", limit)
        self.limit = limit

    def on_headers(self, view: View) -> OnHeaders:
        return Read(self.limit)


class CloseOnExit(CleanupPolicy):
    """Hand out the stream; close the connection at its end, or at once when it is left. Nothing is kept."""

    __slots__ = ()
    keep_alive = False

    def on_complete(self, view: View) -> OnComplete:
        return CLOSE

    def on_websocket_close(self, view: View, why: Why) -> OnClose:
        return CLOSE


class NoKeepAlive(CleanupPolicy):
    """As another policy reads, but every connection is closed after its one exchange, and the server is told so."""

    __slots__ = ("inner",)
    keep_alive = False

    def __init__(self, inner: CleanupPolicy | None = None) -> None:
        if inner is not None and not isinstance(inner, CleanupPolicy):
            raise InvalidRequest(f"NoKeepAlive takes a CleanupPolicy, not {inner!r:.80}")
        self.inner = inner or Prefetch()

    def on_headers(self, view: View) -> OnHeaders:
        return self.inner.on_headers(view)

    def on_complete(self, view: View) -> OnComplete:
        return CLOSE

    def on_client_close(self, view: View) -> OnClientClose:
        return self.inner.on_client_close(view)

    def on_websocket_close(self, view: View, why: Why) -> OnClose:
        return self.inner.on_websocket_close(view, why)

    def on_abandoned(self, info: LeaseInfo) -> None:
        self.inner.on_abandoned(info)


class Strict(ReleaseOnRead):
    """For tests: as `ReleaseOnRead`, but a response dropped unread is an error that no warning filter hides."""

    __slots__ = ()

    def on_abandoned(self, info: LeaseInfo) -> None:
        raise RuntimeError(f"a response was dropped unread: {info}")
