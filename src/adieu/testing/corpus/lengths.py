"""Framing that two recipients could read in two ways: lengths and codings (RFC 9112, section 6)."""

from __future__ import annotations

from typing import Final

from adieu.testing.corpus.reply import CHUNKED, FIVE, OK, Reply, bad

__all__ = ["BAD_LENGTHS"]

_CHUNKS: Final = b"5\r\nhello\r\n0\r\n\r\n"
_UNRECOVERABLE: Final = "9112 6.3, rule 5: an invalid length is an unrecoverable error"


def _length(name: str, value: bytes, why: str = _UNRECOVERABLE) -> Reply:
    return bad(f"length-{name}", OK + b"Content-Length: " + value + b"\r\n\r\nhello", why)


def _coding(name: str, value: bytes, why: str) -> Reply:
    return bad(f"coding-{name}", OK + b"Transfer-Encoding: " + value + b"\r\n\r\n" + _CHUNKS, why)


BAD_LENGTHS = (
    bad("lengths-differ", OK + FIVE + b"Content-Length: 6\r\n\r\nhello!", _UNRECOVERABLE),
    bad(
        "lengths-differ-reversed",
        OK + b"Content-Length: 6\r\n" + FIVE + b"\r\nhello!",
        _UNRECOVERABLE,
    ),
    bad("lengths-differ-in-zeros", OK + FIVE + b"Content-Length: 05\r\n\r\nhello", "9110 8.6"),
    _length("list-differs", b"5, 6"),
    _length(
        "list-with-an-empty-member", b"5,", "9110 5.6.1 forgives it in lists, and this is none"
    ),
    _length("list-of-nothing", b","),
    _length("empty", b""),
    _length("negative", b"-5"),
    _length("plus", b"+5"),
    _length("hexadecimal", b"0x5"),
    _length("underscore", b"0_5", _UNRECOVERABLE + "; Python's int() takes it"),
    _length("other-digits", b"\xd9\xa5", _UNRECOVERABLE + "; Python's int() takes it"),
    _length("fraction", b"5.0"),
    _length("exponent", b"5e0"),
    _length("word", b"five"),
    _length("quoted", b'"5"'),
    _length("two-numbers", b"5 5"),
    _length("semicolon", b"5;x=y"),
    _length("vertical-tab", b"\x0b5", "9110 5.6.3: whitespace is SP and HTAB"),
    _length("huge", b"9" * 30, "9112 6.3: beyond any integer is truncated at best"),
    _length("over-64-bits", b"18446744073709551621", "9110 8.6: 2**64 + 5 must not become 5"),
    bad("length-space-before-colon", OK + b"Content-Length : 5\r\n\r\nhello", "9112 5.1"),
    bad("length-truncated", OK + b"Content-Length: 10\r\n\r\nhello", "9112 8"),
    bad("length-truncated-at-once", OK + FIVE + b"\r\n", "9112 8"),
    bad(
        "coding-and-length",
        OK + CHUNKED + FIVE + b"\r\n" + _CHUNKS,
        "9112 6.3, rule 3: ought to be handled as an error",
    ),
    bad("length-and-coding", OK + FIVE + CHUNKED + b"\r\n" + _CHUNKS, "9112 6.3, rule 3"),
    bad("coding-twice", OK + CHUNKED + CHUNKED + b"\r\n" + _CHUNKS, "9112 6.1: chunked once"),
    _coding("list-of-chunked", b"chunked, chunked", "9112 6.1: chunked once"),
    _coding("identity", b"identity", "9112 7: not a coding since RFC 7230"),
    _coding("identity-chunked", b"identity, chunked", "9112 7"),
    _coding("gzip", b"gzip", "9112 6.1: not asked for with TE"),
    _coding("gzip-chunked", b"gzip, chunked", "9112 6.1"),
    _coding("chunked-gzip", b"chunked, gzip", "9112 6.1: chunked comes last"),
    _coding("unknown", b"xchunked", "9112 6.1"),
    _coding("quoted", b'"chunked"', "9112 7: a token"),
    _coding("parameter", b"chunked;q=1", "9112 7.1: chunked has no parameters"),
    _coding("empty", b"", "9112 6.1"),
    _coding("trailing-comma", b"chunked,", "9110 5.6.1 forgives it; framing is no place for that"),
    _coding("vertical-tab", b"\x0bchunked", "9110 5.6.3: whitespace is SP and HTAB"),
    bad(
        "coding-space-before-colon",
        OK + b"Transfer-Encoding : chunked\r\n\r\n" + _CHUNKS,
        "9112 5.1",
    ),
)
