"""A wire whose connections and TLS are urllib3's.

urllib3 creates a socket, and wraps it, in local variables: an interrupt there leaves it to whoever drops the traceback.
So the two places where a socket comes into being are ours, by the hooks that urllib3 has for them (`_new_conn`, as its
own SOCKS support uses it, and the TLS context it is given); everything between them is urllib3's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from urllib3 import exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection

from adieu.errors import ConnectError, TLSError
from adieu.net.socket_stream import SocketStream
from adieu.net.tls.config import TLSConfig
from adieu.net.tls.handshake import describe_tls_error
from adieu.net.tls.start import start_tls
from adieu.net.wire import TCPWire

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from adieu.messages.url import Origin
    from adieu.net.scope import ConnectScope
    from adieu.net.stream import ByteStream

__all__ = ["Urllib3Wire"]


class Urllib3Wire(TCPWire):
    """Opens TCP and TLS through urllib3."""

    does_tls = True

    def open(self, origin: Origin, scope: ConnectScope) -> ByteStream:
        if origin.scheme != "https":
            connection: HTTPConnection = _PlainConnection(origin.host, origin.port)
        else:
            connection = self._under_tls(origin.host, origin.port, scope)
        return _connected(connection, lambda: SocketStream(self.connect(origin, scope)), scope)

    def start_tls(self, stream: ByteStream, hostname: str, scope: ConnectScope) -> ByteStream:
        """TLS over the stream that a proxy's tunnel gave."""
        return _connected(self._under_tls(hostname, None, scope), lambda: stream, scope)

    def _under_tls(self, host: str, port: int | None, scope: ConnectScope) -> HTTPConnection:
        context: Any = _OwningContext((scope.tls or TLSConfig()).context_for(), scope)
        # A context of the user's that checks no names is used as it is, as on every adapter.
        unchecked: Literal[False] | None = None if context.check_hostname else False
        return _TLSConnection(host, port, ssl_context=context, assert_hostname=unchecked)


def _connected(connection: Any, born: Callable[[], ByteStream], scope: ConnectScope) -> ByteStream:
    """Let urllib3 connect, with the stream that is born when it wants a socket."""
    connection.timeout = scope.remaining()
    connection.born = born
    try:
        connection.connect()
    except exceptions.HTTPError as error:
        raise _translated(error, connection.host) from error
    finally:
        del connection.born  # It refers to what refers to it.
    made = connection.sock
    return made.stream if isinstance(made, _Secured) else made  # type: ignore[no-any-return]


class _PlainConnection(HTTPConnection):
    born: Any

    def _new_conn(self) -> socket.socket:
        return self.born()  # type: ignore[no-any-return]


class _TLSConnection(HTTPSConnection):
    born: Any

    def _new_conn(self) -> socket.socket:
        return self.born()  # type: ignore[no-any-return]


class _Secured:
    """A stream under TLS, as urllib3 looks at one."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.getpeercert = stream.tls.getpeercert
        self.close = stream.close


class _OwningContext:
    """A TLS context whose sockets belong to a scope before their handshake begins.

    What urllib3 sets on it stays here: the context is shared, by other clients too.
    """

    def __init__(self, context: ssl.SSLContext, scope: ConnectScope) -> None:
        self._context = context
        self._opening = scope

    def wrap_socket(self, stream: ByteStream, server_hostname: str) -> _Secured:
        return _Secured(start_tls(stream, server_hostname, self._opening))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def _translated(error: exceptions.HTTPError, host: str) -> ConnectError:
    cause = error.__cause__ or error.__context__
    if isinstance(error, exceptions.SSLError):
        reason = error.args[0] if error.args else error
        return TLSError(
            describe_tls_error(reason if isinstance(reason, Exception) else error, host)
        )
    return ConnectError(f"cannot connect to {host}: {cause or error}")
