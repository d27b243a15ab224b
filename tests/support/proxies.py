"""Proxies for tests: good ones, which connect to loopback only, and ones that fail in every way.

They do not resolve names: for every host they connect to 127.0.0.1 on the same port.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

from adieu.messages.fields.challenge import parse_challenges
from adieu.testing.faults import FaultServer
from servers import KNOWN_PORTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.testing.peer import Ending, Peer
    from adieu.testing.request import Request

__all__ = ["FAULTS", "FaultProxy", "SocksServer", "digest_challenges"]

_OK = b"HTTP/1.1 200 Connection established\r\n\r\n"


def _hang(peer: Peer) -> Ending:
    peer.pause(60.0)
    return "close"


def _say(data: bytes) -> Callable[[Peer], Ending]:
    def say(peer: Peer) -> Ending:
        peer.send(data)
        peer.linger()
        return "close"

    return say


def _drip(peer: Peer) -> Ending:
    peer.send(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        peer.send(b"x")
        peer.wait(0.02)
    return "close"


FAULTS: dict[str, Callable[[Peer], Ending]] = {
    "refuses": _say(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 15\r\n\r\nnot by this way"),
    "garbage": _say(b"SSH-2.0-OpenSSH_9.2p1\r\n" * 9),
    "hangs": _hang,
    "closes": lambda peer: "close",
    "resets": lambda peer: "reset",
    "half a head": _say(b"HTTP/1.1 200 Conn"),
    "surplus": _say(_OK + b"HTTP/1.1 200 OK\r\n"),
    "surplus in chunks": _say(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    ),
    "endless 1xx": _say(b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "redirects": _say(
        b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n"
    ),
    "drips": _drip,
}


class FaultProxy(FaultServer):
    """An HTTP proxy. It answers requests for http URLs itself, as a `FaultServer` does.

    `fault` is the failure of CONNECT, one of `FAULTS`; `answer` are the bytes that announce a tunnel; `auth` is the
    required Proxy-Authorization: the whole value, or a function that returns the challenge for a 407 or None to accept.
    `hangs_up`: it closes a connection after a 407, just when the next request comes over it.
    """

    def __init__(
        self,
        fault: str | None = None,
        *,
        answer: bytes = _OK,
        auth: str | Callable[[Request], str | None] | None = None,
        tls: Any = None,
        refusal: tuple[bytes, list[tuple[str, str]]] = (b"who are you?", []),
        hangs_up: bool = False,
    ) -> None:
        self.fault = fault
        # The content of a 407, and its further fields.
        self.refusal = refusal
        # Whether it closes a connection after a 407, when the next request is on its way.
        self._hangs_up = hangs_up
        # The certificates that clients have sent.
        self.noticed: list[bytes | None] = []
        self._answer = answer
        self._auth = auth
        super().__init__(tls=tls)
        KNOWN_PORTS.add(self.port)

    def _exchange(self, peer: Peer) -> Ending:
        request = peer.read_request()
        if request is None:
            return "close"
        with self._changed:
            self._requests.append(request)
            self._served += 1
            self._changed.notify_all()
        peer.read_body(request)
        if hasattr(peer.sock, "getpeercert"):
            self.noticed.append(peer.sock.getpeercert(True))
        if (challenge := self._challenge(request)) is not None:
            body, fields = self.refusal
            peer.reply(407, body, [("proxy-authenticate", challenge), *fields])
            if self._hangs_up and not fields:
                peer.read_raw()
                return "reset"
            return "close" if fields else "keep"
        if request.method != "CONNECT":
            peer.reply(200, request.target.encode())
            return "keep"
        if self.fault is not None:
            return FAULTS[self.fault](peer)
        port = int(request.target.rpartition(":")[2])
        return _tunnel(peer, port, self._answer)

    def _challenge(self, request: Request) -> str | None:
        if callable(self._auth):
            return self._auth(request)
        said = request.header("proxy-authorization")
        return None if self._auth is None or said == self._auth else 'Basic realm="here"'


def _tunnel(peer: Peer, port: int, announcement: bytes) -> Ending:
    try:
        beyond = socket.create_connection(("127.0.0.1", port), timeout=30)
    except OSError:
        peer.reply(502, b"no server")
        return "close"
    with beyond:
        beyond.settimeout(None)
        peer.send(announcement)
        relay(peer.sock, beyond)
    return "drop"


def relay(near: socket.socket, far: socket.socket) -> None:
    """Relay bytes in both directions until one side ends."""
    if hasattr(near, "pending"):
        # TLS: one object cannot read and write at the same time.
        far.setblocking(False)
        while _carry_some(near, far):
            pass
        return
    back = threading.Thread(target=_carry, args=(far, near), daemon=True)
    back.start()
    _carry(near, far)
    back.join()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    for sock in (source, sink):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _carry_some(near: Any, far: socket.socket) -> bool:
    ready = [near] if near.pending() else select.select([far, near], [], [])[0]
    for source in ready:
        data = source.recv(65_536)
        if not data:
            return False
        if source is far:
            near.sendall(data)
            continue
        if not _send_and_hear(data, near, far):
            return False
    return True


def _send_and_hear(data: bytes, near: Any, far: socket.socket) -> bool:
    """Send to the far side, and relay its answer meanwhile: it may answer without reading what it is sent."""
    while data:
        heard, _, _ = select.select([far], [far], [])
        if heard:
            answer = far.recv(65_536)
            if not answer:
                return False
            near.sendall(answer)
            continue
        try:
            data = data[far.send(data) :]
        except BlockingIOError:
            pass
        except OSError:
            # It has hung up, perhaps after an answer, which is heard first.
            if not select.select([far], [], [], 0)[0]:
                return False
    return True


class SocksServer(FaultServer):
    """A SOCKS server for versions 4, 4A and 5. `asked` records the requests: (version, host, port, user).

    `auth` is the required user and password. `script` replaces the handshake: one piece after each message of the
    client; then the server closes.
    """

    def __init__(
        self, *, auth: tuple[str, str] | None = None, script: tuple[bytes, ...] | None = None
    ) -> None:
        self.asked: list[tuple[str, str, int, str | None]] = []
        self._auth = auth
        self._script = script
        super().__init__()
        KNOWN_PORTS.add(self.port)

    def _exchange(self, peer: Peer) -> Ending:
        sock = peer.sock
        if self._script is not None:
            for piece in self._script:
                if not peer.read_raw():
                    return "close"
                peer.send(piece)
            peer.linger()
            return "close"
        (version,) = _exactly(sock, 1)
        port = self._five(sock) if version == 5 else self._four(sock)
        if port is None:
            return "close"
        granted = b"\x05\0\0\x01\0\0\0\0\0\0" if version == 5 else b"\0\x5a\0\0\0\0\0\0"
        return _tunnel(peer, port, granted)

    def _five(self, sock: socket.socket) -> int | None:
        methods = _exactly(sock, _exactly(sock, 1)[0])
        user = None
        if self._auth is not None:
            if 2 not in methods:
                sock.sendall(b"\x05\xff")
                return None
            sock.sendall(b"\x05\x02")
            assert _exactly(sock, 1) == b"\x01"
            user, password = (_exactly(sock, _exactly(sock, 1)[0]).decode() for _ in "12")
            sock.sendall(b"\x01\x00" if (user, password) == self._auth else b"\x01\x01")
            if (user, password) != self._auth:
                return None
        else:
            sock.sendall(b"\x05\x00")
        assert _exactly(sock, 3) == b"\x05\x01\x00"
        (kind,) = _exactly(sock, 1)
        if kind == 3:
            host = _exactly(sock, _exactly(sock, 1)[0]).decode()
        else:
            family, size = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, _exactly(sock, size))
        (port,) = struct.unpack("!H", _exactly(sock, 2))
        self.asked.append(("5", host, port, user))
        return int(port)

    def _four(self, sock: socket.socket) -> int:
        command, port = struct.unpack("!BH", _exactly(sock, 3))
        assert command == 1
        address = _exactly(sock, 4)
        user = _text(sock)
        if address[:3] == b"\0\0\0" and address[3]:
            self.asked.append(("4a", _text(sock), port, user))
        else:
            self.asked.append(("4", socket.inet_ntoa(address), port, user))
        return int(port)


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise ConnectionError("the client went away")
        data += piece
    return data


def _text(sock: socket.socket) -> str:
    text = b""
    while (byte := _exactly(sock, 1)) != b"\0":
        text += byte
    return text.decode()


def digest_challenges(want: str) -> Callable[[Request], str | None]:
    """For `FaultProxy(auth=...)`: Digest, and the client has to name this user."""

    def challenge(request: Request) -> str | None:
        said = parse_challenges([request.header("proxy-authorization") or ""])
        if said and said[0].scheme == "digest" and said[0].parameters.get("username") == want:
            return None
        return 'Digest realm="proxy", nonce="abc", qop="auth", algorithm=SHA-256'

    return challenge
