"""A workaround for a bug of PyPy's ssl: the error when the connection under TLS has been reset or closed.

OpenSSL has no text for errors of the system. PyPy (7.3) looks for one all the same, and raises a `RuntimeError`, which
code for broken connections does not expect. Sockets and objects of a context that went through `patched` raise the
right error.
"""

from __future__ import annotations

import errno
import platform
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["patched"]


def patched(context: ssl.SSLContext) -> ssl.SSLContext:
    """The same context; on PyPy its sockets raise `ConnectionResetError` where they would raise `RuntimeError`.

    One that makes sockets of another class, or is of another library, is left as it is.
    """
    if platform.python_implementation() == "PyPy" and isinstance(context, ssl.SSLContext):
        if context.sslsocket_class is ssl.SSLSocket:
            context.sslsocket_class = PatchedSocket
        if context.sslobject_class is ssl.SSLObject:
            context.sslobject_class = PatchedObject
    return context


def _with_reset(kind: type[ssl.SSLSocket | ssl.SSLObject], name: str) -> Callable[..., object]:
    def method(self: object, *args: object, **options: object) -> object:
        try:
            return getattr(kind, name)(self, *args, **options)
        except RuntimeError as error:
            raise ConnectionResetError(
                errno.ECONNRESET, "the peer reset the TLS connection"
            ) from error

    return method


class PatchedSocket(ssl.SSLSocket):
    """See `patched`."""

    if not TYPE_CHECKING:
        do_handshake = _with_reset(ssl.SSLSocket, "do_handshake")
        recv = _with_reset(ssl.SSLSocket, "recv")
        recv_into = _with_reset(ssl.SSLSocket, "recv_into")
        send = _with_reset(ssl.SSLSocket, "send")
        sendall = _with_reset(ssl.SSLSocket, "sendall")
        unwrap = _with_reset(ssl.SSLSocket, "unwrap")


class PatchedObject(ssl.SSLObject):
    """See `patched`."""

    if not TYPE_CHECKING:
        do_handshake = _with_reset(ssl.SSLObject, "do_handshake")
        read = _with_reset(ssl.SSLObject, "read")
        write = _with_reset(ssl.SSLObject, "write")
        unwrap = _with_reset(ssl.SSLObject, "unwrap")
