"""`Recorder`: an adapter around another one that records what it answers, and later replays it from one file."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from adieu.lifecycle.steps import adrive, drive
from adieu.testing.recording import Recording
from adieu.transport.adapter import AsyncMiddleware, Middleware
from adieu.transport.registry import inner_adapter

if TYPE_CHECKING:
    import os

    from typing_extensions import Unpack

    from adieu.lifecycle.limits import CloseReport
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.request import Request
    from adieu.messages.response import Response
    from adieu.testing.recording import RecordingOptions
    from adieu.transport.adapter import Adapter, AsyncAdapter
    from adieu.transport.exchange import AsyncExchange, Exchange

__all__ = ["AsyncRecorder", "Recorder"]


class Recorder(Middleware):
    """Wraps an adapter (None: the default one), records its answers to the file `path`, and replays them from there.

    `mode`: "once" replays if there is a file, and records one if there is none; "none" never sends anything; "new"
    replays what is there and records what is not; "all" records everything anew. The file is written when the adapter
    is closed, so when its client is.

    A recorded exchange answers one request: the first that is the same by `match`, which names some of "method", "url",
    "headers" and "body". A request that nothing answers is a `RecordingMismatch`, which says what differs from the
    nearest exchange.

    The file has a JSON object a line, and no secrets: values are masked where the name of a field, a parameter, a
    cookie or a member means one, or is one of `secrets`, and wherever else such a value stands, because a server echoes
    it, say. `scrub=False` keeps everything. The run that records gets its answers unmasked. Responses have their
    content coding undone, and no trailers; errors of the transport are recorded, too.

    Raises `InvalidRequest` for a file that is not understood, and for mode "none" without a file.
    """

    def __init__(
        self,
        inner: Adapter | None,
        path: str | os.PathLike[str],
        **options: Unpack[RecordingOptions],
    ) -> None:
        super().__init__(inner_adapter(inner, None, "native"))
        self.recording = Recording(path, **options)

    def send(self, request: Request, exchange: Exchange) -> Response:
        """Replay the answer, or send the request and record it."""
        return cast(
            "Response", drive(self.recording.answering(request, exchange, self.inner, False))
        )

    def close(self) -> CloseReport | None:
        """Write the file if something was recorded, and close the inner adapter."""
        try:
            self.recording.save()
        finally:
            report = self.inner.close()
        return report


class AsyncRecorder(AsyncMiddleware):
    """The same around an async adapter: see `Recorder`."""

    def __init__(
        self,
        inner: AsyncAdapter | None,
        path: str | os.PathLike[str],
        **options: Unpack[RecordingOptions],
    ) -> None:
        super().__init__(inner_adapter(inner, None, "native", "adieu.async_adapters"))
        self.recording = Recording(path, **options)

    async def send(self, request: Request, exchange: AsyncExchange) -> AsyncResponse:
        """Replay the answer, or send the request and record it."""
        steps = self.recording.answering(request, exchange, self.inner, True)
        return cast("AsyncResponse", await adrive(steps))

    async def close(self) -> CloseReport | None:
        """Write the file if something was recorded, and close the inner adapter."""
        try:
            self.recording.save()
        finally:
            report = await self.inner.close()
        return report
