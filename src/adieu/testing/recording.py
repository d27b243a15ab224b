"""The recording of a `Recorder`: which exchange answers a request, and how a new one is noted."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

from adieu.errors import AdieuError, InvalidRequest, TransportError
from adieu.testing.matching import RecordingMismatch, checked_match, explain, find
from adieu.testing.scrub import KeepsAll, Scrubber
from adieu.testing.tape import Recorded, error_of, facts_of, load, save
from adieu.testing.whole_content import bytes_of, with_whole_content
from adieu.texts import show_url

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Iterable, Iterator

    from adieu.lifecycle.steps import Steps
    from adieu.messages.request import Request
    from adieu.transport.exchange import AnyExchange, AnyResponse

__all__ = ["Recording", "RecordingMode", "RecordingOptions"]

RecordingMode = Literal["once", "none", "new", "all"]


class RecordingOptions(TypedDict, total=False):
    """See `adieu.testing.Recorder`."""

    mode: RecordingMode
    match: Iterable[str]
    secrets: Iterable[str]
    scrub: bool


class Recording:
    """The exchanges of a recorder, and what it does with the next request."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        mode: RecordingMode = "once",
        match: Iterable[str] = ("method", "url", "body"),
        secrets: Iterable[str] = (),
        scrub: bool = True,
    ) -> None:
        if mode not in get_args(RecordingMode):
            raise InvalidRequest(
                f"mode={mode!r} is none of {', '.join(get_args(RecordingMode))} "
                "(those of vcrpy, which calls 'new' 'new_episodes')"
            )
        self.path = Path(path)
        self._mode = mode
        self._match = checked_match(match)
        self.scrubber = Scrubber(secrets) if scrub else KeepsAll()
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
        """Replay the answer, or let the inner adapter send the request, and record."""
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
        """What the file has of an error."""
        facts = facts_of(error)
        facts["message"] = self.scrubber.content(facts["message"].encode(), "").decode()
        return facts

    def save(self) -> None:
        """Write the file if something was recorded."""
        with self._lock:
            # Without those that ended before there was an answer, or an error of the transport.
            kept = [each for each in self.exchanges if each.status or each.error]
            if self._is_changed and kept:
                for each in kept:
                    # Of a secret that was met later, too.
                    each.mask(self.scrubber.masked)
                save(self.path, kept)
            self._is_changed = False


class _Taking:
    """Records a body as it is read: all of it, or as much as its reader wanted."""

    def __init__(self, recorded: Recorded, recording: Recording, media_type: str) -> None:
        self._recorded = recorded
        self._recording = recording
        self._media_type = media_type
        self._pieces: list[bytes] = []

    def each(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            for chunk in chunks:
                self._pieces.append(chunk)
                yield chunk
            self._recorded.is_whole = True
        except TransportError as error:
            self._recorded.error = self._recording.scrubbed_facts(error)
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
            self._recorded.error = self._recording.scrubbed_facts(error)
            raise
        finally:
            self._end()

    def _end(self) -> None:
        recorded, body = self._recorded, b"".join(self._pieces)
        recorded.pieces = [len(piece) for piece in self._pieces]
        recorded.body = body
        recorded.replace_body(self._recording.scrubber.content(body, self._media_type))


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
