"""The server's end of WebSockets: a good one, made of the sans-I/O core of `websockets`, and frames of any kind."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Opcode
from websockets.http11 import Request as Handshake
from websockets.server import ServerProtocol
from websockets.utils import accept_key

from support.stage import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from adieu.testing.faults import Ending, FaultServer, Peer, Request

__all__ = [
    "BINARY",
    "CLOSE",
    "CONT",
    "PING",
    "PONG",
    "TEXT",
    "Sockets",
    "accept",
    "accept_key",
    "close_frame",
    "deflated",
    "frame",
    "unmasked",
]

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def frame(
    opcode: int,
    data: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = False,
    length: bytes | None = None,
) -> bytes:
    """A frame, right or wrong. `length`: its bytes after the first one, instead of the right ones."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if length is None:
        size = len(data)
        if size < 126:
            length = bytes([size])
        else:
            length = (
                struct.pack("!BH", 126, size) if size < 65536 else struct.pack("!BQ", 127, size)
            )
    if masked:
        return bytes([first, length[0] | 0x80]) + length[1:] + b"\0\0\0\0" + data
    return bytes([first]) + length + data


def close_frame(code: int, reason: str | bytes = b"") -> bytes:
    """A Close frame."""
    text = reason.encode() if isinstance(reason, str) else reason
    return frame(CLOSE, struct.pack("!H", code) + text)


def deflated(data: bytes) -> bytes:
    """The payload of a compressed message (RFC 7692, section 7.2.1)."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


class Sockets:
    """WebSockets of a `FaultServer`: the one at `path` sends each message back, others say what they are given.

    `closed` has a pair for each one at `path` that has ended: the code it received, and its reason. `received` has the
    bytes that each of the others has read, in the order in which they were opened.
    """

    def __init__(self, server: FaultServer, path: str = "/ws") -> None:
        self.server = server
        self.closed: list[tuple[int, str]] = []
        self.received: list[bytearray] = []
        self.agreed: list[ServerProtocol] = []
        server.on(path, self._echo)

    def _echo(self, peer: Peer, request: Request) -> Ending:
        protocol = _opened(peer, request)
        self.agreed.append(protocol)
        while protocol.state.name != "CLOSED":
            data = peer.read_raw()
            if data:
                protocol.receive_data(data)
            else:
                protocol.receive_eof()
            for event in protocol.events_received():
                _send_back(protocol, event)
            close = protocol.close_rcvd
            if close is not None:
                self.closed.append((int(close.code), close.reason))
            for out in protocol.data_to_send():
                if out:
                    peer.send(out)
            if close is not None:
                return "close"
        self.closed.append((1006, ""))
        return "close"

    def says(
        self,
        path: str,
        *frames: bytes,
        then: Ending | None = None,
        fields: Iterable[tuple[str, str]] = (),
    ) -> None:
        """After the handshake, send these bytes; then end, or read what comes until the client closes."""

        def say(peer: Peer, request: Request) -> Ending:
            received = bytearray()
            self.received.append(
                received
            )  # Before the handshake, and so before the client opens the next one.
            accept(peer, request, fields)
            for each in frames:
                peer.send(each)
            if then is not None:
                return then
            while data := peer.read_raw():
                received += data
            return "close"

        self.server.on(path, say)

    def does(self, path: str, work: Callable[[Peer], Ending], *fields: tuple[str, str]) -> None:
        """After the handshake, do this."""

        def do(peer: Peer, request: Request) -> Ending:
            accept(peer, request, fields)
            return work(peer)

        self.server.on(path, do)

    def wait_closed(self, *codes: int) -> None:
        """Wait until so many WebSockets have ended with these codes."""
        eventually(lambda: [code for code, _ in self.closed] == list(codes))


def accept(peer: Peer, request: Request, fields: Iterable[tuple[str, str]] = ()) -> None:
    """Answer the opening handshake."""
    key = request.header("sec-websocket-key") or ""
    peer.start(
        "101 Switching Protocols",
        [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", accept_key(key)),
            *fields,
        ],
    )


def unmasked(data: bytes) -> list[tuple[int, bytes]]:
    """The frames of a client: opcodes and payloads. All of them are short."""
    found = []
    while data:
        opcode, size = data[0] & 15, data[1] & 127
        assert size < 126
        assert data[1] & 128
        mask, payload = data[2:6], data[6 : 6 + size]
        found.append((opcode, bytes(byte ^ mask[nth % 4] for nth, byte in enumerate(payload))))
        data = data[6 + size :]
    return found


def _opened(peer: Peer, request: Request) -> ServerProtocol:
    protocol = ServerProtocol(
        extensions=[ServerPerMessageDeflateFactory()],
        subprotocols=["chat.v2", "chat"],  # type: ignore[list-item]
        max_size=None,
    )
    if request.header("sec-websocket-protocol") is None:
        protocol.available_subprotocols = None
    lines = [
        f"GET {request.target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in request.headers),
    ]
    protocol.receive_data("\r\n".join([*lines, "", ""]).encode("latin-1"))
    (handshake,) = protocol.events_received()
    assert isinstance(handshake, Handshake)
    protocol.send_response(protocol.accept(handshake))
    for out in protocol.data_to_send():
        peer.send(out)
    return protocol


def _send_back(protocol: ServerProtocol, event: Any) -> None:
    data, fin = event.data, event.fin
    if protocol.state.name != "OPEN":
        return
    if event.opcode is Opcode.TEXT:
        protocol.send_text(data, fin)
    elif event.opcode is Opcode.BINARY:
        protocol.send_binary(data, fin)
    elif event.opcode is Opcode.CONT:
        protocol.send_continuation(data, fin)
