"""What proves that a client says goodbye, shipped so that everybody can prove it.

A server that misbehaves on request (`FaultServer`), peers that fail before HTTP begins
(`refused_port`, `BlackHole`, `TLSFaults`), the operating system's count of this process's sockets
(`open_sockets`, `established`), and a corpus of replies with what a strict client makes of each
(`REPLIES`).

Rules of the room: nothing of adieu imports this, it is imported by tests. It needs the standard
library alone, and what it exports is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adieu.testing.corpus import REPLIES, Reply
    from adieu.testing.faults import FaultServer, payload
    from adieu.testing.faults_net import BlackHole, TLSFaults, refused_port
    from adieu.testing.socket_table import SocketRow, established, established_rows, open_sockets

__all__ = [
    "REPLIES",
    "BlackHole",
    "FaultServer",
    "Reply",
    "SocketRow",
    "TLSFaults",
    "established",
    "established_rows",
    "open_sockets",
    "payload",
    "refused_port",
]

_HOMES = {
    "BlackHole": "faults_net",
    "FaultServer": "faults",
    "REPLIES": "corpus",
    "Reply": "corpus",
    "SocketRow": "socket_table",
    "TLSFaults": "faults_net",
    "established": "socket_table",
    "established_rows": "socket_table",
    "open_sockets": "socket_table",
    "payload": "faults",
    "refused_port": "faults_net",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
