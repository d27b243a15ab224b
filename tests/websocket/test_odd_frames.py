"""What no server may send (RFC 6455, section 5; RFC 7692): each is an error with its code, whole or byte by byte."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import pytest
from websockets.extensions.permessage_deflate import PerMessageDeflate

import adieu
from adieu.websocket.handshake import Agreed
from adieu.websocket.session import Session
from support.stage import caught
from support.websockets import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Sockets,
    close_frame,
    deflated,
    frame,
)

if TYPE_CHECKING:
    from support.stage import Stage

MOST = 1000


class Odd(NamedTuple):
    """Bytes of a server, the code that answers them (None: none), and whether they need the compression."""

    data: bytes
    code: int | None = 1002
    deflate: bool = False


PING_OF_126 = frame(PING, bytes(126))
PACKED = deflated(b"hello" * 20)

ODD = {
    "masked text": Odd(frame(TEXT, b"a", masked=True)),
    "masked close": Odd(frame(CLOSE, b"\x03\xe8", masked=True)),
    "masked and empty": Odd(frame(BINARY, b"", masked=True)),
    "rsv1 without an extension": Odd(frame(TEXT, b"a", rsv=4)),
    "rsv2": Odd(frame(TEXT, b"a", rsv=2)),
    "rsv3": Odd(frame(TEXT, b"a", rsv=1)),
    "all reserved bits": Odd(frame(TEXT, b"a", rsv=7)),
    "rsv2 with compression": Odd(frame(TEXT, PACKED, rsv=6), deflate=True),
    "rsv1 on a ping": Odd(frame(PING, b"a", rsv=4), deflate=True),
    "rsv1 on a close": Odd(frame(CLOSE, b"\x03\xe8", rsv=4), deflate=True),
    "rsv1 on a continuation": Odd(
        frame(TEXT, PACKED, fin=False, rsv=4) + frame(CONT, b"a", rsv=4), deflate=True
    ),
    "no deflate data": Odd(frame(TEXT, b"\xff\xff\xff\xff", rsv=4), deflate=True),
    "deflate data of a reserved type": Odd(frame(TEXT, b"\x07", rsv=4), deflate=True),
    **{f"opcode {code}": Odd(frame(code, b"a")) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "a ping of 126 bytes": Odd(PING_OF_126),
    "a pong of 126 bytes": Odd(frame(PONG, bytes(126))),
    "a close of 126 bytes": Odd(frame(CLOSE, b"\x03\xe8" + bytes(124))),
    "a ping whose length takes 8 bytes": Odd(frame(PING, bytes(200), length=b"\x7f" + struct.pack("!Q", 200))),
    "a fragmented ping": Odd(frame(PING, b"a", fin=False)),
    "a fragmented pong": Odd(frame(PONG, b"a", fin=False)),
    "a fragmented close": Odd(frame(CLOSE, b"\x03\xe8", fin=False)),
    "a continuation of nothing": Odd(frame(CONT, b"a")),
    "a continuation of nothing, not the last": Odd(frame(CONT, b"a", fin=False)),
    "a continuation after the last": Odd(frame(TEXT, b"a", fin=False) + frame(CONT, b"b") + frame(CONT, b"c")),
    "text within a message": Odd(frame(TEXT, b"a", fin=False) + frame(TEXT, b"b")),
    "bytes within a message": Odd(frame(TEXT, b"a", fin=False) + frame(BINARY, b"b")),
    "a close within a message": Odd(frame(TEXT, b"a", fin=False) + close_frame(1000)),
    "a close of one byte": Odd(frame(CLOSE, b"\x03")),
    **{
        f"a close with {code}": Odd(close_frame(code))
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2999, 5000, 65535)
    },
    "a close whose reason is not UTF-8": Odd(close_frame(1000, b"\xff"), 1007),
    "a close whose reason is cut": Odd(close_frame(1000, b"\xe2\x82"), 1007),
    "a length above the bound": Odd(frame(BINARY, length=b"\x7e" + struct.pack("!H", MOST + 1)), 1009),
    "a length of 2**63": Odd(frame(BINARY, length=b"\x7f" + struct.pack("!Q", 2**63)), 1009),
    "a length of 2**64 - 1": Odd(frame(TEXT, length=b"\x7f" + b"\xff" * 8), 1009),
    "fragments above the bound": Odd(frame(TEXT, b"a" * 600, fin=False) + frame(CONT, b"a" * 401), 1009),
    "compressed above the bound": Odd(frame(TEXT, deflated(bytes(MOST + 1)), rsv=4), 1009, deflate=True),
    "compressed fragments above the bound": Odd(
        frame(TEXT, deflated(bytes(1001))[:5], fin=False, rsv=4) + frame(CONT, deflated(bytes(1001))[5:]),
        1009,
        deflate=True,
    ),
}  # fmt: skip

# "κόσμε" and invalid sequences: overlong, a surrogate, beyond U+10FFFF, a lone continuation, one that is cut.
INVALID = {
    "overlong": b"\xce\xba\xc0\xaf\xce\xb5",
    "overlong of three bytes": b"a\xe0\x80\xafb",
    "a surrogate": b"\xce\xba\xed\xa0\x80edited",
    "beyond the last": b"a\xf4\x90\x80\x80b",
    "a lone continuation": b"ab\x80c",
    "a byte that is never used": b"a\xfeb",
    "cut": b"a\xe2\x82",
    "cut after a valid one": b"\xce\xba\xe1\xbd\xb9\xcf",
}


def parsed(data: bytes, size: int, deflate: bool) -> tuple[Session, list[str | bytes]]:
    """A session that has got this in pieces of a size, and the messages that were in it."""
    extensions = [PerMessageDeflate(False, False, 15, 15)] if deflate else []
    session = Session(Agreed(extensions, None), MOST)
    messages = []
    for start in range(0, len(data), size):
        session.feed(data[start : start + size])
        while session.ready():
            messages.append(session.pop())
    return session, messages


@pytest.mark.parametrize("name", ODD)
def test_an_odd_frame_is_refused_with_its_code(name: str) -> None:
    odd = ODD[name]
    for size in (1, 7, len(odd.data)):
        before = frame(TEXT, b"first")
        session, messages = parsed(before + odd.data + frame(TEXT, b"after"), size, odd.deflate)
        assert messages[:1] == ["first"]
        assert "after" not in messages
        assert session.is_over
        assert session.failure is not None
        assert session.sent is not None
        assert session.sent.code == odd.code
        assert session.claim(False)[0] == 0x80 | CLOSE
        assert not session.is_open


@pytest.mark.parametrize("name", INVALID)
def test_text_that_is_not_utf_8_is_refused_at_every_split(name: str) -> None:
    text = INVALID[name]
    for first in range(len(text) + 1):
        for second in range(first, len(text) + 1):
            data = (
                frame(TEXT, text[:first], fin=False)
                + frame(PING)
                + frame(CONT, text[first:second], fin=False)
                + frame(CONT, text[second:])
            )
            for size in (1, len(data)):
                session, messages = parsed(data, size, False)
                assert messages == []
                assert session.sent is not None
                assert session.sent.code == 1007


def test_text_is_the_same_at_every_split() -> None:
    text = "κόσμε 𝄞"
    data = text.encode()
    for first in range(len(data) + 1):
        for second in range(first, len(data) + 1):
            frames = frame(TEXT, data[:first], fin=False) + frame(
                CONT, data[first:second], fin=False
            )
            _, messages = parsed(frames + frame(CONT, data[second:]), 3, False)
            assert messages == [text]


def test_empty_fragments_take_no_memory() -> None:
    data = frame(TEXT, b"a", fin=False) + frame(CONT, b"", fin=False) * 10_000
    session, messages = parsed(data, 4096, False)
    assert (messages, session._parts) == ([], ["a"])


def test_no_more_is_parsed_than_the_next_message_needs() -> None:
    one = frame(BINARY, deflated(bytes(900)), rsv=4)
    extensions = [PerMessageDeflate(False, False, 15, 15)]
    session = Session(Agreed(extensions, None), MOST)
    session.feed(one * 4000)
    assert session.ready()
    assert len(session._messages) <= 4096 // len(one) + 1


def test_of_many_pings_the_latest_is_answered() -> None:
    session, _ = parsed(b"".join(frame(PING, b"%d" % nth) for nth in range(1000)), 4096, False)
    out = session.claim(False)
    mask, payload = out[2:6], out[6:]
    assert bytes(byte ^ mask[nth % 4] for nth, byte in enumerate(payload)) == b"999"


def test_the_user_gets_an_error_and_the_connection_ends(stage: Stage) -> None:
    sockets = Sockets(stage.server)
    deflate = [("Sec-WebSocket-Extensions", "permessage-deflate")]
    with stage.block(stage.client()) as client:
        for nth, (name, odd) in enumerate(ODD.items()):
            sockets.says(
                f"/{nth}", frame(TEXT, b"first") + odd.data, fields=deflate if odd.deflate else []
            )
            ws = stage.run(client.websocket(f"/{nth}", max_message=MOST))
            assert stage.run(ws.receive()) == "first"
            if name == "a continuation after the last":
                assert stage.run(ws.receive()) == "ab"
            error = caught(adieu.WebSocketClosed, lambda ws=ws: stage.run(ws.receive()))
            assert isinstance(error, adieu.WebSocketClosed), name
            # A Close frame that is not one has no code either.
            assert (error.sent_code, error.is_clean) == (odd.code, False), name
            assert "the server broke the protocol" in str(error), name
            assert error.__cause__ is not None
            assert ws.state == "closed"
            assert stage.nothing_open()


@pytest.mark.parametrize("cut", [1, 2, 5, 8, 130])
def test_an_end_in_the_middle_of_a_frame_is_an_error(stage: Stage, cut: int) -> None:
    sockets = Sockets(stage.server)
    sockets.says("/cut", frame(BINARY, bytes(200))[:cut], then="close")
    with stage.block(stage.client()) as client, stage.block(client.websocket("/cut")) as ws:
        error = caught(adieu.WebSocketClosed, lambda: stage.run(ws.receive()))
        assert isinstance(error, adieu.WebSocketClosed)
        assert (error.code, error.sent_code) == (1006, None)
        assert stage.nothing_open()
