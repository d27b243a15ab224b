"""The clocks of a call: `Timeout` is a setting, `Deadline` is that setting running. All in seconds.

Every wait asks the deadline how long it may last, so that no wait is without a limit unless somebody asked for that,
and so that `total` holds across every phase: the pool, DNS, connect, TLS, writing, the head, the whole body.

What may wait more than once for one result gets the clock itself, a `TimeLimit`, and not the seconds that were left at
its beginning: a peer that sends a TLS record byte by byte makes each wait short, and the read as long as it likes.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Literal, Protocol

from adieu._value import Value
from adieu.errors import (
    ConnectTimeout,
    DeadlineExceeded,
    InvalidRequest,
    PoolTimeout,
    ReadTimeout,
    RequestTimeout,
    WriteTimeout,
)

__all__ = ["Clock", "Deadline", "TimeLimit", "Timeout", "Wait", "Within"]

Clock = Callable[[], float]
Wait = Literal["connect", "read", "write", "pool"]

_ERRORS: dict[str, tuple[type[RequestTimeout], str]] = {
    "pool": (PoolTimeout, "no connection became free"),
    "connect": (ConnectTimeout, "no connection was made"),
    "write": (WriteTimeout, "the peer took no more of the request"),
    "read": (ReadTimeout, "the peer sent nothing"),
}


def _seconds(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidRequest(f"timeout: {name} takes seconds as a number or None, not {value!r}")
    if not value > 0:  # NaN is not, either
        raise InvalidRequest(f"timeout: {name} must be more than 0 seconds, not {value!r}")
    # A wait of centuries overflows the platform's clock types; it means the same as no limit.
    return float(value) if value < 3e7 else None


class Timeout(Value):
    """How long each wait of a call may last, in seconds; None is no limit.

    `connect` bounds resolving the name, connecting and the TLS handshake together; `read` and `write` bound each wait
    for the peer; `total` bounds the whole call with its redirects and its body. `pool` bounds the time in which no
    connection becomes free for the calls that wait in line: a thousand calls at once wait for each other, and only a
    pool that is stuck is an error. Its default is more than that of `read`, so that the connections of peers which
    keep silent become free before. `Timeout.of(5)` gives the first four 5 seconds each, as `timeout=5` does everywhere.
    """

    __slots__ = ("connect", "pool", "read", "total", "write")
    connect: float | None
    read: float | None
    write: float | None
    pool: float | None
    total: float | None

    def __init__(
        self,
        *,
        connect: float | None = 5.0,
        read: float | None = 30.0,
        write: float | None = 30.0,
        pool: float | None = 60.0,
        total: float | None = None,
    ) -> None:
        self._set(
            connect=_seconds("connect", connect),
            read=_seconds("read", read),
            write=_seconds("write", write),
            pool=_seconds("pool", pool),
            total=_seconds("total", total),
        )

    @classmethod
    def of(cls, value: Timeout | float | None) -> Timeout:
        """A timeout from what `timeout=` accepts: a `Timeout`, seconds for each wait, or None for no limit at all."""
        if isinstance(value, Timeout):
            return value
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise InvalidRequest(
                f"timeout takes seconds as a number, None, or a Timeout as in "
                f"adieu.Timeout(connect=5, read=30); not {value!r}"
            )
        if value is not None and not value > 0:
            raise InvalidRequest(f"timeout must be more than 0 seconds, not {value!r}")
        return cls(connect=value, read=value, write=value, pool=value)


class TimeLimit(Protocol):
    """A clock that is asked before each wait: a `Deadline`, the scope of a new connection, or `Within`."""

    def remaining(self, wait: Wait) -> float | None:
        """Seconds that a wait of this kind may last from now on (None: no limit).

        Raises `TimeoutError` if there is no time left.
        """
        ...


class Within:
    """A limit for a step that may wait several times: these seconds in all, from its first wait; no more than `whole`.

    With 0 seconds the step gets what is there, because the first wait is always allowed.
    """

    __slots__ = ("_ends_at", "_seconds", "_whole")

    def __init__(self, seconds: float | None, whole: TimeLimit | None = None) -> None:
        self._seconds = seconds
        self._whole = whole
        self._ends_at: float | None = None

    def remaining(self, wait: Wait) -> float | None:
        """See `TimeLimit`."""
        whole = None if self._whole is None else self._whole.remaining(wait)
        left = self._seconds
        if left is None:
            return whole
        now = monotonic()
        if self._ends_at is None:
            self._ends_at = now + left
        else:
            left = self._ends_at - now
            if left <= 0:
                raise TimeoutError(f"it was not done within {self._seconds:g} s")
        return left if whole is None or left < whole else whole


class Deadline:
    """A `Timeout` whose clock is running."""

    __slots__ = ("ends_at", "now", "started_at", "timeout")

    def __init__(self, timeout: Timeout, clock: Clock = monotonic) -> None:
        self.timeout = timeout
        self.now = clock
        self.started_at = clock()
        self.ends_at = None if timeout.total is None else self.started_at + timeout.total

    def remaining(self, wait: Wait) -> float | None:
        """Seconds that a wait of this kind may last from now on (None: no limit).

        Raises `DeadlineExceeded` when the whole call has used up its `total`.
        """
        limit: float | None = getattr(self.timeout, wait)
        if self.ends_at is None:
            return limit
        left = self.ends_at - self.now()
        if left <= 0:
            raise self.exceeded(wait)
        return left if limit is None or left < limit else limit

    def end(self) -> TimeLimit:
        """A limit that is the end of the whole call alone, for a wait in which the peer may keep silent."""
        return _End(self)

    def remaining_since(self, wait: Wait, seconds: float) -> float | None:
        """Seconds that a wait of this kind may go on, so long after it last got further (None: no limit; 0: none)."""
        limit: float | None = getattr(self.timeout, wait)
        left = None if limit is None else max(limit - seconds, 0.0)
        if self.ends_at is None:
            return left
        whole = max(self.ends_at - self.now(), 0.0)
        return whole if left is None or whole < left else left

    def elapsed(self) -> float:
        """Seconds since the call began."""
        return self.now() - self.started_at

    def exceeded(self, wait: Wait) -> RequestTimeout:
        """The error to raise when a wait of this kind has taken too long."""
        if self.ends_at is not None and self.now() >= self.ends_at - 1e-3:
            total = self.timeout.total
            return DeadlineExceeded(
                f"the call did not end within its {total:g} s in all",
                phase=_ERRORS[wait][0].phase,
                limit=total,
                elapsed=self.elapsed(),
            )
        kind, what = _ERRORS[wait]
        limit = getattr(self.timeout, wait)
        return kind(f"{what} for {limit:g} s (Timeout.{wait})", limit=limit, elapsed=self.elapsed())


class _End:
    """See `Deadline.end`."""

    __slots__ = ("_deadline",)

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    def remaining(self, wait: Wait) -> float | None:
        """See `TimeLimit`."""
        deadline = self._deadline
        if deadline.ends_at is None:
            return None
        left = deadline.ends_at - deadline.now()
        if left <= 0:
            raise deadline.exceeded(wait)
        return left
