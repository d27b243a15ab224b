"""Content coding, undone: the bytes of a body turned back into what they were (RFC 9110, 8.4).

Rules of the room: pure, no I/O. Every step is bounded, in what it gives and in what it does, so
that a few coded bytes cannot become gigabytes, or minutes, within one call. Whatever may be wrong
with the bytes is a `DecodeError`.

- A coding that is not known, or whose extra is not installed, leaves the body as it came, as users
  of requests and httpx expect. So does a list with one such coding in it: a body that is half
  decoded would be described by nothing. It cannot happen where adieu sends `accept_encoding()`.
- A body that ends within its coded data is an error, always. An empty body is fine whatever it
  says: the answer to HEAD, a 204, a 304.
- How each coding is read, and what may follow its end, is said in `adieu.messages.decoding.codings`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from adieu.errors import BodyTooLarge, DecodeError
from adieu.messages.decoding.codings import available
from adieu.messages.decoding.stage import BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adieu.messages.decoding.stage import Stage

__all__ = [
    "MAX_CODINGS",
    "MAX_RATIO",
    "RATIO_FROM",
    "Decoder",
    "accept_encoding",
    "decode",
    "decoder_for",
    "refuse_bomb",
]

MAX_CODINGS = 5
"""More codings than these, one over the other, are refused: each multiplies a byte's cost."""

MAX_RATIO = 200.0
"""What one coded byte may become in a body that is read whole, once that has `RATIO_FROM` bytes.

The size as such is bounded by the caller (`max_body`). Text, JSON
and logs shrink 5 to 50 times, tables of nearly equal rows 100 times. deflate ends at 1032 times, br
and zstd go to many thousands, but only for runs of one byte: a bomb, or the image of an empty disk,
which is better read as a stream, and a stream has no such bound.
"""

RATIO_FROM = 16 * 1024 * 1024
"""Bytes below which no ratio is refused: 16 MiB of zeros in JSON harm nobody, sent as 16 KiB."""


class Decoder:
    """Undoes the codings of one body, as its bytes come.

    ```python
    for data in [*raw, None]:
        for piece in decoder.pieces(data):
            out.write(piece)
    ```

    `pending`: there is more to give for what was fed; `coding`: the codings in the order in which
    they were applied ("gzip", or "deflate, gzip").
    """

    __slots__ = ("_stages", "coding", "pending")

    def __init__(self, stages: list[Stage]) -> None:
        self._stages = stages  # in the order in which they are undone
        self.coding = ", ".join([stage.coding for stage in reversed(stages)])
        self.pending = False

    @property
    def bytes_in(self) -> int:
        """Coded bytes so far."""
        return self._stages[0].taken

    @property
    def bytes_out(self) -> int:
        """The most bytes that any one of the codings gave so far: what a bomb is measured by."""
        stages = self._stages
        return stages[0].given if len(stages) == 1 else max([stage.given for stage in stages])

    def feed(self, data: bytes, max_length: int) -> bytes:
        """Take coded bytes, give at most `max_length` (1 or more) decoded ones; the rest is kept.

        It may give b"" and still be `pending`: of stacked codings one call does one block's work.
        Raises `DecodeError` if the bytes are not what the Content-Encoding says.
        """
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, not {max_length}")
        stages = self._stages
        stages[0].push(data)
        # The stage nearest to the end that has anything: what is under way goes first, so that no
        # more than a block waits between two stages.
        last = at = len(stages) - 1
        while at and not stages[at].pending:
            at -= 1
        piece = b""
        if stages[at].pending:
            piece = stages[at].pull(max_length if at == last else BLOCK)
            while piece and at < last:
                at += 1
                stages[at].push(piece)
                piece = stages[at].pull(max_length if at == last else BLOCK)
        self.pending = stages[0].pending if not last else any(stage.pending for stage in stages)
        return piece

    def finish(self, max_length: int = BLOCK) -> bytes:
        """Give the last bytes, at most `max_length`; to be called again while `pending`.

        Raises `DecodeError` if the coded data is not complete: the body was cut short.
        """
        piece = self.feed(b"", max_length) if self.pending else b""
        if not self.pending:
            for stage in self._stages:
                stage.finish()
        return piece

    def pieces(self, data: bytes | None) -> Iterator[bytes]:
        """All that these bytes decode to, at most 64 KiB at a time; None: they were the last.

        Raises `DecodeError` as `feed` and `finish` do.
        """
        while True:
            piece = self.finish() if data is None else self.feed(data, BLOCK)
            if piece:
                yield piece
            if not self.pending:
                return
            data = data and b""


def decoder_for(content_encoding: str | None) -> Decoder | None:
    """The decoder for a Content-Encoding field value; None: the body is to be given as it came.

    None for no field, for identity, and for a coding that is not known or not installed. Raises
    `DecodeError` for more than `MAX_CODINGS` codings.
    """
    makers = _makers(content_encoding) if content_encoding else ()
    return Decoder([make() for make in makers]) if makers else None


@lru_cache(maxsize=64)
def _makers(content_encoding: str) -> tuple[Callable[[], Stage], ...]:
    """What makes the stages of a decoder, in the order in which they are to be undone."""
    makers: list[Callable[[], Stage]] = []
    for token in content_encoding.split(","):
        name = token.strip(" \t").lower()
        if name and name != "identity":
            maker = available().get(name)
            if maker is None:
                return ()
            makers.append(maker)
    if len(makers) > MAX_CODINGS:
        raise DecodeError(
            f"Content-Encoding names {len(makers)} codings, one over the other; "
            f"more than {MAX_CODINGS} are refused"
        )
    return tuple(reversed(makers))  # Listed in the order in which they were applied.


def refuse_bomb(decoder: Decoder, max_bytes: int | None, max_ratio: float | None) -> None:
    """Check what a decoder gave so far against the bounds of a body that is read whole.

    Raises `BodyTooLarge` if that is more than `max_bytes`, or more than `max_ratio` times what came
    in (and more than `RATIO_FROM` bytes). None: no bound.
    """
    given, taken = decoder.bytes_out, decoder.bytes_in
    if max_bytes is not None and given > max_bytes:
        raise BodyTooLarge(
            f"{taken} bytes of {decoder.coding} decode to more than max_body={max_bytes}; "
            "raise max_body (None: no bound), or read the body as a stream"
        )
    if max_ratio is not None and given > RATIO_FROM and given > taken * max_ratio:
        raise BodyTooLarge(
            f"{taken} bytes of {decoder.coding} decode to {given} and more, over "
            f"{given // taken} times as much (the limit is {max_ratio:g} times): a decompression "
            "bomb? If you trust the server, read it as a stream, or set max_body=None"
        )


def decode(
    data: bytes,
    content_encoding: str | None,
    *,
    max_bytes: int | None = None,
    max_ratio: float | None = MAX_RATIO,
) -> bytes:
    """A whole body, decoded. `max_bytes` bounds it whatever its coding, `max_ratio` its growth.

    Raises `DecodeError` if the body is damaged, cut short or coded otherwise, and `BodyTooLarge`
    when a bound is passed, at most 1 MiB beyond it.
    """
    decoder = decoder_for(content_encoding)
    if decoder is None:
        if max_bytes is not None and len(data) > max_bytes:
            raise BodyTooLarge(
                f"the body has {len(data)} bytes, more than max_body={max_bytes}; "
                "raise max_body (None: no bound), or read the body as a stream"
            )
        return data
    step = BLOCK
    pieces = [decoder.feed(data, step)]
    while decoder.pending:
        refuse_bomb(decoder, max_bytes, max_ratio)
        step = min(step * 2, 1024 * 1024)
        pieces.append(decoder.feed(b"", step))
    refuse_bomb(decoder, max_bytes, max_ratio)
    decoder.finish()
    return b"".join(pieces)


def accept_encoding() -> str:
    """The Accept-Encoding to send: what can be decoded here. The extras are imported to know."""
    return _accepted()


@lru_cache(maxsize=1)
def _accepted() -> str:
    return ", ".join(name for name in available() if not name.startswith("x-"))
