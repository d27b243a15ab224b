"""Heads that a strict client refuses: status lines, line ends, fields (RFC 9112, 2 to 5)."""

from __future__ import annotations

from typing import Final

from adieu.testing.corpus.reply import FIVE, OK, bad

__all__ = ["BAD_HEADS"]

_REST: Final = FIVE + b"\r\nhello"

BAD_HEADS = (
    # Not HTTP at all
    bad("nothing", b"", "9112 8: closed without a reply"),
    bad("http-0.9", b"<html>hello</html>\n", "9112 4: no status line"),
    bad("ssh-banner", b"SSH-2.0-OpenSSH_9.2p1\r\n", "9112 4"),
    bad("smtp-banner", b"220 mail.example.org ESMTP\r\n", "9112 4"),
    bad("tls-alert", b"\x15\x03\x01\x00\x02\x02\x46", "9112 4: TLS on a plain port"),
    bad("http-2-settings", b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", "9113 3.4"),
    bad("other-protocol", b"RTSP/1.0 200 OK\r\n" + _REST, "9112 2.3: the name is HTTP"),
    bad("shoutcast", b"ICY 200 OK\r\n" + _REST, "9112 2.3"),
    # Status lines
    bad("status-line-cut", b"HTTP/1.1 200", "9112 8: the head has no end"),
    bad("status-line-alone", b"HTTP/1.1 200 OK\r\n", "9112 8"),
    bad("name-misspelt", b"HTP/1.1 200 OK\r\n" + _REST, "9112 2.3"),
    bad("name-in-small-letters", b"http/1.1 200 OK\r\n" + _REST, "9112 2.3: it has case"),
    bad("version-2.0", b"HTTP/2.0 200 OK\r\n" + _REST, "9110 2.5: another major version"),
    bad("version-0.9", b"HTTP/0.9 200 OK\r\n" + _REST, "9110 2.5"),
    bad("version-of-two-digits", b"HTTP/1.10 200 OK\r\n" + _REST, "9112 2.3: DIGIT.DIGIT"),
    bad("version-without-minor", b"HTTP/1 200 OK\r\n" + _REST, "9112 2.3"),
    bad("no-version", b"HTTP 200 OK\r\n" + _REST, "9112 2.3"),
    bad("status-of-two-digits", b"HTTP/1.1 99 X\r\n" + _REST, "9112 4: 3DIGIT"),
    bad("status-of-four-digits", b"HTTP/1.1 2000 X\r\n" + _REST, "9112 4"),
    bad("status-below-100", b"HTTP/1.1 099 X\r\n" + _REST, "9110 15: 100 is the first"),
    bad("status-of-letters", b"HTTP/1.1 abc X\r\n" + _REST, "9112 4"),
    bad("status-negative", b"HTTP/1.1 -20 X\r\n" + _REST, "9112 4"),
    bad(
        "status-of-other-digits",
        b"HTTP/1.1 \xd9\xa2\xd9\xa0\xd9\xa0 OK\r\n" + _REST,
        "9112 4: DIGIT",
    ),
    bad("status-missing", b"HTTP/1.1 OK\r\n" + _REST, "9112 4"),
    bad("reason-glued-on", b"HTTP/1.1 200OK\r\n" + _REST, "9112 4: SP"),
    bad("two-spaces-before-status", b"HTTP/1.1  200 OK\r\n" + _REST, "9112 4: a single SP"),
    bad("tab-before-status", b"HTTP/1.1\t200 OK\r\n" + _REST, "9112 4: SP"),
    bad("nul-in-reason", b"HTTP/1.1 200 O\0K\r\n" + _REST, "9112 4"),
    bad("bare-cr-in-reason", b"HTTP/1.1 200 O\rK\r\n" + _REST, "9112 2.2"),
    bad("empty-line-first", b"\r\n" + OK + _REST, "9112 2.2 forgives it before requests only"),
    bad("space-first", b" " + OK + _REST, "9112 4"),
    bad("byte-order-mark-first", b"\xef\xbb\xbf" + OK + _REST, "9112 4"),
    bad("switching-unasked", b"HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\nhello", "9110 7.8"),
    bad("only-a-100", b"HTTP/1.1 100 Continue\r\n\r\n", "9110 15.2: no final response"),
    bad(
        "body-on-a-1xx",
        b"HTTP/1.1 103 Early Hints\r\n" + FIVE + b"\r\nhello" + OK + _REST,
        "9112 6.3, rule 1: a 1xx ends with its head, and then this is no status line",
    ),
    bad(
        "ten-thousand-1xx",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000 + OK + _REST,
        "9110 15.2 has no bound, so the client needs one",
    ),
    # Line ends
    bad("bare-cr-everywhere", b"HTTP/1.1 200 OK\rContent-Length: 5\r\rhello", "9112 2.2"),
    bad("bare-cr-in-value", OK + b"X-A: a\rX-B: b\r\n" + _REST, "9112 2.2, 9110 5.5"),
    bad("two-crs-at-line-end", OK + b"X-A: a\r\r\n" + _REST, "9112 2.2"),
    bad("bare-cr-in-name", OK + b"X\r-A: a\r\n" + _REST, "9112 2.2"),
    # Fields
    bad("nul-in-value", OK + b"X-A: a\0b\r\n" + _REST, "9110 5.5"),
    bad("nul-in-name", OK + b"X\0A: a\r\n" + _REST, "9110 5.1"),
    bad("vertical-tab-around-value", OK + b"X-A: \x0ba\r\n" + _REST, "9110 5.6.3: SP and HTAB"),
    bad("form-feed-in-value", OK + b"X-A: a\x0cb\r\n" + _REST, "9110 5.5"),
    bad("space-before-colon", OK + b"X-A : a\r\n" + _REST, "9112 5.1"),
    bad("tab-before-colon", OK + b"X-A\t: a\r\n" + _REST, "9112 5.1"),
    bad("space-in-name", OK + b"X A: a\r\n" + _REST, "9110 5.1: a token"),
    bad("name-of-other-bytes", OK + b"X-\xe9: a\r\n" + _REST, "9110 5.1"),
    bad("name-with-parenthesis", OK + b"X(A): a\r\n" + _REST, "9110 5.1"),
    bad("no-name", OK + b": a\r\n" + _REST, "9112 5"),
    bad("no-colon", OK + b"X-A a\r\n" + _REST, "9112 5"),
    bad("status-line-twice", OK + OK + _REST, "9112 5: a field has a colon"),
    bad("space-before-first-field", OK + b" X-A: a\r\n" + _REST, "9112 2.2"),
    bad("head-cut", OK + b"X-A: a\r\nContent-Le", "9112 8"),
    bad("head-without-its-empty-line", OK + FIVE, "9112 8"),
    # Heads that are too large
    bad("field-of-a-megabyte", OK + b"X-A: " + b"a" * (1 << 20) + b"\r\n" + _REST, "9110 5.4"),
    bad("field-without-end", OK + b"X-A: " + b"a" * (1 << 20), "9110 5.4"),
    bad("reason-of-a-megabyte", b"HTTP/1.1 200 " + b"a" * (1 << 20) + b"\r\n" + _REST, "9110 5.4"),
    bad(
        "ten-thousand-fields",
        OK + b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(10_000)) + _REST,
        "9110 5.4",
    ),
)
