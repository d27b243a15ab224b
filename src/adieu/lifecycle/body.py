"""The body: raw bytes in order, and the policy carried out. Written once; two short drivers below.

States: OPEN (bytes may come), ENDED (the end was read, the lease is over), CLOSED (ended before the end), CUT (the
client was closed while it was open). The exchange is ended before an exception leaves this room, so holding an
exception never holds a socket.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from adieu.errors import (
    AdieuError,
    BodyBusy,
    BodyClosed,
    BodyTooLarge,
    ClientClosed,
    ReadError,
    TransportError,
)
from adieu.lifecycle.cleanup import (
    CLOSE,
    REFUSE,
    RELEASE,
    CleanupPolicy,
    Drain,
    Prefetch,
    Read,
    View,
    Why,
)
from adieu.lifecycle.deadline import Deadline, Timeout
from adieu.lifecycle.events import CLIENT_CLOSED
from adieu.lifecycle.exchange import BackupFinalizer, Exchange, caller
from adieu.lifecycle.steps import Steps, adrive, drive

__all__ = ["AsyncBody", "Body", "BodyCore"]

State = Literal["OPEN", "ENDED", "CLOSED", "CUT"]


class BodyCore:
    """What both colours share: the state, what has been read ahead, and the policy's actions as steps."""

    __slots__ = (
        "__weakref__",
        "_ahead",
        "_backup_finalizer",
        "_reading",
        "exchange",
        "state",
        "status",
        "trailers",
    )

    def __init__(self, exchange: Exchange, status: int) -> None:
        self.exchange = exchange
        self.status = status
        self.state: State = "OPEN"
        # Raw bytes that were read before anybody asked, oldest first.
        self._ahead: list[bytes] = []
        # Somebody waits for bytes. Nobody else may then read: what two readers get is in no order.
        self._reading = False
        # The fields that came after the body, once it has ended.
        self.trailers: list[tuple[str, str]] | None = None

    def view(self) -> View:
        """The snapshot for a policy."""
        return self.exchange.view(self.status)

    def take(self) -> list[bytes]:
        """The chunks that were read ahead, which the caller owns from now on."""
        ahead = self._ahead
        self._ahead = []
        return ahead

    def abort(self, why: str) -> None:
        """End the lease now, without asking the policy: for interrupts and cancellation."""
        self._ahead = []
        self._finish("CLOSED", False, why)

    def refuse(self, size: int | None = None) -> BodyTooLarge:
        """End the lease, because the body is longer than `max_body`; `size`: how long it is, if that is known.

        Gives the error to raise.
        """
        exchange = self.exchange
        self.abort("body too large")
        known = f"{size} bytes, " if size is not None else ""
        return BodyTooLarge(
            f"the body of {exchange.method} {exchange.url} has {known}more than max_body={exchange.max_body}; "
            "raise max_body (None: no bound), or read it as a stream"
        )

    @property
    def remaining(self) -> int:
        """How many bytes are still to come, at least."""
        remaining: int | None = getattr(self.exchange.lease, "remaining", None)
        return remaining or 0

    def cut_off(self) -> None:
        """The client closes: end the lease now; whoever reads gets `ClientClosed`."""
        if self.state == "OPEN":
            self.state = "CUT"
            self._ahead = []
            self.exchange.end(False, CLIENT_CLOSED)

    def take_buffered(self, streaming: bool) -> bool:
        """What needs no waiting and no question: a body that is here already, under a policy that would read it.

        A small body usually comes with its head. Then the connection is free, although nobody has read yet.
        """
        policy: Any = self.exchange.policy
        hook = type(policy).on_headers
        reads_all = hook is Prefetch.on_headers and policy.max_bytes is None
        if not (streaming or reads_all or hook is CleanupPolicy.on_headers):
            return False
        complete = self._take_what_is_here(self.exchange.lease)
        if complete and reads_all and not streaming:
            bound = self.exchange.max_body
            if bound is not None and (size := sum(map(len, self._ahead))) > bound:
                raise self.refuse(size)
        return complete

    def _take_what_is_here(self, lease: Any) -> bool:
        """Read ahead what can be had without waiting; True if that was all."""
        peek = getattr(lease, "peek", None)
        while peek is not None and (chunk := peek()) is not None:
            if not chunk:
                self._complete(lease)
                return True
            self._ahead.append(chunk)
        return False

    # -- steps ---------------------------------------------------------------------------------------------------

    def _apply_policy(self, streaming: bool) -> Steps[None]:
        """After the final head: what needs no waiting first, then what the policy wants."""
        exchange = self.exchange
        lease = exchange.lease
        if getattr(lease, "framing", None) == "none":
            # HEAD, 204, 304, length 0: there is nothing to hold a connection for, under any policy.
            yield from self._pull(lease, exchange.deadline)
            return
        action = self._ask(exchange.policy.on_headers, self.view())
        if action is CLOSE:
            self._finish("CLOSED", False, "policy")
            return
        if type(action) is Read and not streaming:
            if (yield from self._read_ahead(lease, action)):
                return
            if action.otherwise is CLOSE:
                self._ahead = []
                self._finish("CLOSED", False, "policy")
                return
            if action.otherwise is REFUSE:
                received = getattr(lease, "received", 0)
                self._finish("CLOSED", False, "body too large")
                raise BodyTooLarge(
                    f"the body of {exchange.method} {exchange.url} is longer than the cleanup policy reads: "
                    f"{received} bytes had come, {action.max_bytes} are allowed"
                )
        if self._take_what_is_here(lease):
            return
        self._backup_finalizer = BackupFinalizer(exchange)
        exchange.opened_at = place = caller()
        if hasattr(lease, "opened_at"):
            # A `PoolTimeout` finds the lease in the pool's table, and nothing above it.
            lease.opened_at = place

    def _read_ahead(self, lease: Any, wish: Read) -> Steps[bool]:
        """Carry out a Read; True if the body is complete."""
        limit, seconds, ahead = wish.max_bytes, wish.max_seconds, self._ahead
        deadline = self.exchange.deadline if seconds is None else self._within(seconds)
        size = sum(map(len, ahead))
        remaining = getattr(lease, "remaining", None)
        bound, refused = self.exchange.max_body, False
        if bound is not None and (limit is None or limit > bound):
            # Who would read all of it, or nothing, gets the error of `max_body`; who would stream the rest, the stream.
            limit, refused = bound, limit is None or wish.otherwise is REFUSE
        if limit is not None and remaining is not None and size + remaining > limit:
            if refused:
                raise self.refuse(size + remaining)
            return False
        while limit is None or size <= limit:
            try:
                chunk = yield from self._pull(lease, deadline)
            except TimeoutError:
                if seconds is None or self.exchange.lease is None:
                    raise
                return False
            if not chunk:
                return True
            ahead.append(chunk)
            size += len(chunk)
        if refused:
            raise self.refuse()
        return False

    def _pull(self, lease: Any, deadline: Deadline) -> Steps[bytes]:
        """The next raw bytes from the lease; whatever goes wrong, the lease is over before it is told."""
        if self._reading:
            raise BodyBusy("this body is being read by another thread or task")
        try:
            self._reading = True
            chunk: bytes = yield lease.read(deadline)
        except BaseException as error:
            self._broken(error, deadline)
            if isinstance(error, Exception) and not isinstance(error, AdieuError):
                raise self._explained(error, deadline) from error
            raise
        finally:
            self._reading = False
        if not chunk:
            if self.state != "OPEN":
                raise self._refusal()  # What ended is not the body: it was ended under the reader's hands.
            self._complete(lease)
        return chunk

    def _broken(self, error: BaseException, deadline: Deadline) -> None:
        if isinstance(error, Exception):
            if self.state == "CUT":
                raise ClientClosed(
                    "the client was closed while this body was being read"
                ) from error
            if self.state == "CLOSED":
                raise BodyClosed("this body was closed while it was being read") from error
        if isinstance(error, TimeoutError) and deadline is not self.exchange.deadline:
            return  # A policy's own patience ended, not the call's: the lease is as good as before.
        self._finish("CLOSED", False, type(error).__name__)

    def _explained(self, error: Exception, deadline: Deadline) -> TransportError:
        """What a lease raised unmapped, as an error of ours: leases are written by others, too."""
        what: TransportError
        if isinstance(error, TimeoutError):
            what = deadline.exceeded("read")
        elif isinstance(error, OSError):
            what = ReadError(f"the connection broke while the body was read: {error}")
        else:
            what = TransportError(f"the body failed with {type(error).__name__}: {error}")
        exchange = self.exchange
        what.phase, what.request_sent, what.response_started = "body", "wholly", True
        what.method, what.url = exchange.method, str(exchange.url)
        if what.elapsed is None:
            what.elapsed = exchange.deadline.elapsed()
        return what

    def _next(self) -> Steps[bytes]:
        """The next raw bytes for a reader, b"" at the end."""
        if self._ahead:
            return self._ahead.pop(0)
        lease = self.exchange.lease
        if self.state == "OPEN" and lease is not None:
            return (yield from self._pull(lease, self.exchange.deadline))
        if self.state == "ENDED":
            return b""
        raise self._refusal()

    def _refusal(self) -> Exception:
        if self.state == "CUT":
            return ClientClosed("the client was closed while this body was open")
        return BodyClosed("this body was closed before it was read to its end")

    def _closing(self, why: Why) -> Steps[None]:
        """The rest is not wanted: what the policy says, as far as the wire allows it."""
        if self.state != "OPEN":
            self._ahead = []
            return
        self._ahead = []
        exchange = self.exchange
        lease = exchange.lease
        if lease is None:
            self.state = "CLOSED"
            return
        # With a reader in another thread or task, the rest is not ours to drain: the end wakes it up.
        ask = lease.reusable and not self._reading
        action = self._ask(exchange.policy.on_close, self.view(), why) if ask else CLOSE
        if type(action) is Drain:
            yield from self._drain(lease, action)
        if self.state == "OPEN":
            self._finish("CLOSED", False, why)

    def _drain(self, lease: Any, wish: Drain) -> Steps[None]:
        remaining = getattr(lease, "remaining", None)
        if getattr(lease, "framing", "close") == "close" or (remaining or 0) > wish.max_bytes:
            return  # Not worth beginning: the end is the close, or it is known to be too far away.
        deadline = self._within(wish.max_seconds)
        size = 0
        try:
            while size <= wish.max_bytes:
                chunk = yield lease.read(deadline)
                if not chunk:
                    self.state = (
                        "CLOSED"  # Not ENDED: who reads it now must not take it for an empty body.
                    )
                    self._complete(lease)
                    return
                size += len(chunk)
        except Exception:
            return  # It is being thrown away: that its rest is broken or slow is nobody's error.
        except BaseException:
            self._finish("CLOSED", False, "interrupted")
            raise

    def _within(self, seconds: float) -> Deadline:
        """A clock for a policy's own bound, which never outlasts the call's."""
        total = self.exchange.deadline.ends_at
        if total is not None:
            seconds = min(seconds, max(total - self.exchange.deadline.now(), 0.0))
        return Deadline(
            Timeout(read=seconds or 1e-3, total=seconds or 1e-3), self.exchange.deadline.now
        )

    def _complete(self, lease: Any) -> None:
        self.trailers = getattr(lease, "trailers", None)
        policy = self.exchange.policy
        # Most policies release, and do not look: then nobody has to draw the view.
        releases = type(policy).on_complete is CleanupPolicy.on_complete
        if not releases and lease.reusable:
            releases = self._ask(policy.on_complete, self.view()) is RELEASE
        self._finish("ENDED", releases and lease.reusable, "complete")

    def _ask(self, hook: Callable[..., Any], *question: Any) -> Any:
        try:
            return hook(*question)
        except BaseException:
            self._finish("CLOSED", False, "policy failed")
            raise

    def _finish(self, state: State, reuse: bool, why: str) -> None:
        if self.state == "OPEN":
            self.state = state
        self.exchange.end(reuse, why)


class Body(BodyCore):
    """The body of a sync response."""

    __slots__ = ()

    def apply_policy(self, streaming: bool = False) -> None:
        """Called once, when the final head has arrived. With `streaming`, a policy's Read is not carried out."""
        drive(self._apply_policy(streaming))

    def read(self) -> bytes:
        """The next raw bytes; b"" at the end. Raises `BodyClosed` after close, `ClientClosed` after the client's."""
        return drive(self._next())

    def close(self, why: Why = "exit") -> None:
        """End it as the policy says: drained and released, or closed. Any number of calls."""
        drive(self._closing(why))


class AsyncBody(BodyCore):
    """The body of an async response."""

    __slots__ = ()

    async def apply_policy(self, streaming: bool = False) -> None:
        """See `Body.apply_policy`."""
        await adrive(self._apply_policy(streaming))

    async def read(self) -> bytes:
        """See `Body.read`."""
        return await adrive(self._next())

    async def close(self, why: Why = "exit") -> None:
        """See `Body.close`."""
        await adrive(self._closing(why))

    def close_nowait(self) -> None:
        """As `close`, but what has to be waited for is not: a coroutine that is itself being closed must not wait."""
        closing: Any = self.close()
        try:
            closing.send(None)
        except StopIteration:
            return
        closing.close()
        self.abort("exit")
