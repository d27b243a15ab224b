"""The body of a response, sync and async: the drivers of `BodyBase`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.lifecycle.body_state import BodyEvent
from adieu.lifecycle.body_steps import BodyBase
from adieu.lifecycle.fairness import checkpoint
from adieu.lifecycle.steps import adrive, drive

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from adieu.lifecycle.cleanup import Why

__all__ = ["AnyBody", "AsyncBody", "Body"]


class Body(BodyBase):
    """The body of a sync response."""

    __slots__ = ()

    def apply_policy(self, streaming: bool = False) -> bool:
        """Called once, after the final head. With `streaming`, a policy's Read is not carried out.

        True if the body was read for the response, all of it.
        """
        return drive(self._apply_policy(streaming))

    def look_ahead(self) -> bool:
        """Read ahead a bounded piece; True if that is the whole body, and nothing was given out of it yet."""
        return drive(self._look_ahead())

    def read(self) -> bytes:
        """The next raw bytes; b"" at the end. Raises `BodyClosed` after close, `ClientClosed` after the client's."""
        return drive(self._next()) if self.lease is not None else self._at_hand()

    def close(self, why: Why = "exit") -> None:
        """End it as the policy says: drained and released, or closed. Idempotent."""
        try:
            if self.lease is None:
                # Nothing to wait for, so no steps: most streams are small.
                self._settle(BodyEvent.LEFT, why)
            else:
                drive(self._close(why))
        except BaseException:
            self.abort("interrupted")  # First: the interrupt may be kept by its handler.
            raise

    def _let_others_run(self) -> None:
        """The system shares its time among threads."""


class AsyncBody(BodyBase):
    """The body of an async response."""

    __slots__ = ()

    async def apply_policy(self, streaming: bool = False) -> bool:
        """See `Body.apply_policy`."""
        return await adrive(self._apply_policy(streaming))

    async def look_ahead(self) -> bool:
        """See `Body.look_ahead`."""
        return await adrive(self._look_ahead())

    async def read(self) -> bytes:
        """See `Body.read`."""
        return await adrive(self._next()) if self.lease is not None else self._at_hand()

    async def close(self, why: Why = "exit") -> None:
        """See `Body.close`."""
        try:
            if self.lease is None:
                self._settle(BodyEvent.LEFT, why)
            else:
                await adrive(self._close(why))
        except BaseException:
            self.abort("interrupted")
            raise

    def close_nowait(self) -> None:
        """As `close`, but without waiting: a coroutine that is itself being closed must not wait."""
        closing = self.close()
        try:
            closing.send(None)
        except StopIteration:
            return
        closing.close()
        self.abort("exit")

    def _let_others_run(self) -> Awaitable[None]:
        return checkpoint()


AnyBody = Body | AsyncBody
