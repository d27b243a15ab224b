"""A bound for the extra load of retries: a bucket of tokens that the requests of many threads share.

When a server is down, every request fails, and every retry adds to its load: with three retries the load is four times
as high, just when it is too high already. A budget prevents that: failures empty it, and only successes refill it.
"""

from __future__ import annotations

from adieu.errors import InvalidRequest
from adieu.lifecycle.lock import locked, new_lock

__all__ = ["RetryBudget"]


class RetryBudget:
    """At most `tokens` retries at once, and `refill` more for every request that succeeds, up to `tokens` again.

    The default allows a hundred retries at any time, and in the long run one for every five requests. Clients that talk
    to the same servers should share one.
    """

    __slots__ = ("_left", "_lock", "refill", "tokens")

    def __init__(self, tokens: float = 100, *, refill: float = 0.2) -> None:
        for name, value in (("tokens", tokens), ("refill", refill)):
            if (
                isinstance(value, bool)
                or not isinstance(value, (int, float))
                or not 0 <= value < 1e9
            ):
                raise InvalidRequest(f"{name} of a RetryBudget is a number from 0, not {value!r}")
        self.tokens = tokens
        self.refill = refill
        self._left = float(tokens)
        self._lock = new_lock()

    def take(self) -> bool:
        """Pay for one retry; False if there is not enough."""
        return locked(self._lock, self._change, -1)

    def earn(self) -> None:
        """A request succeeded."""
        locked(self._lock, self._change, self.refill)

    def _change(self, by: float) -> bool:
        left = self._left + by
        if left < 0:
            return False
        self._left = min(left, self.tokens)
        return True

    @property
    def remaining(self) -> float:
        """The tokens that are left now."""
        return self._left

    def __repr__(self) -> str:
        return f"RetryBudget({self.tokens:g}, refill={self.refill:g})"

    def __reduce__(self) -> tuple[object, ...]:
        # An unpickled budget is full: how many tokens are left is no setting.
        return _restored, (self.tokens, self.refill)


def _restored(tokens: float, refill: float) -> RetryBudget:
    return RetryBudget(tokens, refill=refill)
