"""`proves_clean`: a block that fails if something that was opened in it stays open, with what, and by which line."""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING
from weakref import ref

from adieu.client.base import ClientBase
from adieu.errors import InvalidRequest
from adieu.lifecycle.steps import adrive, drive
from adieu.testing.ledger import Ledger, opened
from adieu.testing.socket_table import CONNECTED, SocketRow, open_sockets

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from types import TracebackType

    from adieu.client.async_client import AsyncClient
    from adieu.client.client import Client
    from adieu.lifecycle.events import LeaseInfo, Listeners
    from adieu.lifecycle.steps import Steps
    from adieu.testing.ledger import LedgerLine

__all__ = [
    "PAUSE",
    "TRIES",
    "NotClean",
    "Sockets",
    "proves_clean",
    "report",
    "shown_row",
    "surplus",
]

# Other clients close their sockets a little later, in a thread or in a turn of the event loop.
TRIES = 20
PAUSE = 0.01
_SHOWN = 50


class NotClean(AssertionError):
    """Something was left open. The text says what, by which line, and has the ledger; `faults` are its first lines."""

    def __init__(self, message: str, faults: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)


class Sockets:
    """The client ends of this process's connections, compared with those at an earlier time."""

    def __init__(self) -> None:
        self.known = {_identity(row) for row in open_sockets()}

    def new(self) -> list[SocketRow]:
        """Those that were opened since, dead ones included; listening sockets and a server's ends do not count."""
        rows = open_sockets()
        listening = {_place(row) for row in rows if row.state == "LISTEN"}
        return [
            row
            for row in rows
            if (row.state in CONNECTED or (row.state == "CLOSE" and row.family != "unix"))
            and _place(row) not in listening
            and _identity(row) not in self.known
        ]

    def allow(self, rows: Collection[SocketRow]) -> None:
        """These are known, too, from now on."""
        self.known.update(map(_identity, rows))


def _identity(row: SocketRow) -> object:
    return row.inode or row[:5]


def _place(row: SocketRow) -> object:
    return row.local[1] if isinstance(row.local, tuple) else row.local


class proves_clean:  # noqa: N801 - it reads as what it does: `with proves_clean(client):`
    """A `with` or `async with` block in which these clients, and all other code, leave nothing open.

    ```python
    with proves_clean(client):
        run()
    ```

    Raises `NotClean`, an `AssertionError`, if at the end of the block a response of these clients is still open, or one
    was dropped unread, or this process has sockets that it did not have at the beginning, whoever opened them. Idle
    connections in the pools of these clients may stay. The text has the ledger of the block: every exchange, the line
    that made it, and how it ended. An error that leaves the block is raised as it is.

    Without clients it counts sockets alone. The clients listen to one more `events` listener during the block.
    """

    def __init__(self, *clients: Client | AsyncClient) -> None:
        for client in clients:
            if not isinstance(client, ClientBase):
                raise InvalidRequest(
                    f"proves_clean() takes clients of adieu, or nothing, not {type(client).__name__}"
                )
        self._clients = clients
        self.ledger = Ledger()

    def __enter__(self) -> Ledger:
        if any(client.awaits for client in self._clients):
            raise InvalidRequest("proves_clean(AsyncClient) is a block of `async with`")
        return self._begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end_listening()
        if error is None:
            drive(self._check())

    async def __aenter__(self) -> Ledger:
        return self._begin()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end_listening()
        if error is None:
            await adrive(self._check(awaits=True))

    def _begin(self) -> Ledger:
        self._sockets = Sockets()
        self._held_before = {ref(body) for client in self._clients for body in client.watched()}
        self._idle_before = self._idle()
        self._events: list[Listeners] = [client.events for client in self._clients]
        for client, events in zip(self._clients, self._events, strict=True):
            client.events = (*events, self.ledger)
        return self.ledger

    def _end_listening(self) -> None:
        for client, events in zip(self._clients, self._events, strict=True):
            client.events = events

    def _idle(self) -> set[int]:
        """The connections that wait in the pools of the clients."""
        return {
            connection.id
            for client in self._clients
            for connection in client.connections()
            if connection.lease is None
        }

    def _check(self, *, awaits: bool = False) -> Steps[None]:
        faults = self._faults()
        for _ in range(TRIES):
            if not faults:
                return
            yield _pause(awaits)
            faults = self._faults()
        raise NotClean(report(faults, self.ledger.lines), faults)

    def _faults(self) -> list[str]:
        faults = self.ledger.faults(self.ledger.lines)
        faults += self.ledger.leaks_elsewhere()
        faults += [f"{opened(info)}: STILL OPEN" for info in self._open_elsewhere()]
        return faults + surplus(self._sockets.new(), len(self._idle() - self._idle_before), faults)

    def _open_elsewhere(self) -> list[LeaseInfo]:
        """The responses and WebSockets that were opened in the block, and have no connection that the ledger knows."""
        return [
            info
            for client in self._clients
            for held in client.watched()
            if ref(held) not in self._held_before and (info := held.held_outside()) is not None
        ]


def surplus(rows: list[SocketRow], idle: int, faults: Collection[str]) -> list[str]:
    """The sockets that are more than the idle connections, and than the exchanges that are faults already."""
    count = len(rows) - idle
    if count <= 0 or count <= sum("STILL OPEN" in fault for fault in faults):
        return []
    beside = f", beside {idle} idle connections of the clients" if idle else ""
    lines = [f"{len(rows)} sockets of this process are open{beside}:"]
    lines += [f"    {shown_row(row)}" for row in rows[:_SHOWN]]
    return ["\n".join(lines)]


def report(faults: Iterable[str], lines: Sequence[LedgerLine]) -> str:
    """The text of a `NotClean`."""
    text = ["not clean:", *(f"  {fault}" for fault in faults)]
    shown = lines[-_SHOWN:]
    if shown:
        text.append(f"the ledger, {len(shown)} of {len(lines)} exchanges:")
        text += [f"  {line}" for line in shown]
    return "\n".join(text)


def shown_row(row: SocketRow) -> str:
    """A socket for a text."""
    local, remote = (_address(address) for address in (row.local, row.remote))
    return f"{row.family} {local} to {remote}, {row.state} (descriptor {row.fd})"


def _address(address: object) -> str:
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address or "nowhere")


def _pause(awaits: bool) -> object:
    if not awaits:
        sleep(PAUSE)
        return None
    from adieu.net.async_backend import current_backend

    return current_backend().sleep(PAUSE)
