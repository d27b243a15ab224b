"""The decoder of a body: undoes its content codings (RFC 9110, section 8.4).

Invariants: no I/O. The output and the work of every call are limited, so that a few coded bytes cannot become
gigabytes, or minutes, within one call. Everything that can be wrong with the bytes is a `DecodeError`.

- A body with an unknown coding, or one whose extra is not installed, is left as it came, as in requests and httpx. So
  is a body with several codings if one of them is unknown: no field would describe a body that is decoded in part. It
  cannot happen if the request was sent with `accept_encoding()` and the server respects it.
- A body that ends within its coded data is always an error. An empty body is complete whatever its Content-Encoding
  says: the response to HEAD, a 204, a 304.
- For each coding, and the bytes that may follow its end, see `adieu.messages.decoding.codings`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from adieu.errors import BodyTooLarge, DecodeError
from adieu.lifecycle.steps import drive
from adieu.messages.decoding.codings import available
from adieu.messages.decoding.stage import BLOCK_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adieu.lifecycle.steps import Steps
    from adieu.messages.decoding.stage import Stage

__all__ = [
    "MAX_CODINGS",
    "MAX_RATIO",
    "RATIO_FROM",
    "Decoder",
    "accept_encoding",
    "decode",
    "decoder_for",
    "decoding",
    "refuse_bomb",
]

MAX_CODINGS = 5
"""A body with more codings is refused: each of them multiplies the cost of a byte."""

MAX_RATIO = 200.0
"""Decoded bytes per coded byte, at most, in a body that is read whole and has more than `RATIO_FROM` decoded bytes.

The size itself is limited by the caller (`max_body`). Text, JSON and logs shrink 5 to 50 times, tables of nearly equal
rows 100 times. deflate reaches 1032 times, br and zstd many thousands, but only for runs of one byte: a decompression
bomb, or the image of an empty disk, which is better read as a stream; streams have no such limit.
"""

RATIO_FROM = 16 * 1024 * 1024
"""Decoded bytes up to which every ratio is allowed: 16 MiB do no harm, however few bytes they came in."""


class Decoder:
    """Undoes the codings of one body, as its bytes come.

    ```python
    for data in [*raw, None]:
        for piece in decoder.pieces(data):
            out.write(piece)
    ```

    `pending`: the bytes fed so far decode to more; `coding`: the codings in the order in which
    they were applied ("gzip", or "deflate, gzip").
    """

    __slots__ = ("_stages", "coding", "pending")

    def __init__(self, stages: list[Stage]) -> None:
        self._stages = stages  # in the order of decoding
        self.coding = ", ".join([stage.coding for stage in reversed(stages)])
        self.pending = False

    @property
    def bytes_in(self) -> int:
        """Coded bytes so far."""
        return self._stages[0].bytes_in

    @property
    def bytes_out(self) -> int:
        """The largest output so far of any of the codings: the size of a decompression bomb."""
        stages = self._stages
        return (
            stages[0].bytes_out if len(stages) == 1 else max([stage.bytes_out for stage in stages])
        )

    @property
    def content_bytes(self) -> int:
        """Decoded bytes so far."""
        return self._stages[-1].bytes_out

    def feed(self, data: bytes, max_length: int) -> bytes:
        """Take coded bytes, return at most `max_length` (1 or more) decoded ones; the rest is kept.

        The result may be b"" while `pending` is True: with several codings, one call does the work of one block.
        Raises `DecodeError` if the bytes do not have the codings that the Content-Encoding says.
        """
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, not {max_length}")
        stages = self._stages
        stages[0].push(data)
        # From the last stage on that has input: so no more than one block waits between two stages.
        last = at = len(stages) - 1
        while at and not stages[at].pending:
            at -= 1
        piece = b""
        if stages[at].pending:
            piece = stages[at].pull(max_length if at == last else BLOCK_SIZE)
            while piece and at < last:
                at += 1
                stages[at].push(piece)
                piece = stages[at].pull(max_length if at == last else BLOCK_SIZE)
        self.pending = stages[0].pending if not last else any(stage.pending for stage in stages)
        return piece

    def finish(self, max_length: int = BLOCK_SIZE) -> bytes:
        """Return the last bytes, at most `max_length`; call it again while `pending`.

        Raises `DecodeError` if the coded data is not complete: the body was cut off.
        """
        piece = self.feed(b"", max_length) if self.pending else b""
        if not self.pending:
            for stage in self._stages:
                stage.finish()
        return piece

    def pieces(self, data: bytes | None) -> Iterator[bytes]:
        """The decoded bytes for these coded ones, at most 64 KiB at a time; None after the last ones.

        Raises `DecodeError` as `feed` and `finish` do.
        """
        while True:
            piece = self.finish() if data is None else self.feed(data, BLOCK_SIZE)
            if piece:
                yield piece
            if not self.pending:
                return
            data = data and b""


def decoder_for(content_encoding: str | None) -> Decoder | None:
    """The decoder for a Content-Encoding field value; None if the body is left as it came.

    That is for no field, for identity, and for a coding that is unknown or not installed. Raises
    `DecodeError` for more than `MAX_CODINGS` codings.
    """
    classes = _stages(content_encoding) if content_encoding else ()
    return Decoder([stage_class() for stage_class in classes]) if classes else None


@lru_cache(maxsize=64)
def _stages(content_encoding: str) -> tuple[Callable[[], Stage], ...]:
    """The classes of a decoder's stages, in the order of decoding."""
    classes: list[Callable[[], Stage]] = []
    for token in content_encoding.split(","):
        name = token.strip(" \t").lower()
        if name and name != "identity":
            stage_class = available().get(name)
            if stage_class is None:
                return ()
            classes.append(stage_class)
    if len(classes) > MAX_CODINGS:
        raise DecodeError(
            f"Content-Encoding names {len(classes)} codings, one over the other; "
            f"more than {MAX_CODINGS} are refused"
        )
    return tuple(reversed(classes))  # the field lists them in the order of encoding


def refuse_bomb(decoder: Decoder, max_bytes: int | None, max_ratio: float | None) -> None:
    """Check a decoder's output so far against the limits of a body that is read whole.

    Raises `BodyTooLarge` for more than `max_bytes`, and for more than `max_ratio` times the coded bytes if there are
    more than `RATIO_FROM` bytes. None: no limit.
    """
    decoded, coded = decoder.bytes_out, decoder.bytes_in
    if max_bytes is not None and decoded > max_bytes:
        raise BodyTooLarge(
            f"{coded} bytes of {decoder.coding} decode to more than max_body={max_bytes}; "
            "raise max_body (None: no bound), or read the body as a stream"
        )
    if max_ratio is not None and decoded > RATIO_FROM and decoded > coded * max_ratio:
        raise BodyTooLarge(
            f"{coded} bytes of {decoder.coding} decode to {decoded} and more, over "
            f"{decoded // coded} times as much (the limit is {max_ratio:g} times): a decompression "
            "bomb? If you trust the server, read it as a stream, or set max_body=None"
        )


def decode(
    data: bytes,
    content_encoding: str | None,
    *,
    max_bytes: int | None = None,
    max_ratio: float | None = MAX_RATIO,
) -> bytes:
    """A whole body, decoded. `max_bytes` limits its size, with or without a coding, `max_ratio` its growth.

    Raises `DecodeError` if the body is damaged, incomplete or coded otherwise, and `BodyTooLarge`
    at most 1 MiB after a limit is passed.
    """
    return drive(decoding(data, content_encoding, max_bytes=max_bytes, max_ratio=max_ratio))


def decoding(
    data: bytes,
    content_encoding: str | None,
    *,
    max_bytes: int | None = None,
    max_ratio: float | None = MAX_RATIO,
) -> Steps[bytes]:
    """`decode` in steps of at most 1 MiB of output, between which other tasks may run."""
    decoder = decoder_for(content_encoding)
    if decoder is None:
        if max_bytes is not None and len(data) > max_bytes:
            raise BodyTooLarge(
                f"the body has {len(data)} bytes, more than max_body={max_bytes}; "
                "raise max_body (None: no bound), or read the body as a stream"
            )
        return data
    step = BLOCK_SIZE
    pieces = [decoder.feed(data, step)]
    while decoder.pending:
        refuse_bomb(decoder, max_bytes, max_ratio)
        step = min(step * 2, 1024 * 1024)
        yield
        pieces.append(decoder.feed(b"", step))
    refuse_bomb(decoder, max_bytes, max_ratio)
    decoder.finish()
    return b"".join(pieces)


@lru_cache(maxsize=1)
def accept_encoding() -> str:
    """The Accept-Encoding to send: the codings that can be decoded. Importing the extras shows which."""
    return ", ".join(name for name in available() if not name.startswith("x-"))
