"""The two codecs read the same bytes alike, however they are split: adieu's own, and h11's with adieu's checks.

The differences that are left are in `support.codecs.alike`, each with its reason.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adieu.testing import REPLIES, Reply
from support.codecs import CODECS, alike, read, split


@pytest.mark.parametrize("kind", CODECS)
@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: reply.name)
def test_what_a_reply_means_does_not_depend_on_its_pieces(reply: Reply, kind: str) -> None:
    data = reply.raw
    whole = read(kind, reply.request_method, [data], reply.closes)
    assert whole.error == (reply.verdict == "error"), reply.why
    if not whole.error:
        assert (whole.status, whole.body, whole.reusable) == (
            reply.status,
            reply.body,
            reply.reusable,
        )
    for size in (1, 7) if len(data) < 20_000 else (1000,):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        # What comes after the end is surplus, whether the codec has seen it or not.
        if not reply.name.startswith("surplus"):
            assert read(kind, reply.request_method, pieces, reply.closes) == whole


LINES = st.sampled_from(
    [
        b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"content-length:  7 \r\n", b"Content-Length: 5, 5\r\n",
        b"Content-Length: x\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: Chunked\r\n",
        b"Transfer-Encoding: gzip\r\n", b"Connection: close\r\n", b"Connection: keep-alive, x\r\n",
        b"Keep-Alive: timeout=5\r\n", b"Set-Cookie: a=b\r\n", b"Set-Cookie: c=d\r\n", b"X-A: a\r\n b\r\n", b"X-A:\r\n",
        b"X-B: \t c \t\r\n", b"X-C: a\n", b"X-D : a\r\n", b"X E: a\r\n", b"X-F\r\n", b": a\r\n", b"X-G: a\rb\r\n",
        b"X-H: \0\r\n", b"X-I: \xff\r\n", b"Upgrade: x\r\n", b" X-J: a\r\n",
    ]
)  # fmt: skip
STATUS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 204 No\r\n",
        b"HTTP/1.1 304 Not\r\n", b"HTTP/1.1 404 \r\n", b"HTTP/1.1 200\r\n", b"HTTP/1.1 101 Switch\r\n",
        b"HTTP/1.1 200 OK\n", b"HTTP/1.2 200 OK\r\n", b"HTTP/2.0 200 OK\r\n", b"HTTP/1.1  200 OK\r\n",
    ]
)  # fmt: skip
INTERIM = st.sampled_from(
    [
        b"",
        b"",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 X\r\nA: b\r\n\r\n",
        b"HTTP/1.1 100 C\n\n",
    ]
)
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"])
CHUNKS = st.lists(
    st.sampled_from(
        [
            b"5\r\nhello\r\n", b"1\r\nx\r\n", b"0\r\n\r\n", b"0\r\n", b"\r\n", b"A-B: c\r\n",
            b"a;b=c\r\n0123456789\r\n", b" 2 \r\nxy\r\n", b'3 ; q="a b"\r\nabc\r\n', b"5\nhello\r\n",
            b"-1\r\n", b"g\r\n", b"2\r\nxyz\r\n", b";a\r\n", b"5;\r\nhello\r\n", b"5;=\r\nhello\r\n",
        ]
    ),
    max_size=6,
).map(b"".join)  # fmt: skip
BODIES = st.one_of(st.sampled_from([b"", b"hello", b"hello!!", b"hel"]), CHUNKS)
REPLY = st.tuples(INTERIM, STATUS, st.lists(LINES, max_size=4).map(b"".join), ENDS, BODIES).map(
    b"".join
)
METHODS = st.sampled_from(["GET", "GET", "GET", "HEAD", "CONNECT"])
PLACES = st.lists(st.integers(0, 400), max_size=6)


@given(
    METHODS,
    st.one_of(REPLY, st.tuples(REPLY, st.binary(max_size=8)).map(b"".join)),
    PLACES,
    st.booleans(),
)
@example("GET", b"HTTP/1.0 100 C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", [], True)
@example(
    "GET",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nab\r\n2\r\ncd\r\n2\r\nef\r\n2;x\r\n\r\n\r\n2\r\ngh\r\n2\r\n2\r\r\n2\r\nij\r\n0\r\n\r\n",
    [],
    False,
)
@example("GET", b"HTTP/1.1 200 OK\nContent-Length: 9\n\nhel\r\n\r\nlo", [], True)
def test_both_codecs_read_the_same(
    method: str, data: bytes, places: list[int], closes: bool
) -> None:
    pieces = split(data, places)
    native = read("native", method, pieces, closes, "x")
    assert native == read("native", method, [data] if data else [], closes, "x")
    assert alike(native) == alike(read("h11", method, pieces, closes, "x"))
