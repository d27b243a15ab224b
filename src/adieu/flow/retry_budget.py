"""How much extra load retries may be: a bucket of tokens that many requests, of many threads, share.

When a server is down, every request fails, and each one that is sent again makes it worse: three retries are four times
the load, just when there is too much of it. A budget sees that: failures empty it, only successes fill it again.
"""

from __future__ import annotations

from threading import RLock

from adieu.errors import InvalidRequest
from adieu.lifecycle.lock import locked

__all__ = ["RetryBudget"]


class RetryBudget:
    """At most `tokens` retries at once, and `refill` more for every request that succeeds, up to `tokens` again.

    The default lets a hundred requests be retried at any time, and in the long run one in five. To be shared by as many
    clients as talk to the same servers.
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
        self._lock = RLock()

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
        """The tokens that are there now."""
        return self._left

    def __repr__(self) -> str:
        return f"RetryBudget({self.tokens:g}, refill={self.refill:g})"

    def __reduce__(self) -> tuple[object, ...]:
        # Elsewhere it begins anew: the servers' troubles are not a setting.
        return _restored, (self.tokens, self.refill)


def _restored(tokens: float, refill: float) -> RetryBudget:
    return RetryBudget(tokens, refill=refill)
