"""A warm GET, measured by counts: a kept connection to a server in this process, with 1 KiB of JSON in its answer."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import threading
import tracemalloc
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any, NamedTuple, TypeVar

import adieu
from support.work import Calls

__all__ = ["Work", "async_work", "sync_work"]

_BODY = b'{"items": [1, 2, 3]}'.ljust(1024)
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: test\r\nDate: Sat, 01 Mar 2025 12:00:00 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\nCache-Control: no-cache, no-store\r\n"
    b'ETag: "5e1f-61c2a9d4b3f80"\r\nVary: Accept-Encoding\r\nX-Request-Id: 5f0c6a1e\r\n%b\r\n'
)
_ROUNDS = 12
_HELD = 20

_Response = TypeVar("_Response", adieu.Response, adieu.AsyncResponse)


class Work(NamedTuple):
    """What one GET needs: the least of some rounds, because of what else may happen meanwhile.

    Of memory, the median.
    """

    modules: int
    """Modules of adieu whose functions it enters."""
    python: int
    """Calls of functions of adieu."""
    c: int
    """Calls of functions in C by adieu, the next included."""
    system: int
    """Operations of a socket, or of what waits for sockets."""
    blocks: int
    """Blocks of memory that the response holds."""
    kilobytes: int
    """The most memory that it takes while it runs, in KiB."""
    cyclic: int
    """Objects that only the garbage collector can free."""


def _answer(keep: bool) -> bytes:
    return _ANSWER % (len(_BODY), b"" if keep else b"Connection: close\r\n") + _BODY


@contextmanager
def _thread(keep: bool) -> Iterator[str]:
    """A server that sends a prepared answer to each request, and its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, keep))
        thread.start()
        yield _url(listener)
        listener.shutdown(socket.SHUT_RDWR)  # It wakes `accept`, which a close alone does not.
        thread.join()


def _serve(listener: socket.socket, keep: bool) -> None:
    """One connection after the other, so that all of it is one thread."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            while connection.recv(65_536):
                connection.sendall(_answer(keep))
                if not keep:
                    break


@contextmanager
def _callbacks(keep: bool) -> Iterator[str]:
    """The same from callbacks of the running loop, so that an answer never is there before the client waits for it."""
    loop = asyncio.get_running_loop()
    open_sockets: list[socket.socket] = []

    def accept() -> None:
        connection, _ = listener.accept()
        connection.setblocking(False)
        open_sockets.append(connection)
        loop.add_reader(connection, answer, connection)

    def answer(connection: socket.socket) -> None:
        if connection.recv(4096):
            connection.send(_answer(keep))
            if keep:
                return
        loop.remove_reader(connection)
        open_sockets.remove(connection)
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        loop.add_reader(listener, accept)
        yield _url(listener)
        loop.remove_reader(listener)
        for connection in open_sockets:
            loop.remove_reader(connection)
            connection.close()


def _url(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}/items"


def sync_work(adapter: str) -> Work:
    """The work of `Client(adapter=...).get(url)`."""

    async def get() -> adieu.Response:
        return client.get(url)

    with _thread(adapter != "close") as url, adieu.Client(adapter=adapter) as client:
        return asyncio.run(_work(get))


def async_work(adapter: str) -> Work:
    """The work of `await AsyncClient(adapter=...).get(url)`."""

    async def measured() -> Work:
        with _callbacks(adapter != "close") as url:
            async with adieu.AsyncClient(adapter=adapter) as client:
                return await _work(lambda: client.get(url))

    return asyncio.run(measured())


async def _work(get: Callable[[], Coroutine[Any, Any, _Response]]) -> Work:
    for _ in range(_ROUNDS):
        assert (await get()).content == _BODY
    calls, blocks, peaks = [], [], []
    for _ in range(_ROUNDS):
        with Calls("adieu") as count:
            await get()
        calls.append(count)
    gc.collect()
    for _ in range(_ROUNDS):
        held: list[object] = [None] * _HELD
        before = sys.getallocatedblocks()
        for number in range(_HELD):
            held[number] = await get()
        blocks.append((sys.getallocatedblocks() - before) // _HELD)
    tracemalloc.start()
    for _ in range(_ROUNDS):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        await get()
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    gc.collect()
    gc.disable()
    for _ in range(_ROUNDS):
        await get()
    cyclic = gc.collect() // _ROUNDS
    gc.enable()
    return Work(
        modules=min(len(count.modules) for count in calls),
        python=min(count.python for count in calls),
        c=min(count.c for count in calls),
        system=min(count.system for count in calls),
        blocks=int(median(blocks)),
        kilobytes=int(median(peaks)) // 1024,
        cyclic=cyclic,
    )
