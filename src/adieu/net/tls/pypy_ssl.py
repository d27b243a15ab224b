"""A bug of PyPy's ssl, mended in one place: what it says when the peer of a TLS socket has reset the connection.

OpenSSL has no text for errors of the system. PyPy (7.3) looks for it all the same, and stumbles with a `RuntimeError`
that no code for broken connections expects. Contexts that went through `mended` make sockets that say what happened.
"""

from __future__ import annotations

import errno
import platform
import ssl
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["mended"]


def mended(context: ssl.SSLContext) -> ssl.SSLContext:
    """The same context; on PyPy its sockets raise `ConnectionResetError` where they would raise `RuntimeError`."""
    if platform.python_implementation() == "PyPy":
        context.sslsocket_class = MendedSocket
    return context


def _telling(name: str) -> Callable[..., Any]:
    def method(self: ssl.SSLSocket, *args: Any, **options: Any) -> Any:
        try:
            return getattr(ssl.SSLSocket, name)(self, *args, **options)
        except RuntimeError as error:
            raise ConnectionResetError(
                errno.ECONNRESET, "the peer reset the TLS connection"
            ) from error

    return method


class MendedSocket(ssl.SSLSocket):
    """See `mended`."""

    if not TYPE_CHECKING:
        do_handshake = _telling("do_handshake")
        recv = _telling("recv")
        recv_into = _telling("recv_into")
        send = _telling("send")
        sendall = _telling("sendall")
        unwrap = _telling("unwrap")
