"""Replies whose message the client must deliver, and whether the connection may be reused."""

from __future__ import annotations

from adieu.testing.corpus.reply import CHUNKED, FIVE, OK, good

__all__ = ["GOOD"]

_HELLO = OK + FIVE + b"\r\nhello"

GOOD = (
    # Lengths
    good("length", _HELLO, b"hello", "9112 6.2"),
    good("length-zero", OK + b"Content-Length: 0\r\n\r\n", b"", "9112 6.2"),
    good(
        "length-leading-zeros",
        OK + b"Content-Length: 0005\r\n\r\nhello",
        b"hello",
        "9110 8.6: 1*DIGIT",
    ),
    good(
        "length-no-space-after-colon",
        OK + b"Content-Length:5\r\n\r\nhello",
        b"hello",
        "9112 5: whitespace is optional",
    ),
    good(
        "length-whitespace-around",
        OK + b"Content-Length: \t 5 \t \r\n\r\nhello",
        b"hello",
        "9112 5.1: whitespace around a value is not part of it",
    ),
    good("length-name-in-capitals", OK + b"CONTENT-LENGTH: 5\r\n\r\nhello", b"hello", "9110 5.1"),
    good(
        "length-repeated-equal",
        OK + FIVE + FIVE + b"\r\nhello",
        b"hello",
        "9112 6.3: equal lengths count as one",
    ),
    good(
        "length-list-equal",
        OK + b"Content-Length: 5, 5\r\n\r\nhello",
        b"hello",
        "9112 6.3: a list of equal lengths counts as one",
    ),
    # Chunks
    good(
        "chunked",
        OK + CHUNKED + b"\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
        b"hello world",
        "9112 7.1",
    ),
    good("chunked-empty", OK + CHUNKED + b"\r\n0\r\n\r\n", b"", "9112 7.1"),
    good(
        "chunked-in-capitals",
        OK + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"hello",
        "9112 7: names of codings have no case",
    ),
    good(
        "chunked-size-in-either-case",
        OK + CHUNKED + b"\r\na\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
        b"01234567890123456789",
        "9112 7.1: HEXDIG",
    ),
    good(
        "chunked-size-leading-zeros",
        OK + CHUNKED + b"\r\n0005\r\nhello\r\n000\r\n\r\n",
        b"hello",
        "9112 7.1: 1*HEXDIG, and a last chunk is 1*0",
    ),
    good(
        "chunked-extensions",
        OK + CHUNKED + b'\r\n5;name;key=value;quoted="a;b"\r\nhello\r\n0;last\r\n\r\n',
        b"hello",
        "9112 7.1.1: extensions that are not understood are ignored",
    ),
    good(
        "chunked-trailers",
        OK + CHUNKED + b"Trailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-B: 2\r\n\r\n",
        b"hello",
        "9112 7.1.2",
    ),
    good(
        "chunked-trailer-with-a-length",
        OK + CHUNKED + b"\r\n5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n",
        b"hello",
        "9110 6.5.1: framing is not taken from a trailer",
    ),
    good(
        "chunked-trailer-with-a-wrong-length",
        OK + CHUNKED + b"\r\n5\r\nhello\r\n0\r\nContent-Length: x\r\n\r\n",
        b"hello",
        "9110 6.5.1: framing is not taken from a trailer",
    ),
    # The end of the stream as the end of the body
    good(
        "until-close",
        OK + b"\r\nhello",
        b"hello",
        "9112 6.3, rule 8",
        closes=True,
        reusable=False,
    ),
    good("until-close-empty", OK + b"\r\n", b"", "9112 6.3", closes=True, reusable=False),
    # Connection: close, and HTTP/1.0
    good(
        "connection-close",
        OK + b"Connection: close\r\n" + FIVE + b"\r\nhello",
        b"hello",
        "9112 9.6",
        closes=True,
        reusable=False,
    ),
    good(
        "connection-close-among-others",
        OK + b"Connection: x-foo, Close\r\n" + FIVE + b"\r\nhello",
        b"hello",
        "9110 7.6.1: a list, without case",
        reusable=False,
    ),
    good(
        "connection-close-beats-keep-alive",
        OK + b"Connection: keep-alive\r\nConnection: close\r\n" + FIVE + b"\r\nhello",
        b"hello",
        "9112 9.3: close is asked for first",
        reusable=False,
    ),
    good(
        "connection-closed-is-not-close",
        OK + b"Connection: closed\r\n" + FIVE + b"\r\nhello",
        b"hello",
        "9110 7.6.1: an unknown option",
    ),
    good(
        "http-1.0",
        b"HTTP/1.0 200 OK\r\n" + FIVE + b"\r\nhello",
        b"hello",
        "9112 9.3",
        closes=True,
        reusable=False,
    ),
    good(
        "http-1.0-until-close",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"hello",
        "9112 6.3",
        closes=True,
        reusable=False,
    ),
    good(
        "http-1.0-keep-alive",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + FIVE + b"\r\nhello",
        b"hello",
        "9112 9.3: honouring it is a wish; its framing has hung clients (9112 C.2.2)",
        reusable=False,
    ),
    good(
        "http-1.2",
        b"HTTP/1.2 200 OK\r\n" + FIVE + b"\r\nhello",
        b"hello",
        "9110 2.5: a higher minor version is read as the highest one known",
    ),
    # Status lines and fields
    good(
        "no-reason",
        b"HTTP/1.1 200 \r\n" + FIVE + b"\r\nhello",
        b"hello",
        "9112 4: the reason is optional, its space is not",
    ),
    good(
        "no-reason-and-no-space",
        b"HTTP/1.1 200\r\n" + FIVE + b"\r\nhello",
        b"hello",
        "9112 4: against the grammar, but common and without any doubt about what it means",
    ),
    good(
        "reason-of-other-bytes",
        b"HTTP/1.1 200 d\xe9j\xe0 vu\t!\r\n" + FIVE + b"\r\nhello",
        b"hello",
        "9112 4: a reason may have obs-text and tabs",
    ),
    good(
        "status-404",
        b"HTTP/1.1 404 Not Found\r\n" + FIVE + b"\r\nhello",
        b"hello",
        "9110 15: an error of the application is a message like any other",
        status=404,
    ),
    good(
        "status-999",
        b"HTTP/1.1 999 Denied\r\n" + FIVE + b"\r\nhello",
        b"hello",
        "9110 15: from 600 on a status is processed as a 5xx, not refused",
        status=999,
    ),
    good(
        "field-value-of-other-bytes",
        OK + b"X-Name: d\xe9j\xe0 \xff\r\n" + FIVE + b"\r\nhello",
        b"hello",
        "9110 5.5: obs-text is opaque",
    ),
    good(
        "field-value-empty",
        OK + b"X-Empty:\r\nX-Blank: \t\r\n" + FIVE + b"\r\nhello",
        b"hello",
        "9110 5.5",
    ),
    good(
        "field-name-of-odd-characters",
        OK + b"!#$%&'*+-.^_`|~9: odd\r\n" + FIVE + b"\r\nhello",
        b"hello",
        "9110 5.6.2: all of these are token characters",
    ),
    good(
        "head-of-8000-bytes",
        OK + b"X-Long: " + b"x" * 8000 + b"\r\n" + FIVE + b"\r\nhello",
        b"hello",
        "9112 3 recommends 8000 for a line; a client that takes less breaks on real cookies",
    ),
    good(
        "80-fields",
        OK + b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(80)) + FIVE + b"\r\nhello",
        b"hello",
        "9110 5.4",
    ),
    # Informational responses first
    good(
        "100-first",
        b"HTTP/1.1 100 Continue\r\n\r\n" + _HELLO,
        b"hello",
        "9110 15.2: a client parses 1xx it did not ask for",
    ),
    good(
        "several-1xx-first",
        b"HTTP/1.1 102 Processing\r\n\r\n" * 3
        + b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
        + b"HTTP/1.1 199 Unheard Of\r\n\r\n"
        + _HELLO,
        b"hello",
        "9110 15.2: one or more, known or not",
    ),
    # Without a body
    good("head-with-length", OK + FIVE + b"\r\n", b"", "9112 6.3, rule 1", method="HEAD"),
    good("head-chunked", OK + CHUNKED + b"\r\n", b"", "9112 6.3, rule 1", method="HEAD"),
    good("head-without-length", OK + b"\r\n", b"", "9112 6.3, rule 1", method="HEAD"),
    good("204", b"HTTP/1.1 204 No Content\r\n\r\n", b"", "9112 6.3, rule 1", status=204),
    good(
        "204-length-zero",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        b"",
        "9110 8.6: forbidden, common, and true",
        status=204,
    ),
    good(
        "204-length-five",
        b"HTTP/1.1 204 No Content\r\n" + FIVE + b"\r\n",
        b"",
        "9112 6.3 ends it here, 9110 8.6 forbids the length: five bytes may be on their way",
        status=204,
        reusable=False,
    ),
    good(
        "204-chunked",
        b"HTTP/1.1 204 No Content\r\n" + CHUNKED + b"\r\n",
        b"",
        "9112 6.3 ends it here, 9112 6.1 forbids the coding: the last chunk may be on its way",
        status=204,
        reusable=False,
    ),
    good("304", b"HTTP/1.1 304 Not Modified\r\n\r\n", b"", "9112 6.3, rule 1", status=304),
    good(
        "304-with-length",
        b"HTTP/1.1 304 Not Modified\r\n" + FIVE + b"\r\n",
        b"",
        "9110 8.6: the length that a 200 would have had",
        status=304,
    ),
)
