"""The body: raw bytes in order, and the cleanup policy carried out. Written once, as steps for both drivers.

Theory of operation. A body is bound to one lease. `NEXT_STATE` says what becomes of the body, and of its lease, at each
event; `_settle` is the only place that changes the state. A lease is ended before an exception leaves this module, so
holding an exception never holds a socket. A body whose lease was replaced (a middleware sent again) is closed.

Whether a body came in the same packet as its head makes no difference to a reader: bytes that were read ahead release
the connection early, and are given out as if they still came from it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from adieu.errors import (
    AdieuError,
    BodyBusy,
    BodyClosed,
    BodyTooLarge,
    ClientClosed,
    PolicyError,
    ReadError,
    TransportError,
)
from adieu.lifecycle.blocks import collect, take_first
from adieu.lifecycle.body_state import NEXT_STATE, BodyEvent, BodyState
from adieu.lifecycle.cleanup import (
    CLOSE,
    REFUSE,
    RELEASE,
    STREAM,
    CleanupPolicy,
    Drain,
    Prefetch,
    Read,
    View,
    Why,
    checked_answer,
)
from adieu.lifecycle.deadline import Deadline, Timeout
from adieu.lifecycle.events import CLIENT_CLOSED
from adieu.lifecycle.exchange import BackupFinalizer, caller
from adieu.lifecycle.fairness import turn_ends_at, turn_is_over
from adieu.texts import show_url

if TYPE_CHECKING:
    from adieu.lifecycle.blocks import Blocks
    from adieu.lifecycle.events import LeaseInfo
    from adieu.lifecycle.exchange import ExchangeBase
    from adieu.lifecycle.lease import AnyLease
    from adieu.lifecycle.steps import Steps

__all__ = ["BodyBase"]

_Answer = TypeVar("_Answer")

# Each request asks for these several times, and finding a member in an enumeration takes 100 ns on CPython 3.11.
_OPEN, _BUFFERED, _ENDED = BodyState.OPEN, BodyState.BUFFERED, BodyState.ENDED
_COMPLETE, _TAKEN = BodyEvent.COMPLETE, BodyEvent.TAKEN

# How much is read ahead of a body that is wanted in the end if it is short, and for how long (bytes, seconds).
_AHEAD_BYTES = 64 * 1024
_AHEAD_SECONDS = 1.0


class BodyBase:
    """What sync and async share: the state, what has been read ahead, and the policy's actions as steps."""

    __slots__ = (
        "__weakref__",
        "_ahead",
        "_backup_finalizer",
        "_failure",
        "_reading",
        "_turn_ends_at",
        "exchange",
        "lease",
        "state",
        "trailers",
    )

    def __init__(self, exchange: ExchangeBase, lease: AnyLease) -> None:
        self.exchange = exchange
        # None as soon as it has ended: a response that is kept does not keep the state of a connection.
        self.lease: AnyLease | None = lease
        self.state = _OPEN
        # Raw bytes that were read before anybody asked, oldest first.
        self._ahead: Blocks = []
        # A reader waits for bytes. No other may read then: the order of what two readers get would be chance.
        self._reading = False
        # Until then reads may succeed without a wait; after that the other tasks run.
        self._turn_ends_at = 0.0
        # What the first read that failed failed with; the error itself, if nobody has got it yet.
        self._failure: str | Exception = ""
        # The fields that came after the body, once it has ended.
        self.trailers: list[tuple[str, str]] | None = None

    def view(self) -> View:
        """The snapshot for a policy."""
        return self.exchange.view()

    def take(self) -> Blocks:
        """The bytes that were read ahead, which the caller owns from now on."""
        ahead = self._ahead
        self._ahead = []
        if self.state is _BUFFERED:
            self._settle(_TAKEN)
        return ahead

    def abort(self, why: str) -> None:
        """End the lease now, without asking the policy: for interrupts and cancellation."""
        self._settle(BodyEvent.LEFT, why)

    def refuse(self, size: int | None = None) -> BodyTooLarge:
        """End the lease, because the body is longer than `max_body`; `size`: how long it is, if that is known.

        Returns the error to raise.
        """
        exchange = self.exchange
        self.abort("body too large")
        known = f"{size} bytes, " if size is not None else ""
        return BodyTooLarge(
            f"the body of {exchange.method} {show_url(exchange.url)} has {known}more than "
            f"max_body={exchange.max_body}; raise max_body (None: no bound), or read it as a stream"
        )

    @property
    def gives_bytes(self) -> bool:
        """Neither closed nor cut off nor failed: reading gives bytes, or the end."""
        return self.state in (_OPEN, _BUFFERED, _ENDED)

    def wrap(self, wrap: Callable[[Any, Blocks], AnyLease]) -> None:
        """Put a lease around the one that the body is read through: `wrap(lease, ahead)` makes it.

        `ahead`: what was read before; it comes through that lease, too.
        """
        lease = self.lease
        if lease is None or lease is not self.exchange.lease:
            raise self.refusal()
        wrapped = wrap(lease, self._ahead)
        self._ahead = []
        self.exchange.wrap(wrapped)
        self.lease = wrapped

    @property
    def remaining(self) -> int:
        """How many bytes are still to come, at least."""
        lease = self.lease
        return (lease.remaining or 0) if lease is not None else 0

    def cut_off(self) -> None:
        """The client closes: end the lease now; a reader gets `ClientClosed`."""
        self._settle(BodyEvent.CLIENT_CLOSED, CLIENT_CLOSED)

    def held_outside(self) -> LeaseInfo | None:
        """The description of the lease, if no pool knows of it, as with an app in this process; None: there is none."""
        lease = self.lease
        return self.exchange.info() if lease is not None and lease.connection_id == 0 else None

    def end_with_client(self) -> str | None:
        """The client closes: end as the policy says. Returns what the lease was for, for the report; None: it was over.

        Raises what the policy raises, when the lease is over.
        """
        if self.state not in (_OPEN, _BUFFERED):
            return None
        lease = self.lease
        try:
            holder = None if lease is None else str(self.exchange.info())
            policy = self.exchange.policy
            wish = checked_answer(policy, "on_client_close", policy.on_client_close(self.view()))
            if wish is not STREAM or not (lease is None or lease.survive_close()):
                self.cut_off()
        except BaseException:
            self.cut_off()
            raise
        return holder

    def complete_empty(self) -> Steps[None]:
        """End a body that is empty (HEAD, 204, 304, length 0), with its head, under every policy.

        A function around it runs: it may refuse to get no bytes, or add some.
        """
        lease = self.lease
        if lease is None:
            return
        if lease.is_wrapped:
            yield from self._read_ahead(lease, Read())
        else:
            self._complete(lease)

    def take_buffered(self, streaming: bool) -> bool | None:
        """Read ahead what is here already, where the policy could say nothing else.

        A small body usually comes with its head. Then the connection is free before anybody has read. True: that was
        all, and it belongs to the response, as after `apply_policy`. False: that was all, for a stream. None: the
        policy is to be asked.
        """
        policy = self.exchange.policy
        hook = type(policy).on_headers
        reads_all = hook is Prefetch.on_headers and policy.max_bytes is None  # type: ignore[attr-defined]
        if not (streaming or reads_all or hook is CleanupPolicy.on_headers):
            return None
        lease = self.lease
        if lease is None or not self._buffer(lease):
            return None
        if streaming or not reads_all:
            return False
        bound = self.exchange.max_body
        if bound is not None and (size := sum(map(len, self._ahead))) > bound:
            raise self.refuse(size)
        return True

    def _buffer(self, lease: AnyLease) -> bool:
        rest = lease.take_rest()
        if rest is not None:
            if rest:
                self._ahead.append(rest)
            self._complete(lease)
            return True
        while (chunk := lease.peek()) is not None:
            if not chunk:
                self._complete(lease)
                return True
            collect(self._ahead, chunk)
        return False

    # -- steps ---------------------------------------------------------------------------------------------------

    def _apply_policy(self, streaming: bool) -> Steps[bool]:
        """After the final head: what the policy wants. True if the body was read for the response, all of it."""
        lease = self.lease
        if lease is None:
            return False
        action = self._ask("on_headers", self.exchange.policy.on_headers, self.view())
        if action is CLOSE:
            self._settle(BodyEvent.LEFT, "policy")
            return False
        if isinstance(action, Read) and not streaming:
            if (yield from self._read_ahead(lease, action)):
                return True
            if action.otherwise is CLOSE:
                self._settle(BodyEvent.LEFT, "policy")
                return False
            if action.otherwise is REFUSE:
                raise self._refuse_read(lease, action)
        if self._buffer(lease):
            return False
        self._backup_finalizer = BackupFinalizer(self.exchange)
        self.exchange.opened_at = place = caller()
        # A `PoolTimeout` finds the lease in the pool's table, and nothing above it.
        lease.note_opened_at(place)
        return False

    def _refuse_read(self, lease: AnyLease, wish: Read) -> BodyTooLarge:
        received = lease.received
        self._settle(BodyEvent.LEFT, "body too large")
        return BodyTooLarge(
            f"the body of {self.exchange.method} {show_url(self.exchange.url)} is longer than the cleanup policy "
            f"reads: {received} bytes had come, {wish.max_bytes} are allowed"
        )

    def _read_ahead(self, lease: AnyLease, wish: Read) -> Steps[bool]:
        """Carry out a Read; True if the body is complete."""
        limit, seconds, ahead = wish.max_bytes, wish.max_seconds, self._ahead
        deadline = self.exchange.deadline if seconds is None else self._within(seconds)
        if seconds is not None and lease.is_wrapped and wish.otherwise is STREAM:
            return False  # The function could not go on after the policy's patience has ended within it.
        size = sum(map(len, ahead))
        remaining = lease.remaining
        bound, refused = self.exchange.max_body, False
        if bound is not None and (limit is None or limit > bound):
            # A policy that reads all or nothing gets the error of `max_body`; one that streams the rest, the stream.
            limit, refused = bound, limit is None or wish.otherwise is REFUSE
        if limit is not None and remaining is not None and size + remaining > limit:
            if refused:
                raise self.refuse(size + remaining)
            return False
        while limit is None or size <= limit:
            try:
                chunk = yield from self._pull(lease, deadline)
            except TimeoutError:
                if seconds is None or self.lease is None:
                    raise
                return False
            if not chunk:
                return True
            collect(ahead, chunk)
            size += len(chunk)
        if refused:
            raise self.refuse()
        return False

    def _look_ahead(self) -> Steps[bool]:
        """Read ahead what is short and comes soon; True if that is all, and no piece was given out.

        To a reader it makes no difference: a read that fails here fails when a reader comes to that place.
        """
        lease = self.lease
        if lease is None or self.state is not _OPEN or self._reading:
            return self.state is _BUFFERED
        ahead = self._ahead
        size, bound = sum(map(len, ahead)), self.exchange.max_body
        most = _AHEAD_BYTES if bound is None else min(_AHEAD_BYTES, bound)
        if size + (lease.remaining or 0) > most:
            return False
        clock = self.exchange.deadline
        until = clock.now() + _AHEAD_SECONDS
        # A function around the body could not go on after a read that timed out within it.
        deadline = clock if lease.is_wrapped else self._within(_AHEAD_SECONDS)
        try:
            while size <= most and clock.now() < until:
                chunk = yield from self._pull(lease, deadline)
                if not chunk:
                    return True
                collect(ahead, chunk)
                size += len(chunk)
        except Exception as error:
            if self._failure:  # Otherwise the time was up, or somebody has ended the body.
                self._ahead, self._failure = ahead, _without_frames(error)
        return False

    def _pull(self, lease: AnyLease, deadline: Deadline) -> Steps[bytes]:
        """The next raw bytes from the lease; whatever goes wrong, the lease is over before the error is raised."""
        if self._reading:
            raise BodyBusy("this body is being read by another thread or task")
        try:
            self._reading = True
            chunk: bytes = yield lease.read(deadline)
            if turn_is_over(self._turn_ends_at):
                if self._turn_ends_at:
                    yield self._let_others_run()
                self._turn_ends_at = turn_ends_at()
        except BaseException as error:
            self._broken(error, deadline)
            if isinstance(error, Exception) and not isinstance(error, AdieuError):
                raise self._as_transport_error(error, deadline) from error
            raise
        finally:
            self._reading = False
        if not chunk:
            if self.state is not _OPEN:
                raise self.refusal()  # Not the body has ended: another thread or task ended the lease.
            self._complete(lease)
        return chunk

    def _let_others_run(self) -> object:
        """Let the other tasks run (async: an awaitable)."""
        raise NotImplementedError

    def _broken(self, error: BaseException, deadline: Deadline) -> None:
        if isinstance(error, Exception):
            if self.state is BodyState.CUT_OFF:
                raise ClientClosed(
                    "the client was closed while this body was being read"
                ) from error
            if self.state is BodyState.CLOSED:
                raise BodyClosed("this body was closed while it was being read") from error
        if isinstance(error, TimeoutError) and deadline is not self.exchange.deadline:
            return  # A policy's own patience ended, not the call's: the lease is as good as before.
        self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._failure = _described(error)
        self._settle(BodyEvent.FAILED, type(error).__name__)

    def _as_transport_error(self, error: Exception, deadline: Deadline) -> TransportError:
        """What a lease raised unmapped, as an error of adieu's: leases are written by others, too."""
        mapped: TransportError
        if isinstance(error, TimeoutError):
            mapped = deadline.exceeded("read")
        elif isinstance(error, OSError):
            mapped = ReadError(f"the connection broke while the body was read: {error}")
        else:
            mapped = TransportError(f"the body failed with {type(error).__name__}: {error}")
        exchange = self.exchange
        mapped.phase, mapped.request_sent, mapped.response_started = "body", "wholly", True
        mapped.method, mapped.url = exchange.method, str(exchange.url)
        if mapped.elapsed is None:
            mapped.elapsed = exchange.deadline.elapsed()
        return mapped

    def _next(self) -> Steps[bytes]:
        """The next raw bytes for a reader, b"" at the end."""
        lease = self.lease
        if not self._ahead and lease is not None and self.state is _OPEN:
            if lease is self.exchange.lease:
                chunk = yield from self._pull(lease, self.exchange.deadline)
                if not chunk:
                    self._settle(_TAKEN)
                return chunk
            self._settle(BodyEvent.LEFT, "replaced")
        return self._at_hand()

    def _at_hand(self) -> bytes:
        """The next raw bytes of a body that needs no connection any more."""
        if self._ahead:
            return take_first(self._ahead)
        self._settle(_TAKEN)
        if self.state is _ENDED:
            return b""
        raise self.take_error() or self.refusal()

    def take_error(self) -> Exception | None:
        """The error of a read ahead, for the reader that comes to it: once."""
        failure = self._failure
        if isinstance(failure, str):
            return None
        self._failure = _described(failure)
        return failure

    def refusal(self) -> Exception:
        """What a reader gets of a body that gives no bytes any more."""
        if self.state is BodyState.CUT_OFF:
            return ClientClosed("the client was closed while this body was open")
        if self.state is BodyState.FAILED:
            failure = self._failure
            known = failure if isinstance(failure, str) else _described(failure)
            return BodyClosed(
                f"reading this body failed before, with {known}: what came until then is not all of it"
            )
        return BodyClosed(
            "this body was closed before it was read to its end: read it before, or within its `with` block"
        )

    def _close(self, why: Why) -> Steps[None]:
        """The rest is not wanted: what the policy says, as far as the connection allows it."""
        self._ahead = []
        lease = self.lease
        if lease is None or lease is not self.exchange.lease:
            self._settle(BodyEvent.LEFT, why)
            return
        # With a reader in another thread or task, the rest is not ours to drain: the end wakes the reader up.
        ask = lease.reusable and not self._reading
        policy = self.exchange.policy
        action = self._ask("on_close", policy.on_close, self.view(), why) if ask else CLOSE
        if isinstance(action, Drain):
            yield from self._drain(lease, action)
        self._settle(BodyEvent.LEFT, why)

    def _drain(self, lease: AnyLease, wish: Drain) -> Steps[None]:
        try:
            if (yield from self._drop_rest(lease, wish)):
                self._complete(lease)
        except BaseException:
            self._settle(BodyEvent.LEFT, "interrupted")
            raise

    def _drop_rest(self, lease: AnyLease, wish: Drain) -> Steps[bool]:
        """Read and drop the rest; True if that was all."""
        deadline = self._within(wish.max_seconds)
        size = 0
        try:
            inner = lease.stop_wrapping()
            if inner.framing == "close" or (inner.remaining or 0) > wish.max_bytes:
                return False  # Not worth beginning: the end is the close, or it is known to be too far away.
            while size <= wish.max_bytes:
                chunk = yield inner.read(deadline)
                if not chunk:
                    return True
                size += len(chunk)
        except Exception:
            pass  # It is being thrown away: that its rest is broken or slow is no error.
        return False

    def _within(self, seconds: float) -> Deadline:
        """A clock for a policy's own bound, which never outlasts the call's."""
        total = self.exchange.deadline.ends_at
        if total is not None:
            seconds = min(seconds, max(total - self.exchange.deadline.now(), 0.0))
        return Deadline(
            Timeout(read=seconds or 1e-3, total=seconds or 1e-3), self.exchange.deadline.now
        )

    def _complete(self, lease: AnyLease) -> None:
        self.trailers = lease.trailers
        policy = self.exchange.policy
        # Most policies release without looking: then no view is drawn.
        releases = type(policy).on_complete is CleanupPolicy.on_complete
        if not releases and lease.reusable:
            releases = self._ask("on_complete", policy.on_complete, self.view()) is RELEASE
        self._settle(_COMPLETE, "complete", releases and lease.reusable)

    def _ask(self, name: str, hook: Callable[..., _Answer], *question: object) -> _Answer:
        exchange = self.exchange
        try:
            return checked_answer(exchange.policy, name, hook(*question))
        except BaseException as error:
            if isinstance(error, PolicyError):
                error.method, error.url = exchange.method, str(exchange.url)
            self._settle(BodyEvent.LEFT, "policy failed")
            raise

    def _settle(self, event: BodyEvent, why: str = "", reuse: bool = False) -> None:
        """Change the state as the table says, and end the lease if there is one still."""
        state = NEXT_STATE[event].get(self.state)
        if state is not None:
            self.state = state
            if state not in (_BUFFERED, _ENDED):
                self._ahead = []
        lease = self.lease
        if lease is not None:
            if self.exchange.lease is lease:
                self.exchange.end(reuse, why)
            self.lease = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.exchange.method} {show_url(self.exchange.url)}: {self.state.name}>"


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def _without_frames(error: Exception) -> Exception:
    """An error to be kept: its frames refer to the body that keeps it."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error
