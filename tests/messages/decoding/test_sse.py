"""The parser of event streams: the examples of the specification, and any other input."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adieu.errors import BodyTooLarge, DecodeError, InvalidRequest
from adieu.messages.decoding.sse import EventParser, ServerSentEvent, check_event_stream
from support.growth import assert_linear

E = ServerSentEvent


def parsed(*pieces: bytes, max_event: int = 1000) -> list[ServerSentEvent]:
    parser = EventParser(max_event)
    return [event for piece in pieces for event in parser.feed(piece)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        # The examples of https://html.spec.whatwg.org/#event-stream-interpretation
        (
            b"data: YHOO\ndata: +2\ndata: 10\n\n",
            [E("message", "YHOO\n+2\n10", "")],
        ),
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            [
                E("message", "first event", "1"),
                E("message", "second event", ""),
                E("message", " third event", ""),
            ],
        ),
        (b"data\n\ndata\ndata\n\ndata:", [E("message", "", ""), E("message", "\n", "")]),
        (b"data:test\n\ndata: test\n\n", [E("message", "test", "")] * 2),
        # Types
        (b"event: add\ndata: 1\n\ndata: 2\n\n", [E("add", "1", ""), E("message", "2", "")]),
        (b"event: a\nevent:b\ndata: 1\n\n", [E("b", "1", "")]),
        (b"event: a\n\ndata: 1\n\n", [E("message", "1", "")]),
        # Ids
        (b"id: 7\ndata: 1\n\ndata: 2\n\n", [E("message", "1", "7"), E("message", "2", "7")]),
        (b"id: 7\n\ndata: 2\n\n", [E("message", "2", "7")]),
        (b"id: 7\n\nid: 8\0\ndata: 2\n\n", [E("message", "2", "7")]),
        (b"id: 7\n\nid:\ndata: 2\n\n", [E("message", "2", "")]),
        # Unknown fields, and comments
        (b"dat: 1\ndata : 2\nDATA: 3\n data: 4\ndata: 5\n\n", [E("message", "5", "")]),
        (b":\n: x\n:data: 1\ndata: 2\n\n", [E("message", "2", "")]),
        (b"data: a:b: c\n\n", [E("message", "a:b: c", "")]),
        # Line ends
        (b"data: 1\r\rdata: 2\r\r", [E("message", "1", ""), E("message", "2", "")]),
        (b"data: 1\r\n\r\ndata: 2\r\n\r\n", [E("message", "1", ""), E("message", "2", "")]),
        (b"data: 1\r\n\ndata: 2\n\r", [E("message", "1", ""), E("message", "2", "")]),
        ("data: a\u2028b\x0bc\x85\n\n".encode(), [E("message", "a\u2028b\x0bc\x85", "")]),
        # The byte order mark: one, at the beginning
        (b"\xef\xbb\xbfdata: 1\n\n", [E("message", "1", "")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: 1\n\ndata: 2\n\n", [E("message", "2", "")]),
        (b"\n\xef\xbb\xbfdata: 1\n\ndata: 2\n\n", [E("message", "2", "")]),
        # UTF-8, and invalid UTF-8
        ("data: größe 🎈\n\n".encode(), [E("message", "größe 🎈", "")]),
        (b"data: a\xffb\n\n", [E("message", "a\ufffdb", "")]),
        # An incomplete event is dropped.
        (b"data: 1\n\ndata: 2\n", [E("message", "1", "")]),
        (b"data: 1", []),
        (b"", []),
    ],
)
def test_a_stream_is_parsed_as_the_specification_says(
    stream: bytes, events: list[ServerSentEvent]
) -> None:
    assert parsed(stream) == events
    assert parsed(*[stream[at : at + 1] for at in range(len(stream))]) == events


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        (b"retry: 1500", 1.5),
        (b"retry:0", 0.0),
        (b"retry: 1.5", None),
        (b"retry: -1", None),
        (b"retry: ", None),
        (b"retry: 1s", None),
        ("retry: ٣".encode(), None),
    ],
)
def test_the_reconnection_time_is_made_of_digits(field: bytes, seconds: float | None) -> None:
    parser = EventParser(1000)
    assert list(parser.feed(field + b"\n")) == []
    assert parser.retry == seconds


def test_a_new_stream_keeps_the_last_id_and_drops_an_incomplete_event() -> None:
    parser = EventParser(1000, "3")
    assert parser.last_event_id == "3"
    assert list(parser.feed(b"id: 4\ndata: 1\n\nid: 5\ndata: half\nevent: x\nda")) == [
        E("message", "1", "4")
    ]
    assert parser.last_event_id == "4"
    parser.begin()
    assert list(parser.feed(b"\xef\xbb\xbfdata: 2\n\n")) == [E("message", "2", "4")]


def test_the_size_of_an_event_is_limited_without_its_comments() -> None:
    assert parsed(b"data: " + b"x" * 93 + b"\n\n", max_event=101)[0].data == "x" * 93
    for pieces in (
        [b"x" * 102],
        [b"x"] * 102,
        [b"data: 1\n"] * 13,
        [b"data: " + b"x" * 96 + b"\n"],
    ):
        with pytest.raises(BodyTooLarge, match="an event has more than 101 bytes: raise max_event"):
            parsed(*pieces, max_event=101)
    assert parsed(*[b": keep-alive\r\n"] * 1000, b"data: 1\n\n", max_event=101)
    assert len(parsed(*[b"data: 1\n\n"] * 1000, max_event=101)) == 1000


@pytest.mark.parametrize("bound", [0, -1, None, 1.5, "9"])
def test_an_invalid_limit_is_refused(bound: Any) -> None:
    with pytest.raises(InvalidRequest, match="max_event is a number of bytes"):
        EventParser(bound)


def test_data_is_json_or_it_is_an_error() -> None:
    assert E("message", '{"a": 1}', "").json() == {"a": 1}
    with pytest.raises(DecodeError, match=r"of type 'x' is not JSON: .* it begins with 'oops'"):
        E("x", "oops", "").json()


@pytest.mark.parametrize(
    "kind", ["text/event-stream", "Text/Event-Stream ; charset=utf-8", "text/event-stream;x"]
)
def test_the_type_of_an_event_stream_is_recognised(kind: str) -> None:
    check_event_stream(kind, "u")


@pytest.mark.parametrize("kind", [None, "", "text/html", "text/event-streams"])
def test_any_other_type_is_refused(kind: str | None) -> None:
    with pytest.raises(DecodeError, match="and is no text/event-stream"):
        check_event_stream(kind, "u")


_LINES = st.sampled_from(
    [
        b"data: x",
        b"data",
        b"id: 1",
        b"id: \0",
        b"event: e",
        b"retry: 9",
        b": c",
        b"",
        b"\xef\xbb\xbf",
    ]
)
_ENDS = st.sampled_from([b"\n", b"\r", b"\r\n", b""])


@given(st.lists(st.tuples(_LINES, _ENDS) | st.tuples(st.binary(max_size=9), _ENDS)), st.data())
def test_events_do_not_depend_on_the_pieces(
    lines: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(line + end for line, end in lines)
    whole = parsed(stream, max_event=10_000)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert parsed(*pieces, max_event=10_000) == whole


def test_a_long_line_in_single_bytes_takes_linear_time_and_little_memory() -> None:
    def parse(size: int) -> None:
        parser = EventParser(300_000)
        for _ in range(size):
            list(parser.feed(b"x"))
        list(parser.feed(b"\n"))

    assert_linear(parse, 20_000)
    tracemalloc.start()
    try:
        parse(200_000)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
