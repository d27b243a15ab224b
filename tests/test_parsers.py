"""Untrusted input: every parser returns a result or raises an error of adieu, in linear time and bounded memory.

The parsers are in a table, `support.parsers`. Other tests are about the meaning of valid input. Here the words of each
parser's grammar are put together at random, and each is repeated many thousand times, which makes a quadratic parser
slow. `fuzz` runs the same table with a coverage-guided fuzzer.
"""

from __future__ import annotations

import tracemalloc
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.growth import assert_linear
from support.parsers import GZIP, PARSERS, Parser, attempt
from support.whole_reply import check_reply


def phrases(parser: Parser) -> st.SearchStrategy[Any]:
    """Words of the grammar in any order, with noise between them."""
    words = st.sampled_from(parser.words)
    if isinstance(parser.words[0], bytes):
        return st.lists(words | st.binary(max_size=12), max_size=24).map(b"".join)
    return st.lists(words | st.text(max_size=12), max_size=24).map("".join)


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_input_is_parsed_or_refused(name: str, data: st.DataObject) -> None:
    parser = PARSERS[name]
    attempt(parser, data.draw(phrases(parser)))


STATUSES = st.sampled_from(
    [b"HTTP/1.%b\r\n" % line for line in (b"1 200 OK", b"0 200 OK", b"1 302 F", b"1 401 U", b"1 503 S", b"1 204 N")]
    + [b"HTTP/1.1 101 S\r\n", b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\n", b"HTTP/2 200\r\n"]
)  # fmt: skip
FIELDS = st.sampled_from(
    [
        b"Location: /x\r\n", b"Location: http://u:p@b\xff/\r\n", b"Location: file:///x\r\n", b"Retry-After: 0\r\n",
        b"Set-Cookie: a=b; Path=/\r\n", b"Set-Cookie: \xff=; Expires=Sun\r\n", b"Content-Length: 3\r\n",
        b"Content-Length: 9, 9\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n",
        b"Content-Encoding: gzip\r\n", b"Content-Encoding: deflate, br\r\n", b"Content-Type: application/json\r\n",
        b'WWW-Authenticate: Digest realm="r", nonce="n", qop=auth\r\n', b"WWW-Authenticate: Digest \xff=\r\n",
        b"Content-Type: text/html; charset=\xe4\r\n", b"Content-Type: text/event-stream\r\n", b"Upgrade: a\r\n",
        b"Link: <a>; rel=next, <\r\n", b"Connection: close\r\n", b"Keep-Alive: timeout=x\r\n", b": \r\n", b" a\r\n",
    ]
)  # fmt: skip
BODIES = st.sampled_from(
    [b"abc", b"3\r\nabc\r\n", b"0\r\n\r\n", b"{}", GZIP, b"data: a\n\n", b"\xff", b"\r\n"]
)
NOISE = st.binary(max_size=6)
REPLIES = st.lists(
    st.builds(
        lambda status, fields, noise, body: b"".join([status, *fields, noise, b"\r\n", *body]),
        STATUSES,
        st.lists(FIELDS, max_size=6),
        st.just(b"") | st.just(b"") | NOISE,
        st.lists(BODIES | NOISE, max_size=4),
    ),
    max_size=2,
).map(b"".join)


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(reply=REPLIES, piece=st.sampled_from([1, 7, 65_536]))
def test_every_reply_of_a_server_is_a_response_or_an_error_of_adieu(
    reply: bytes, piece: int
) -> None:
    check_reply(reply, piece)


def repeated(word: Any, size: int) -> Any:
    return word * (size // len(word))


# The limit for a head and for a URL.
_SIZE = 64 * 1024


@pytest.mark.parametrize("name", PARSERS)
def test_the_time_is_linear_in_the_size_of_the_input(name: str) -> None:
    parser = PARSERS[name]

    def parse(word: Any, size: int) -> None:
        attempt(parser, repeated(word, size))

    for word in parser.words:
        assert_linear(partial(parse, word), _SIZE // 8)


@pytest.mark.parametrize("name", PARSERS)
def test_memory_is_bounded_by_the_size_of_the_input(name: str) -> None:
    parser = PARSERS[name]
    # Once before the measurement, for imports and caches.
    attempt(parser, repeated(parser.words[0], 100))
    heavy = []
    tracemalloc.start()
    try:
        for word in parser.words:
            given = repeated(word, _SIZE // 8)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            attempt(parser, given)
            grown = tracemalloc.get_traced_memory()[1] - before
            # At most an object for each byte and the text of an error.
            if grown > 300 * len(given) + 100_000:
                heavy.append((word, grown))
    finally:
        tracemalloc.stop()
    assert not heavy
