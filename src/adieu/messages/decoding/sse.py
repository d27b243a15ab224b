"""Server-sent events: the parser of `text/event-stream` (https://html.spec.whatwg.org/#parsing-an-event-stream).

Invariants: no I/O; the events do not depend on how the bytes are divided into pieces. An event of more than `max_event`
bytes is refused; an event that is incomplete when the stream ends is dropped, as the specification requires.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from adieu.errors import BodyTooLarge, DecodeError, InvalidRequest
from adieu.texts import show_url

__all__ = ["EventParser", "ServerSentEvent", "check_event_stream"]

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    """One event: its type ("message" if the server gave none), its data, and the last id that the server gave."""

    event: str
    data: str
    id: str

    def json(self) -> Any:
        """The data, parsed as JSON. Raises `DecodeError` if it is not JSON."""
        import json

        try:
            return json.loads(self.data)
        except (ValueError, RecursionError) as error:  # RecursionError: nested too deeply
            raise DecodeError(
                f"the data of an event of type {self.event!r} is not JSON: {error}; "
                f"it begins with {self.data[:60]!r}"
            ) from error


class EventParser:
    """Parses the bytes of a stream into events. `max_event`: the most bytes of one event, comments not counted.

    `last_event_id`: the `Last-Event-ID` to send when connecting again; `retry`: the seconds to wait before that, None
    if the server has not said.
    """

    __slots__ = (
        "_after_cr",
        "_begun",
        "_data",
        "_event_size",
        "_id",
        "_line",
        "_max_event",
        "_size_before_line",
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
        """Begin a new stream. The last event id (unless another is given) and `retry` are kept."""
        if last_event_id is not None:
            self.last_event_id = last_event_id
        self._id = self.last_event_id
        self._line = bytearray()  # the beginning of a line that has not ended yet
        self._event_size = 0  # of the event that has not ended yet
        self._size_before_line = 0  # the same, without the line that has not ended yet
        self._after_cr = (
            False  # the bytes so far ended with \r, so that a following \n belongs to it
        )
        self._begun = False  # the first line has been parsed
        self._type = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> Iterator[ServerSentEvent]:
        """Take bytes, return the events that ended in them. Raises `BodyTooLarge`.

        The iterator must be read to its end before the next call.
        """
        if not data:
            return
        at = 0
        if self._after_cr and data[:1] == b"\n":
            at = 1
        self._after_cr = data[-1:] == b"\r"
        while (end := _LINE_END.search(data, at)) is not None:
            self._count(end.end() - at)
            line = data[at : end.start()]
            if self._line:
                line = bytes(self._line + line)
                self._line.clear()
            at = end.end()
            event = self._parse_line(line)
            self._size_before_line = self._event_size
            if event is not None:
                yield event
        if at < len(data):
            self._count(len(data) - at)
            self._line += data[at:]

    def _count(self, size: int) -> None:
        self._event_size += size
        if self._event_size > self._max_event:
            raise BodyTooLarge(
                f"an event has more than {self._max_event} bytes: raise max_event, if that is right"
            )

    def _parse_line(self, line: bytes) -> ServerSentEvent | None:
        """The event that this line completes, if it is empty."""
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_BOM)
        if not line:
            return self._dispatch()
        # Split before decoding, which UTF-8 allows, so that names and comments are not decoded.
        name, _, value = line.partition(b":")
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
            self._event_size = self._size_before_line  # a comment is not part of an event
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        self.last_event_id = self._id
        kind, data = self._type, self._data
        self._type, self._data, self._event_size = "", [], 0
        if not data:
            return None
        return ServerSentEvent(kind or "message", "\n".join(data), self.last_event_id)


def check_event_stream(content_type: str | None, url: object) -> None:
    """Raise `DecodeError` for any other Content-Type than an event stream's, as the specification requires."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type != "text/event-stream":
        given = f"says {content_type[:100]!r}" if content_type else "says nothing about its type"
        raise DecodeError(f"{show_url(url)} {given}, and is no text/event-stream")
