"""Complete messages with surplus bytes after them: the client delivers the message and closes the connection.

The surplus must not become the response to the next request (RFC 9112, section 6.3).
"""

from __future__ import annotations

from typing import Final

from adieu.testing.corpus.reply import CHUNKED, FIVE, OK, good

__all__ = ["SURPLUS"]

_HELLO: Final = OK + FIVE + b"\r\nhello"

SURPLUS = (
    good(
        "surplus-after-length",
        _HELLO + b"more",
        b"hello",
        "9112 6.3: not another response",
        reusable=False,
    ),
    good(
        "surplus-after-length-zero",
        OK + b"Content-Length: 0\r\n\r\nmore",
        b"",
        "9112 6.3",
        reusable=False,
    ),
    good(
        "surplus-after-chunked",
        OK + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\nmore",
        b"hello",
        "9112 6.3",
        reusable=False,
    ),
    good(
        "surplus-of-an-empty-line",
        _HELLO + b"\r\n",
        b"hello",
        "9112 2.2 forgives it before a request, nothing does before a response",
        reusable=False,
    ),
    good(
        "surplus-of-a-whole-response",
        _HELLO + OK + FIVE + b"\r\nstray",
        b"hello",
        "9112 6.3: a response without a request",
        reusable=False,
    ),
    good(
        "surplus-of-a-100",
        _HELLO + b"HTTP/1.1 100 Continue\r\n\r\n",
        b"hello",
        "9110 15.2: interim responses come before the final one",
        reusable=False,
    ),
    good(
        "surplus-body-on-head",
        _HELLO,
        b"",
        "9112 6.3, rule 1: what follows a reply to HEAD is no body",
        method="HEAD",
        reusable=False,
    ),
    good(
        "surplus-body-on-204",
        b"HTTP/1.1 204 No Content\r\n" + FIVE + b"\r\nhello",
        b"",
        "9112 6.3, rule 1",
        status=204,
        reusable=False,
    ),
    good(
        "surplus-body-on-304",
        b"HTTP/1.1 304 Not Modified\r\n" + FIVE + b"\r\nhello",
        b"",
        "9112 6.3, rule 1",
        status=304,
        reusable=False,
    ),
)
