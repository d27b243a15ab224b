"""What is fuzzed: a function of bytes for each target, with the words and the first inputs of its grammar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from adieu.testing import REPLIES
from support.codecs import alike, read, split
from support.parsers import PARSERS, Parser, attempt
from support.whole_reply import check_reply

__all__ = ["TARGETS", "Target"]


class Target(NamedTuple):
    """`check` raises for an input that shows a fault."""

    check: Callable[[bytes], None]
    words: tuple[bytes, ...]
    seeds: tuple[bytes, ...]


def _parser(parser: Parser) -> Target:
    def check(data: bytes) -> None:
        attempt(parser, data if binary else _text(data))

    binary = isinstance(parser.words[0], bytes)
    words = tuple(word if isinstance(word, bytes) else word.encode() for word in parser.words)
    return Target(check, words, (*words, b"".join(words)))


def _text(data: bytes) -> str:
    """Any text, with lone surrogates too."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("latin-1")


_METHODS: Final = ("GET", "HEAD", "CONNECT", "POST")
_CUTS: Final = 4
_HEAD_WORDS: Final = (
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 204 N\r\n", b"HTTP/1.1 304 N\r\n", b"\r\n", b"\r\n\r\n",
    b"HTTP/1.1 100 C\r\n\r\n", b"HTTP/1.1 101 S\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Keep-Alive: timeout=5\r\n", b"5\r\nhello\r\n",
    b"0\r\n\r\n", b"a;b=c\r\n", b"Upgrade: x\r\n", b"X-A: \xff\r\n", b"\n", b" ", b"\t", b":", b"\0", b"HTTP/1.1 ",
    b"Set-Cookie: a=b\r\n", b"Trailer: a\r\n", b"Location: /x\r\n", b"Content-Encoding: gzip\r\n", b"5, 5",
)  # fmt: skip


def _codecs(data: bytes) -> None:
    """The last bytes say what was asked, whether the server closes, and where the reply is cut into pieces."""
    reply, choice, cuts = data[: -1 - _CUTS], data[-1 - _CUTS :][:1], data[-_CUTS:]
    how = choice[0] if choice else 0
    method, closes = _METHODS[how % len(_METHODS)], bool(how & 4)
    pieces = split(reply, [cut if cut < 0x80 else cut * len(reply) // 0xFF for cut in cuts])
    native = read("native", method, pieces, closes, "x")
    assert native == read("native", method, [reply] if reply else [], closes, "x")
    assert alike(native) == alike(read("h11", method, pieces, closes, "x"))


def _reply(data: bytes) -> None:
    """The last byte says how much each read gets."""
    check_reply(data[:-1], 1 + 8 * data[-1] if data else 1)


_SEEDS: Final = tuple(reply.raw for reply in REPLIES if len(reply.raw) < 4000)

TARGETS: Final = {
    "codecs": Target(
        _codecs, _HEAD_WORDS, tuple(seed + bytes([4, 9, 40, 90, 200]) for seed in _SEEDS)
    ),
    "reply": Target(_reply, _HEAD_WORDS, tuple(seed + b"\xff" for seed in _SEEDS)),
    **{name: _parser(parser) for name, parser in PARSERS.items()},
}
