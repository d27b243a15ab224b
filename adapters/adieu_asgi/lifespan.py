"""Lifespan: the app is started before its first request, and shut down when the client closes.

One task runs all of it, because an app has to close a task group, for example, in the task that opened it. According to
the specification, an app that raises at the very beginning has no lifespan; `mode="on"` makes that an error.
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Literal

from adieu_asgi.errors import AppError
from adieu_asgi.scope import VERSIONS
from adieu_asgi.waiting import Changes, Tasks

if TYPE_CHECKING:
    from adieu.lifecycle.deadline import Deadline
    from adieu_asgi.scope import ASGIApp, Message

__all__ = ["Lifespan", "Mode"]

Mode = Literal["auto", "on", "off"]
State = Literal["NEW", "STARTING", "RUNNING", "ABSENT", "FAILED", "STOPPING", "STOPPED"]


class Lifespan:
    """The lifespan of one app in one event loop."""

    __slots__ = ("_app", "_changes", "_failure", "_mode", "state", "tasks", "values")

    def __init__(self, app: ASGIApp, mode: Mode) -> None:
        self._app = app
        self._mode = mode
        self.tasks = Tasks()
        self._changes = Changes(asyncio.get_running_loop())
        self._failure = ""
        self.state: State = "NEW" if mode != "off" else "ABSENT"
        # The state that the app keeps for its requests; each gets a copy.
        self.values: dict[str, Any] = {}

    async def started(self, deadline: Deadline) -> dict[str, Any] | None:
        """Wait until the app has started, and return its state, or None if it has no lifespan.

        The first caller starts it; if that caller is cancelled, the start goes on. Raises `AppError` if it failed.
        """
        if self.state == "NEW":
            self.state = "STARTING"
            self.tasks.start(copy_context(), self._run())
        seconds = deadline.remaining("read")
        if not await self._changes.within(seconds, lambda: self.state != "STARTING"):
            raise deadline.exceeded("read")
        if self.state == "FAILED":
            raise AppError(f"the app did not start: {self._failure}")
        return None if self.state == "ABSENT" else self.values

    async def stopped(self, patience: float) -> None:
        """Let the app shut down, for at most these seconds. Raises `AppError` if its lifespan failed."""
        asked = self.state == "RUNNING"
        in_time = True
        if asked:
            self.state = "STOPPING"
            self._changes.notify()
        try:
            if asked:
                in_time = await self._changes.within(patience, lambda: self.state == "STOPPED")
            # After its last message the app only has to return.
            await self.tasks.end(patience if asked and in_time else 0)
        finally:
            self.tasks.cancel()
        failure, self._failure = self._failure, ""
        if not in_time:
            raise AppError(f"the app had not shut down after {patience:g} s")
        if failure and self.state == "STOPPED":
            raise AppError(f"the app's lifespan failed: {failure}")

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": dict(VERSIONS), "state": self.values}
        try:
            await self._app(scope, self._receive, self._send)
        except asyncio.CancelledError:
            self._end("")
            raise
        except BaseException as error:
            self._end(f"{type(error).__name__}: {error}")
            if not isinstance(error, Exception):
                raise
        else:
            self._end("")

    def _end(self, failure: str) -> None:
        """The app has ended its lifespan, rightly or not."""
        if self.state == "STARTING":
            self.state = "FAILED" if self._mode == "on" else "ABSENT"
            self._failure = failure or "it returned before it said that it had started"
        elif self.state != "FAILED":
            self.state = "STOPPED"
            self._failure = self._failure or failure
        self._changes.notify()

    async def _receive(self) -> Message:
        if self.state == "STARTING":
            return {"type": "lifespan.startup"}
        await self._changes.until(lambda: self.state == "STOPPING")
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        kind = message.get("type")
        if kind == "lifespan.startup.complete" and self.state == "STARTING":
            self.state = "RUNNING"
        elif kind == "lifespan.startup.failed" and self.state == "STARTING":
            self._failure = message.get("message") or "it gave no reason"
            self.state = "FAILED"
        elif kind == "lifespan.shutdown.complete" and self.state == "STOPPING":
            self.state = "STOPPED"
        elif kind == "lifespan.shutdown.failed" and self.state == "STOPPING":
            self._failure = message.get("message") or "it gave no reason"
            self.state = "STOPPED"
        else:
            raise RuntimeError(f"{kind!r} was sent when the app's lifespan was {self.state}")
        self._changes.notify()
