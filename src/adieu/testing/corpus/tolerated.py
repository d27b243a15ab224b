"""Replies that break the grammar and leave no doubt about the message: read once, and the connection is closed."""

from __future__ import annotations

from typing import Final

from adieu.testing.corpus.reply import CHUNKED, FIVE, OK, Reply, good

__all__ = ["TOLERATED"]

_REST: Final = FIVE + b"\r\nhello"
_CHUNKS: Final = b"5\r\nhello\r\n0\r\n\r\n"
_CL_AND_TE: Final = b"Content-Length: 7\r\nTransfer-Encoding: gzip, chunked\r\n"


def _read_once(
    name: str,
    raw: bytes,
    why: str,
    body: bytes = b"hello",
    *,
    status: int = 200,
    method: str = "GET",
) -> Reply:
    return good(name, raw, body, why, status=status, method=method, reusable=False)


def _chunks(name: str, body: bytes, why: str) -> Reply:
    return _read_once(f"chunk-{name}", OK + CHUNKED + b"\r\n" + body, why)


_LF: Final = "9112 2.2: a recipient may take a lone LF for the end of a line"
_FOLD: Final = "9112 5.2: a user agent replaces a fold by spaces"
_BWS: Final = "9110 5.6.3: white space that is not to be sent is read over"

TOLERATED = (
    _read_once("bare-lf-everywhere", b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", _LF),
    _read_once("bare-lf-after-status-line", b"HTTP/1.1 200 OK\n" + _REST, _LF),
    _read_once("bare-lf-after-field", OK + b"X-A: a\nX-B: b\r\n" + _REST, _LF),
    _read_once("bare-lf-as-the-empty-line", OK + FIVE + b"\nhello", _LF),
    _read_once(
        "bare-lf-before-a-body-with-an-empty-line",
        b"HTTP/1.1 200 OK\nContent-Length: 9\n\nhel\r\n\r\nlo",
        _LF,
        b"hel\r\n\r\nlo",
    ),
    _read_once("bare-lf-in-a-1xx", b"HTTP/1.1 100 Continue\n\n" + OK + _REST, _LF),
    _read_once("folded-value", OK + b"X-A: a\r\n b\r\n" + _REST, _FOLD),
    _read_once("folded-with-tab", OK + b"X-A: a\r\n\tb\r\n" + _REST, _FOLD),
    _read_once("folded-with-bare-lf", OK + b"X-A: a\n b\n" + _REST, _FOLD),
    _read_once("folded-into-a-length", OK + b"X-A: a\r\n Content-Length: 3\r\n" + _REST, _FOLD),
    _read_once("folded-blank-line", OK + b"X-A: a\r\n \r\n" + _REST, _FOLD),
    _read_once("length-folded", OK + b"Content-Length:\r\n 5\r\n\r\nhello", _FOLD),
    _read_once("coding-folded", OK + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + _CHUNKS, _FOLD),
    _read_once(
        "coding-in-http-1.0",
        b"HTTP/1.0 200 OK\r\n" + CHUNKED + b"\r\n" + _CHUNKS,
        "9112 6.1: processed, and the connection is closed after the message",
    ),
    _chunks("size-space-first", b" 5\r\nhello\r\n0\r\n\r\n", _BWS),
    _chunks("size-space-after", b"5 \r\nhello\r\n0\r\n\r\n", _BWS),
    _chunks("size-tab-after", b"5\t\r\nhello\r\n0\r\n\r\n", _BWS),
    _chunks("size-padded", b"5   \r\nhello\r\n0   \r\n\r\n", _BWS),
    _chunks("space-before-extension", b"5 ;a=b\r\nhello\r\n0\r\n\r\n", _BWS),
    _chunks("space-within-extension", b'5; a = "b c" ; d\r\nhello\r\n0\r\n\r\n', _BWS),
    # Framing fields where there is no content to frame
    _read_once(
        "head-with-a-bad-length",
        OK + b"Content-Length: x\r\n\r\n",
        "9112 6.3, rule 1: a response to HEAD ends with its head",
        b"",
        method="HEAD",
    ),
    _read_once("head-with-both", OK + _CL_AND_TE + b"\r\n", "9112 6.3, rule 1", b"", method="HEAD"),
    _read_once(
        "304-with-two-lengths",
        b"HTTP/1.1 304 Not Modified\r\n" + FIVE + b"Content-Length: 6\r\n\r\n",
        "9112 6.3, rule 1",
        b"",
        status=304,
    ),
    _read_once(
        "204-with-both",
        b"HTTP/1.1 204 No Content\r\n" + _CL_AND_TE + b"\r\n",
        "9112 6.3, rule 1",
        b"",
        status=204,
    ),
    _read_once(
        "100-with-a-bad-length",
        b"HTTP/1.1 100 Continue\r\nContent-Length: x\r\n\r\n" + OK + _REST,
        "9112 6.3, rule 1: a 1xx ends with its head",
    ),
)
