"""One call of a socket that fails: any adapter's, whatever library opens its sockets."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

__all__ = ["FailingCall"]

# The calls that a client makes on a socket of Python's. Those of ssl and asyncio are these.
_CALLS = ("connect", "connect_ex", "recv", "recv_into", "send", "sendall", "sendmsg", "setsockopt")


class FailingCall:
    """While it is entered, the `nth` call of a socket that is, or is being, connected to `port` raises `error`.

    `struck` is the name of that call; "" if there were fewer calls. An error that is no `Exception` is raised in the
    thread that has entered, and others do not count then: it stands for an interrupt, which comes there.
    """

    def __init__(self, port: int, nth: int, error: type[BaseException]) -> None:
        self.struck = ""
        self._port = port
        self._left = nth
        self._error = error
        self._lock = threading.Lock()
        self._thread = None if issubclass(error, Exception) else threading.get_ident()

    def __enter__(self) -> Self:
        for name in _CALLS:
            if hasattr(socket.socket, name):
                setattr(socket.socket, name, self._around(name, getattr(socket.socket, name)))
        return self

    def __exit__(self, *error: object) -> None:
        for name in _CALLS:
            # They are inherited from the class in C, so it is enough to take away what hides them.
            if name in vars(socket.socket):
                delattr(socket.socket, name)

    def _around(self, name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(sock: socket.socket, *args: Any, **options: Any) -> Any:
            if self._counts(name, sock, args) and self._is_the_one():
                self.struck = name
                if name.startswith("connect"):
                    # `socket.create_connection` leaves it to the collector after an interrupt. Nothing is connected.
                    sock.close()
                raise self._error("injected into a call of a socket")
            return plain(sock, *args, **options)

        return call

    def _counts(self, name: str, sock: socket.socket, args: tuple[Any, ...]) -> bool:
        if self._thread not in (None, threading.get_ident()):
            return False
        try:
            address = args[0] if name.startswith("connect") else sock.getpeername()
        except OSError:  # It is not connected.
            return False
        return isinstance(address, tuple) and address[1] == self._port

    def _is_the_one(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left == 0
