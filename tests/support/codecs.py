"""The two codecs, driven as the engine drives them: adieu's own, and h11's with adieu's checks.

The differences between them are in `alike`, each with its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from adieu.http1.head import MAX_INTERIM, Malformed
from adieu.http1.native_codec import NativeCodec
from adieu.http1.request_writer import field_block
from adieu_h11.codec import H11Codec

if TYPE_CHECKING:
    from adieu.http1.codec import Codec

__all__ = ["CODECS", "Read", "alike", "read", "split"]

CODECS: Final[dict[str, Callable[[], Codec]]] = {"native": NativeCodec, "h11": H11Codec}


class Read(NamedTuple):
    """What a codec makes of a reply. `error`: it is refused, or it has no end."""

    error: bool
    status: int | None
    reason: str
    version: str
    fields: list[tuple[str, str]]
    body: bytes
    trailers: list[tuple[str, str]]
    reusable: bool


def read(kind: str, method: str, pieces: list[bytes], closes: bool, asks: str = "") -> Read:
    """Read a reply as the engine does. `asks`: the protocol that the request offers to switch to."""
    codec = CODECS[kind]()
    fields = [("Host", "h"), *([("Upgrade", asks)] if asks else [])]
    codec.request(method, "/", field_block(fields))
    codec.end()
    head, body, waiting, interim = None, [], list(pieces), 0
    try:
        while head is None or (head.status < 200 and head.status != 101):
            head = codec.head()
            if head is None:
                if not waiting:
                    return FAILED
                codec.feed(waiting.pop(0))
            else:
                interim += 1
                if interim > MAX_INTERIM + 1:
                    return FAILED
        while (piece := codec.body() if head.status >= 200 else b"") != b"":
            if piece is not None:
                body.append(piece)
            elif waiting:
                codec.feed(waiting.pop(0))
            elif closes:
                codec.feed(b"")
            else:
                return FAILED
        # The rest is on its way, and says that the connection is not to be used again.
        for piece in waiting:
            codec.feed(piece)
    except Malformed:
        return FAILED
    # A connection without `keep_alive` is closed by its lease, whatever the codec says.
    reusable = head.keep_alive and codec.is_reusable()
    return Read(
        False,
        head.status,
        head.reason,
        head.http_version,
        head.fields,
        b"".join(body),
        codec.trailers,
        reusable,
    )


# How much of the body came before the error depends on the pieces.
FAILED: Final = Read(True, None, "", "", [], b"", [], False)


def alike(one: Read) -> Read:
    """What the codecs agree on."""
    fields: list[tuple[str, str]] = []
    for name, value in one.fields:
        # h11 keeps one of several equal lengths, and of "5, 5" one number; it writes codings in small letters.
        if name.lower() == "content-length":
            length = "content-length", value.partition(",")[0].strip()
            fields += [length] if length not in fields else []
        elif name.lower() == "transfer-encoding":
            fields.append(("transfer-encoding", value.lower()))
        else:
            fields.append((name, value))
    # Framing fields of messages without content, which h11 would refuse: it is not shown them.
    if one.status is not None and not one.reusable:
        fields = [f for f in fields if f[0] not in ("content-length", "transfer-encoding")]
    return one._replace(fields=fields)


def split(data: bytes, places: list[int]) -> list[bytes]:
    cuts = sorted({place % (len(data) + 1) for place in places})
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return [piece for piece in pieces if piece]
