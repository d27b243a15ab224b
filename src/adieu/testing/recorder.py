"""`Recorder`: an adapter around another one that records what it answers, and later replays it from one file."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from adieu.errors import AdieuError, InvalidRequest, TransportError
from adieu.lifecycle.steps import adrive, drive
from adieu.testing.matching import RecordingMismatch, checked_match, explain, find
from adieu.testing.scrub import KeepsAll, Scrubber
from adieu.testing.tape import Recorded, error_of, facts_of, load, save
from adieu.testing.whole_content import bytes_of, with_whole_content
from adieu.texts import show_url
from adieu.transport.adapter import AsyncMiddleware, Middleware
from adieu.transport.registry import inner_adapter

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Iterable, Iterator

    from adieu.lifecycle.limits import CloseReport
    from adieu.lifecycle.steps import Steps
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.request import Request
    from adieu.messages.response import Response
    from adieu.transport.adapter import Adapter, AsyncAdapter
    from adieu.transport.exchange import AnyExchange, AnyResponse, AsyncExchange, Exchange

__all__ = ["AsyncRecorder", "Recorder", "RecordingMode"]

RecordingMode = Literal["once", "none", "new", "all"]


class Recorder(Middleware):
    """Wraps an adapter (None: the default one), records its answers to the file `path`, and replays them from there.

    `mode`: "once" replays if there is a file, and records one if there is none; "none" never sends anything; "new"
    replays what is there and records what is not; "all" records everything anew. The file is written when the adapter
    is closed, so when its client is.

    A recorded exchange answers one request: the first that is the same by `match`, which names some of "method", "url",
    "headers" and "body". A request that nothing answers is a `RecordingMismatch`, which says what differs from the
    nearest exchange.

    The file has a JSON object a line, and no secrets: values are masked where the name of a field, a parameter or a
    JSON member means one, or is one of `secrets`. `scrub=False` keeps everything. The run that records gets its answers
    unmasked. Responses have their content coding undone, and no trailers; errors of the transport are recorded, too.

    Raises `InvalidRequest` for a file that is not understood, and for mode "none" without a file.
    """

    def __init__(
        self,
        inner: Adapter | None,
        path: str | os.PathLike[str],
        *,
        mode: RecordingMode = "once",
        match: Iterable[str] = ("method", "url", "body"),
        secrets: Iterable[str] = (),
        scrub: bool = True,
    ) -> None:
        super().__init__(inner_adapter(inner, None, "native"))
        self.tape = _Tape(path, mode, match, Scrubber(secrets) if scrub else KeepsAll())

    def send(self, request: Request, exchange: Exchange) -> Response:
        """Replay the answer, or send the request and record it."""
        return cast("Response", drive(self.tape.answering(request, exchange, self.inner, False)))

    def close(self) -> CloseReport | None:
        """Write the file if something was recorded, and close the inner adapter."""
        try:
            self.tape.save()
        finally:
            report = self.inner.close()
        return report


class AsyncRecorder(AsyncMiddleware):
    """The same around an async adapter: see `Recorder`."""

    def __init__(
        self,
        inner: AsyncAdapter | None,
        path: str | os.PathLike[str],
        *,
        mode: RecordingMode = "once",
        match: Iterable[str] = ("method", "url", "body"),
        secrets: Iterable[str] = (),
        scrub: bool = True,
    ) -> None:
        super().__init__(inner_adapter(inner, None, "native", "adieu.async_adapters"))
        self.tape = _Tape(path, mode, match, Scrubber(secrets) if scrub else KeepsAll())

    async def send(self, request: Request, exchange: AsyncExchange) -> AsyncResponse:
        """Replay the answer, or send the request and record it."""
        steps = self.tape.answering(request, exchange, self.inner, True)
        return cast("AsyncResponse", await adrive(steps))

    async def close(self) -> CloseReport | None:
        """Write the file if something was recorded, and close the inner adapter."""
        try:
            self.tape.save()
        finally:
            report = await self.inner.close()
        return report


class _Tape:
    """The exchanges of a recorder, and what it does with the next request."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        mode: RecordingMode,
        match: Iterable[str],
        scrubber: Scrubber,
    ) -> None:
        if mode not in get_args(RecordingMode):
            raise InvalidRequest(
                f"mode={mode!r} is none of {', '.join(get_args(RecordingMode))} "
                "(those of vcrpy, which calls 'new' 'new_episodes')"
            )
        self.path = Path(path)
        self._mode = mode
        self._match = checked_match(match)
        self.scrubber = scrubber
        self._lock = threading.Lock()
        self._is_changed = False
        exists = self.path.exists()
        if mode == "none" and not exists:
            raise InvalidRequest(f"there is no recording {path}, and mode='none' makes none")
        self._may_record = mode in ("new", "all") or (mode == "once" and not exists)
        self.exchanges = load(self.path) if exists and mode != "all" else []

    def answering(
        self, request: Request, exchange: AnyExchange, inner: Any, awaits: bool
    ) -> Steps[AnyResponse]:
        whole = yield from with_whole_content(request, exchange.deadline, awaits=awaits)
        asked = self._asked(whole)
        known = self._take(asked)
        if known is not None:
            return _replayed(known, exchange)
        try:
            response: AnyResponse = yield inner.send(whole, exchange)
        except TransportError as error:
            asked.error = self.scrubbed_facts(error)
            raise
        if response.upgraded is not None:
            raise InvalidRequest("a connection that was upgraded cannot be recorded")
        self._record(response, asked, awaits)
        return response

    def _asked(self, request: Request) -> Recorded:
        fields = request.headers
        content = self.scrubber.content(bytes_of(request.content), fields.get("content-type", ""))
        url, scrubbed = str(request.url), self.scrubber.fields(fields.multi_items())
        return Recorded(request.method, self.scrubber.url(url), scrubbed, content)

    def _take(self, asked: Recorded) -> Recorded | None:
        """The exchange that answers; None: it is to be recorded, and has its place."""
        with self._lock:
            known = find(asked, self.exchanges, self._match)
            if known is None:
                if not self._may_record:
                    raise explain(asked, self.exchanges, self._match, self.path, self._mode)
                asked.played = self._is_changed = True
                self.exchanges.append(asked)
                return None
            known.played = True
            return known

    def _record(self, response: AnyResponse, asked: Recorded, awaits: bool) -> None:
        """Note the head, and let the body go through what records it as it is read."""
        asked.status, asked.reason = response.status_code, response.reason
        asked.version = response.http_version
        taking = _Taking(asked, self, response.headers.get("content-type", ""))
        wrap: Any = response.wrap
        wrap(taking.each_async if awaits else taking.each, decoded=True)
        asked.headers = self.scrubber.fields(response.headers.multi_items())

    def scrubbed_facts(self, error: TransportError) -> dict[str, Any]:
        facts = facts_of(error)
        facts["message"] = self.scrubber.content(facts["message"].encode(), "").decode()
        return facts

    def save(self) -> None:
        with self._lock:
            # Without those that ended before there was an answer, or an error of the transport.
            kept = [each for each in self.exchanges if each.status or each.error]
            if self._is_changed and kept:
                save(self.path, kept)
            self._is_changed = False


class _Taking:
    """Records a body as it is read: all of it, or as much as its reader wanted."""

    def __init__(self, recorded: Recorded, tape: _Tape, media_type: str) -> None:
        self._recorded = recorded
        self._tape = tape
        self._media_type = media_type
        self._pieces: list[bytes] = []

    def each(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            for chunk in chunks:
                self._pieces.append(chunk)
                yield chunk
            self._recorded.is_whole = True
        except TransportError as error:
            self._recorded.error = self._tape.scrubbed_facts(error)
            raise
        finally:
            self._end()

    async def each_async(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                self._pieces.append(chunk)
                yield chunk
            self._recorded.is_whole = True
        except TransportError as error:
            self._recorded.error = self._tape.scrubbed_facts(error)
            raise
        finally:
            self._end()

    def _end(self) -> None:
        recorded, body = self._recorded, b"".join(self._pieces)
        recorded.body = self._tape.scrubber.content(body, self._media_type)
        recorded.pieces = [len(piece) for piece in self._pieces]
        if recorded.body != body:
            # Its masks have other lengths than the secrets.
            length = str(len(recorded.body))
            recorded.pieces = [len(recorded.body)]
            recorded.headers = [
                (name, length if name.lower() == "content-length" else value)
                for name, value in recorded.headers
            ]


def _replayed(known: Recorded, exchange: AnyExchange) -> AnyResponse:
    if not known.status:
        raise _error(known, exchange)
    in_memory = known.is_whole and len(known.pieces) <= 1
    return exchange.respond(
        known.status,
        known.headers,
        known.body if in_memory else _pieces(known, exchange),
        reason=known.reason,
        http_version=known.version,
    )


def _pieces(known: Recorded, exchange: AnyExchange) -> Iterator[bytes]:
    begin = 0
    for length in known.pieces:
        yield known.body[begin : begin + length]
        begin += length
    if known.error is not None:
        raise _error(known, exchange)
    if not known.is_whole:
        raise RecordingMismatch(
            f"the recording of {known.method} {show_url(known.url)} ends here: "
            f"when it was recorded, its reader left it after {begin} bytes"
        )


def _error(known: Recorded, exchange: AnyExchange) -> AdieuError:
    assert known.error is not None
    error = error_of(known.error)
    error.method, error.url = exchange.method, str(exchange.url)
    if isinstance(error, TransportError):
        error.elapsed = exchange.deadline.elapsed()
    return error
