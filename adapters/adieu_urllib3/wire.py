"""A wire whose connections and TLS are urllib3's.

urllib3 creates a socket, and wraps it, in local variables: an interrupt there leaves it to whoever drops the traceback.
So the two places where a socket comes into being are ours, by the hooks that urllib3 has for them (`_new_conn`, as its
own SOCKS support uses it, and the TLS context it is given); everything between them is urllib3's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from urllib3 import exceptions
from urllib3.connection import HTTPConnection, HTTPSConnection

from adieu.errors import ConnectError, TLSError
from adieu.transport.stream import SocketStream
from adieu.transport.tls import TLSConfig, describe_tls_error, handshake
from adieu.transport.wire import TCPWire

if TYPE_CHECKING:
    import socket
    import ssl

    from adieu.messages.origin import Origin
    from adieu.transport.wire import Opening

__all__ = ["Urllib3Wire"]

_TLS_ONLY = ("assert_fingerprint", "assert_hostname", "server_hostname")


class Urllib3Wire(TCPWire):
    """Opens TCP and TLS through urllib3. `options` go to urllib3's connection classes."""

    does_tls = True

    def __init__(self, **options: Any) -> None:
        # Refused now, by the class that knows its options, and not at the first request.
        HTTPSConnection("localhost", **options)
        self._options = options

    def open(self, origin: Origin, opening: Opening) -> SocketStream:
        connection: HTTPConnection
        if origin.scheme == "https":
            context = (opening.tls or TLSConfig()).context_for()
            owning: Any = _OwningContext(context, opening)
            connection = _TLSConnection(
                origin.host, origin.port, ssl_context=owning, **self._options
            )
        else:
            plain = {name: self._options[name] for name in self._options if name not in _TLS_ONLY}
            connection = _PlainConnection(origin.host, origin.port, **plain)
        connection.timeout = opening.left()
        connection.born = lambda: self.connect(origin, opening)
        try:
            connection.connect()
        except exceptions.HTTPError as error:
            raise _translated(error, origin) from error
        finally:
            del connection.born  # It refers to what refers to it.
        return SocketStream(connection.sock)


class _PlainConnection(HTTPConnection):
    born: Any

    def _new_conn(self) -> socket.socket:
        return self.born()  # type: ignore[no-any-return]


class _TLSConnection(HTTPSConnection):
    born: Any

    def _new_conn(self) -> socket.socket:
        return self.born()  # type: ignore[no-any-return]


class _OwningContext:
    """A TLS context whose sockets belong to an opening before their handshake begins."""

    def __init__(self, context: ssl.SSLContext, opening: Opening) -> None:
        self.__dict__.update(_context=context, _opening=opening)

    def wrap_socket(self, sock: socket.socket, server_hostname: str | None = None) -> ssl.SSLSocket:
        wrapped: ssl.SSLSocket = self._context.wrap_socket(
            sock,
            server_hostname=server_hostname,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
        )
        self._opening.own(wrapped)
        wrapped.settimeout(self._opening.left())
        handshake(wrapped)
        return wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._context, name, value)


def _translated(error: exceptions.HTTPError, origin: Origin) -> ConnectError:
    cause = error.__cause__ or error.__context__
    if isinstance(error, exceptions.SSLError):
        reason = error.args[0] if error.args else error
        return TLSError(
            describe_tls_error(reason if isinstance(reason, Exception) else error, origin.host)
        )
    return ConnectError(f"cannot connect to {origin}: {cause or error}")
