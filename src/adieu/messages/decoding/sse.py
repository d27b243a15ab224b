"""Server-sent events: the parser of `text/event-stream` (https://html.spec.whatwg.org/#parsing-an-event-stream).

Rules of the room: pure and incremental; bytes in, events out, whatever the pieces are. An event that never ends is
refused at `max_event` bytes; what was begun when the stream ends is dropped, as the specification has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from adieu.errors import BodyTooLarge, DecodeError, InvalidRequest

__all__ = ["EventParser", "ServerSentEvent", "check_event_stream"]

_ENDS = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    """One event: its type ("message" if the server named none), its data, and the last id that the server gave."""

    event: str
    data: str
    id: str

    def json(self) -> Any:
        """The data as JSON. Raises `DecodeError` if it is none."""
        import json

        try:
            return json.loads(self.data)
        except (ValueError, RecursionError) as error:  # The second for what is nested too deeply.
            raise DecodeError(
                f"the data of an event of type {self.event!r} is not JSON: {error}; "
                f"it begins with {self.data[:60]!r}"
            ) from error


class EventParser:
    """Events out of the bytes of a stream, as they come. `max_event`: the bytes that one may have, comments left out.

    `last_event_id`: what to say in `Last-Event-ID` when connecting again; `retry`: seconds to wait before that, None if
    the server has not said.
    """

    __slots__ = (
        "_after_cr",
        "_begun",
        "_data",
        "_id",
        "_kept",
        "_mark",
        "_max_event",
        "_size",
        "_type",
        "last_event_id",
        "retry",
    )

    def __init__(self, max_event: int, last_event_id: str = "") -> None:
        if type(max_event) is not int or max_event < 1:
            raise InvalidRequest(f"max_event is a number of bytes of at least 1, not {max_event!r}")
        self._max_event = max_event
        self.retry: float | None = None
        self.begin(last_event_id)

    def begin(self, last_event_id: str | None = None) -> None:
        """A new stream begins: of the former one the last event id (unless another is given) and `retry` remain."""
        if last_event_id is not None:
            self.last_event_id = last_event_id
        self._id = self.last_event_id
        self._kept = bytearray()  # of the line that has not ended yet
        self._size = 0  # of the event that has not ended yet
        self._mark = 0  # what it was before the line that has not ended yet
        self._after_cr = False
        self._begun = False
        self._type = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> Iterator[ServerSentEvent]:
        """Take bytes, give the events that ended in them. Raises `BodyTooLarge`.

        The iterator must be read to its end before the next call.
        """
        if not data:
            return
        at = 0
        if self._after_cr and data[:1] == b"\n":
            at = 1  # The other half of a line end that came in two pieces.
        self._after_cr = data[-1:] == b"\r"
        while (end := _ENDS.search(data, at)) is not None:
            self._grow(end.end() - at)
            line = data[at : end.start()]
            if self._kept:
                line = bytes(self._kept + line)
                self._kept.clear()
            at = end.end()
            event = self._take(line)
            self._mark = self._size
            if event is not None:
                yield event
        if at < len(data):
            self._grow(len(data) - at)
            self._kept += data[at:]

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._max_event:
            raise BodyTooLarge(
                f"an event has more than {self._max_event} bytes: raise max_event, if that is right"
            )

    def _take(self, raw: bytes) -> ServerSentEvent | None:
        if not self._begun:
            self._begun = True
            raw = raw.removeprefix(_BOM)
        if not raw:
            return self._dispatch()
        # Before it is decoded: a colon is a colon in UTF-8, and comments are for keeping a connection alive.
        name, _, value = raw.partition(b":")
        text = value.removeprefix(b" ").decode("utf-8", "replace")
        if name == b"data":
            self._data.append(text)
        elif name == b"event":
            self._type = text
        elif name == b"id":
            if "\0" not in text:
                self._id = text
        elif name == b"retry":
            if text.isascii() and text.isdigit():
                self.retry = int(text[:12]) / 1000
        elif not name:
            self._size = self._mark  # A comment belongs to no event.
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        self.last_event_id = self._id
        kind, data = self._type, self._data
        self._type, self._data, self._size = "", [], 0
        if not data:
            return None
        return ServerSentEvent(kind or "message", "\n".join(data), self.last_event_id)


def check_event_stream(content_type: str | None, url: object) -> None:
    """Refuse what is no event stream: the specification has such a connection fail."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind != "text/event-stream":
        said = f"says {content_type[:100]!r}" if content_type else "says nothing about its type"
        raise DecodeError(f"{url} {said}, and is no text/event-stream")
