"""Chunked bodies that go wrong after a good head (RFC 9112, sections 7.1 and 8)."""

from __future__ import annotations

from typing import Final

from adieu.testing.corpus.reply import CHUNKED, OK, Reply, bad

__all__ = ["BAD_BODIES"]

_LAST: Final = b"0\r\n\r\n"
_HELLO: Final = b"5\r\nhello\r\n"


def _chunks(name: str, body: bytes, why: str) -> Reply:
    return bad(f"chunk-{name}", OK + CHUNKED + b"\r\n" + body, why)


def _size(name: str, size: bytes, why: str = "9112 7.1: 1*HEXDIG") -> Reply:
    return _chunks(f"size-{name}", size + b"\r\nhello\r\n" + _LAST, why)


BAD_BODIES = (
    _size("negative", b"-5"),
    _size("plus", b"+5"),
    _size("prefixed", b"0x5"),
    _size("underscore", b"0_5", "9112 7.1; Python's int() takes it"),
    _size("other-digits", b"\xd9\xa5", "9112 7.1; Python's int() takes it"),
    _size("empty", b""),
    _size("word", b"five"),
    _size("space-inside", b"0 5"),
    _size("semicolon-first", b";x=y"),
    _size("nul", b"5\0"),
    _size("huge", b"F" * 30, "9112 7.1: sizes that do not fit are guarded against"),
    _size("over-64-bits", b"10000000000000005", "9112 7.1: 2**64 + 5 must not become 5"),
    _size("many-zeros", b"0" * 5000 + b"5", "9112 7.1: parsers must bound their number"),
    _chunks("size-ends-in-lf", b"5\nhello\r\n" + _LAST, "9112 7.1: CRLF"),
    _chunks("size-ends-in-cr", b"5\rhello\r\n" + _LAST, "9112 7.1: CRLF"),
    _chunks("size-ends-in-two-crs", b"5\r\r\nhello\r\n" + _LAST, "9112 7.1: CRLF"),
    _chunks(
        "extension-with-lf",
        b"5;x\nhello\r\n0\r\n\r\n",
        "9112 7.1.1: some end the line here, some do not",
    ),
    _chunks("extension-with-lf-inside", b"5;x\ny\r\nhello\r\n" + _LAST, "9112 7.1.1"),
    _chunks("extension-with-cr-inside", b"5;x\ry\r\nhello\r\n" + _LAST, "9112 7.1.1, 2.2"),
    _chunks("extension-with-nul", b"5;x\0y\r\nhello\r\n" + _LAST, "9112 7.1.1"),
    _chunks(
        "extension-of-a-megabyte",
        b"5;" + b"x" * (1 << 20) + b"\r\nhello\r\n" + _LAST,
        "9112 7.1.1: a bound on their length",
    ),
    _chunks("data-too-long", b"5\r\nhello!\r\n" + _LAST, "9112 7.1: CRLF after the data"),
    _chunks("data-too-short", b"6\r\nhello\r\n" + _LAST, "9112 7.1: CRLF after the data"),
    _chunks("data-ends-in-lf", b"5\r\nhello\n" + _LAST, "9112 7.1: CRLF"),
    _chunks("data-ends-in-cr", b"5\r\nhello\r" + _LAST, "9112 7.1: CRLF"),
    _chunks("data-without-end", b"5\r\nhello" + _LAST, "9112 7.1: CRLF"),
    _chunks("last-ends-in-lf", _HELLO + b"0\n\n", "9112 7.1: CRLF"),
    _chunks("last-then-lf", _HELLO + b"0\r\n\n", "9112 7.1: CRLF"),
    _chunks("last-then-junk", _HELLO + b"0\r\nX", "9112 7.1: trailer fields or CRLF"),
    _chunks("cut-before-size", _HELLO, "9112 8: no last chunk"),
    _chunks("cut-at-once", b"", "9112 8"),
    _chunks("cut-in-size", _HELLO + b"1", "9112 8"),
    _chunks("cut-in-data", _HELLO + b"6\r\nwor", "9112 8"),
    _chunks("cut-after-data", b"5\r\nhello", "9112 8"),
    _chunks("cut-in-last-size", _HELLO + b"0\r", "9112 8"),
    _chunks("cut-after-last-size", _HELLO + b"0\r\n", "9112 8: the trailer section has no end"),
    _chunks("cut-in-last-crlf", _HELLO + b"0\r\n\r", "9112 8"),
    _chunks("cut-in-trailer", _HELLO + b"0\r\nX-Sum: 1", "9112 8"),
    _chunks("cut-after-trailer", _HELLO + b"0\r\nX-Sum: 1\r\n", "9112 8"),
    _chunks("trailer-without-colon", _HELLO + b"0\r\nX-Sum 1\r\n\r\n", "9112 5"),
    _chunks("trailer-space-before-colon", _HELLO + b"0\r\nX-Sum : 1\r\n\r\n", "9112 5.1"),
    _chunks("trailer-folded", _HELLO + b"0\r\nX-Sum: 1\r\n 2\r\n\r\n", "9112 5.2"),
    _chunks("trailer-with-nul", _HELLO + b"0\r\nX-Sum: \0\r\n\r\n", "9110 5.5"),
    _chunks("trailer-ends-in-lf", _HELLO + b"0\r\nX-Sum: 1\n\n", "9112 2.2"),
    _chunks(
        "trailer-of-a-megabyte",
        _HELLO + b"0\r\nX-Sum: " + b"1" * (1 << 20) + b"\r\n\r\n",
        "9110 5.4",
    ),
)
