"""The `ConnectionCls` of the pools: urllib3's connections, whose socket has an owner from its birth.

urllib3 makes a socket, and wraps it, in local variables: an interrupt there leaves it open until the traceback is
dropped. So the places where a socket comes into being are adieu's, by the hooks that urllib3 has for them: `_new_conn`,
as its own SOCKS support uses it, the TLS context, and `response_class`. Everything between them is urllib3's.
"""

from __future__ import annotations

import http.client
import ssl
from typing import TYPE_CHECKING, Any

from urllib3 import HTTPHeaderDict
from urllib3.connection import HTTPConnection, HTTPSConnection

from adieu.net.tls.start import start_tls
from adieu_urllib3.opening import open_connection, reach
from adieu_urllib3.peer import PeerSocket
from adieu_urllib3.sending import sending
from adieu_urllib3.tunnel import check_tunnel

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping

    from adieu_urllib3.lease import Urllib3Lease

__all__ = ["PlainConnection", "TLSConnection"]


class CheckedResponse(http.client.HTTPResponse):
    """A response whose head was checked before http.client reads it; a proxy's answer to CONNECT is one, too."""

    # An interrupt may come before http.client has set it, and closing such a response looks at it.
    fp = None  # type: ignore[assignment]

    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        lease = sending()
        if lease.phase == "proxy":
            check_tunnel(sock, lease.settings.route, lease.origin)

    def begin(self) -> None:
        """Wait for the final head. Interim responses, of which http.client knows 100 alone, are events."""
        if self.headers is None:
            lease = sending()
            lease.phase = "head"
            connection = lease.held
            sock = connection.sock
            assert sock is not None
            facts = sock.final_head(lease.method, lambda status: _tell(lease, status))
            super().begin()
            sock.body_begins(facts)
            lease.learn(facts, self)
            # http.client does not understand "5, 5", and takes each option that has "close" in it for "close".
            self.length = facts.length
            if facts.framing == "none" and not facts.by_name.get("content-length", "0").isdigit():
                # Nor does urllib3, which would refuse it although this response has no content to be framed.
                del self.headers["Content-Length"]
            self.will_close = not facts.keep_alive


class _LeasedConnection(HTTPConnection):
    """What both kinds of connections have of adieu."""

    response_class = CheckedResponse

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        sending().held.conn = self

    @property
    def is_connected(self) -> bool:
        """The adapter has looked whether the peer has closed or said something, just before urllib3 asks."""
        return self.sock is not None

    def connect(self) -> None:
        open_connection(sending(), super().connect)

    def _new_conn(self) -> socket.socket:
        lease = sending()
        connection = lease.held
        assert connection.scope is not None
        connection.sock = PeerSocket(reach(lease, connection.scope), connection.scope)
        if lease.is_tunnelled:
            lease.phase = "proxy"
        return connection.sock  # type: ignore[return-value]

    def set_tunnel(
        self,
        host: str,
        port: int | None = None,
        headers: Mapping[str, str] | None = None,
        scheme: str = "http",
    ) -> None:
        fields = HTTPHeaderDict({"Host": f"{host}:{port}"})
        fields.extend(headers or {})
        super().set_tunnel(host, port, fields, scheme)

    def request(  # type: ignore[override]
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        lease = sending()
        out = lease.out
        assert out is not None
        lease.phase = "write"
        if out.expects:
            body = self._once_wanted(body)
        fields: Any = out.fields_as_sent(headers)
        # The target is as the URL has it: urllib3 writes escapes anew, which breaks signed URLs.
        super().request(method, out.target, body=body, headers=fields, **options)
        lease.sent = "wholly"
        if lease.events is not None:
            lease.events.request_sent(lease.connection_id, lease.head_bytes, lease.body_bytes)

    def _once_wanted(self, body: bytes | Iterator[bytes]) -> Iterator[bytes]:
        """The body, which is not read before the peer has said that it wants it."""
        lease, sock = sending(), self.sock
        assert isinstance(sock, PeerSocket)
        sock.await_continue(lambda status: _tell(lease, status))
        if isinstance(body, bytes):
            yield body
        else:
            yield from body

    def send(self, data: Any) -> None:
        lease = sending()
        out = lease.out
        assert out is not None
        if self.sock is None:
            self.connect()
        if lease.phase == "proxy":
            super().send(data)  # CONNECT
        elif lease.sent == "no":
            lease.sent = "partly"
            if lease.events is not None:
                lease.head_bytes = len(data)
            super().send(data)
        else:
            if lease.events is not None:
                lease.body_bytes += len(data)
            sock: Any = self.sock
            sock.send_body(data, out.closes, lambda status: _tell(lease, status))


class PlainConnection(_LeasedConnection):
    """A connection to an http origin, or to a proxy that forwards."""


class TLSConnection(_LeasedConnection, HTTPSConnection):
    """A connection to an https origin, directly or through a tunnel."""

    def connect(self) -> None:
        self.ssl_context = _Context()  # type: ignore[assignment]
        # The handshake checks names and fingerprints, as the TLS settings say.
        self.assert_hostname = False
        super().connect()


class _Context:
    """What urllib3 takes for a TLS context. The TLS settings are the lease's; what urllib3 sets on it stays here."""

    verify_mode = ssl.CERT_REQUIRED
    check_hostname = False

    def set_alpn_protocols(self, protocols: list[str]) -> None:
        """Nothing: adieu's contexts offer HTTP/1.1."""

    def wrap_socket(self, sock: PeerSocket, server_hostname: str | None = None) -> PeerSocket:
        """The connection under TLS, with the handshake done."""
        lease = sending()
        connection = lease.held
        assert connection.scope is not None
        lease.phase = "tls"
        stream = start_tls(sock.stream, lease.origin.host.rstrip("."), connection.scope)
        connection.sock = PeerSocket(stream, connection.scope)
        return connection.sock


def _tell(lease: Urllib3Lease, status: int) -> None:
    """A 1xx has come (RFC 9110, section 15.2)."""
    if lease.events is not None:
        lease.events.informational(lease.connection_id, status)
