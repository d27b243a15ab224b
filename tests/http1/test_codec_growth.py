"""Both codecs need linear work for a reply of any size in pieces of any size: lines run, bytes searched, bytes copied.

The work is counted, not timed. A quadratic reader does four times as much for twice the input, and these numbers say so
at a few thousand bytes; a server could send 64 KiB of head, one byte at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest

import adieu.http1.chunks
import adieu.http1.native_codec
import adieu_h11.codec
from adieu.http1.head import MAX_INTERIM, find_head
from adieu.http1.request_writer import field_block
from support.allocated import Allocated
from support.codecs import CODECS
from support.work import lines_of

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


class Shape(NamedTuple):
    """`reply(n)` is a reply whose size grows with n, and comes in pieces of so many bytes."""

    reply: Callable[[int], bytes]
    piece: int = 1
    size: int = 1500


SHAPES = {
    "one long field, byte by byte": Shape(lambda n: OK + b"A: " + b"b" * n + b"\r\n\r\n"),
    "many fields, byte by byte": Shape(lambda n: OK + b"A: b\r\n" * (n // 6) + b"\r\n"),
    "many fields in one piece": Shape(lambda n: OK + b"A: b\r\n" * n + b"\r\n", 1 << 20, 400),
    "many unknown names": Shape(
        lambda n: OK + b"".join(b"%s%d: b\r\n" % (b"A" * 65, i) for i in range(n)) + b"\r\n",
        1 << 20,
        400,
    ),
    "folds": Shape(lambda n: OK + b"A: b\r\n" + b" c\r\n" * n + b"\r\n", 1 << 20),
    "lines that end in LF, byte by byte": Shape(lambda n: OK + b"A: b\n" * (n // 5) + b"\n"),
    "interim heads that grow": Shape(
        lambda n: (b"HTTP/1.1 103 X\r\nA: " + b"b" * n + b"\r\n\r\n") * MAX_INTERIM + OK + b"\r\n",
        4096,
        400,
    ),
    "interim heads, byte by byte": Shape(
        lambda n: b"HTTP/1.1 100 C\r\n\r\n" * (n // 18) + OK + b"\r\n"
    ),
    "chunks, byte by byte": Shape(lambda n: CHUNKED + b"1\r\na\r\n" * (n // 6) + b"0\r\n\r\n"),
    "chunks in one piece": Shape(
        lambda n: CHUNKED + b"1\r\na\r\n" * n + b"0\r\n\r\n", 1 << 20, 400
    ),
    "a long chunk extension, byte by byte": Shape(
        lambda n: CHUNKED + b"1;a=" + b"b" * n + b"\r\na\r\n0\r\n\r\n"
    ),
    "chunk extensions, byte by byte": Shape(
        lambda n: CHUNKED + b"1;a=b\r\na\r\n" * (n // 10) + b"0\r\n\r\n"
    ),
    "one long trailer, byte by byte": Shape(
        lambda n: CHUNKED + b"0\r\nA: " + b"b" * n + b"\r\n\r\n"
    ),
    "many trailers, byte by byte": Shape(
        lambda n: CHUNKED + b"0\r\n" + b"A: b\r\n" * (n // 6) + b"\r\n"
    ),
    "a body with a length, byte by byte": Shape(
        lambda n: OK + b"Content-Length: %d\r\n\r\n" % n + b"a" * n
    ),
    "a body until the end, byte by byte": Shape(lambda n: OK + b"\r\n" + b"a" * n),
}


class Reader:
    """Feeds pieces to a codec and takes out what is there, as the engine does."""

    def __init__(self, kind: str) -> None:
        self.codec = CODECS[kind]()
        self.codec.request("GET", "/", field_block([("Host", "h")]))
        self.codec.end()
        self.in_body = False
        self.body_size = 0

    def read(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self.feed(piece)

    def feed(self, piece: bytes) -> None:
        self.codec.feed(piece)
        while not self.in_body and (head := self.codec.head()) is not None:
            self.in_body = head.status >= 200
        while self.in_body and (content := self.codec.body()):
            self.body_size += len(content)


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each search for the end of a head or of trailers looks at."""
    sizes: list[int] = []

    def counted(data: bytes | bytearray, start: int = 0) -> int:
        end = find_head(data, start)
        sizes.append((end or len(data)) - start)
        return end

    for module in (adieu.http1.native_codec, adieu.http1.chunks, adieu_h11.codec):
        monkeypatch.setattr(module, "find_head", counted)
    return sizes


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", CODECS)
def test_twice_the_reply_is_twice_the_work(kind: str, shape: str, searched: list[int]) -> None:
    reply, piece, size = SHAPES[shape]
    work = [_work(kind, reply(n), piece, searched) for n in (size, size, 2 * size)]
    # The first has filled the caches. Buffers that grow in steps, and a cleared cache, make up for the rest.
    for once, twice in zip(work[1], work[2], strict=True):
        assert twice <= 2.3 * once + 500, work


def _work(kind: str, reply: bytes, piece: int, searched: list[int]) -> tuple[int, int, int]:
    """Lines of Python, bytes searched, bytes allocated."""
    pieces = [reply[at : at + piece] for at in range(0, len(reply), piece)]
    searched.clear()
    traced, reader = Reader(kind), Reader(kind)
    lines = lines_of(lambda: traced.read(pieces))
    looked_at = sum(searched)
    assert traced.in_body
    with Allocated() as allocated:
        for each in pieces:
            allocated.step(partial(reader.feed, each))
    return lines, looked_at, allocated.bytes
