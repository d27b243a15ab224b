"""The pieces of a body, as an async iterator that nobody has to close.

Not an async generator: the event loop keeps account of those, finalizes one that is left in the middle in a task of its
own, some time later, and under trio complains of it. These hold nothing but memory, so dropping them is all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from typing import Any, TypeVar

from adieu.errors import BodyBusy

__all__ = ["AsyncPieces"]

T = TypeVar("T")


class AsyncPieces(AsyncIterator[T]):
    """What steps yield: pieces are given; what can be awaited is awaited, and what it gave is sent back."""

    __slots__ = ("_steps", "_waiting")

    def __init__(self, steps: Generator[Any, Any, None]) -> None:
        self._steps = steps
        self._waiting = False

    async def next(self) -> T | None:
        """The next piece; None at the end, for other steps."""
        if self._waiting:
            raise BodyBusy("this body is being read by another task")
        steps = self._steps
        try:
            got = steps.send(None)
            while hasattr(got, "__await__"):
                self._waiting = True
                try:
                    done = await got
                except BaseException as error:
                    self._waiting = False
                    got = steps.throw(error)
                else:
                    self._waiting = False
                    got = steps.send(done)
        except StopIteration:
            return None
        piece: T = got
        return piece

    async def __anext__(self) -> T:
        piece: T | None = await self.next()
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Leave it here. Nothing is lost by not calling this."""
        self._steps.close()
