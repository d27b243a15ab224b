"""What a cache did with a request, for the user: `response.extras["cache"]`."""

from __future__ import annotations

from typing import Literal

__all__ = ["CacheFacts", "Outcome"]

Outcome = Literal["hit", "stale", "revalidated", "miss", "bypassed"]


class CacheFacts:
    """What a cache did with a request.

    - `outcome`: "hit" (answered from the cache, fresh), "stale" (answered from the cache, and older than it should be),
      "revalidated" (the server was asked, and the stored body is current), "miss" (the server has answered) or
      "bypassed" (the cache was not asked).
    - `why`: the reason, in words.
    - `age`: how old the answer from the cache is, in seconds; None: it is not from the cache.
    - `stored`: the answer of the server is in the cache now. That is so once its body has been read to its end.
    """

    __slots__ = ("age", "outcome", "stored", "why")

    def __init__(self, outcome: Outcome, why: str, age: int | None = None) -> None:
        self.outcome: Outcome = outcome
        self.why = why
        self.age = age
        self.stored = False

    @property
    def from_cache(self) -> bool:
        """The body of the answer is the stored one."""
        return self.age is not None

    def __repr__(self) -> str:
        stored = ", stored" if self.stored else ""
        age = f", {self.age} s old" if self.age is not None else ""
        return f"<CacheFacts {self.outcome}: {self.why}{age}{stored}>"
