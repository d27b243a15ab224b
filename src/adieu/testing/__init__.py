"""Tools to test code that uses HTTP, and to test that a client leaves nothing open: adieu or any other.

A mock (`MockAdapter`), recordings (`Recorder`), a proof that nothing stays open (`proves_clean`), a server that
misbehaves on request (`FaultServer`), peers that fail before HTTP begins (`refused_port`, `BlackHole`, `TLSFaults`),
the operating system's table of this process's sockets (`open_sockets`, `established`), and a corpus of replies with the
verdict of a strict client on each (`REPLIES`).

Invariants. Tests and the demo import this package, the rest of adieu does not. It needs nothing but adieu. Its names
are imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adieu.testing.check.profile import ReplyProfile
    from adieu.testing.check.report import AdapterReport, CheckResult
    from adieu.testing.check.run import check_adapter
    from adieu.testing.clean import NotClean, proves_clean
    from adieu.testing.corpus import REPLIES, Reply
    from adieu.testing.faults import FaultServer, payload
    from adieu.testing.faults_net import BlackHole, TLSFaults, refused_port
    from adieu.testing.instead import default_adapter
    from adieu.testing.matching import RecordingMismatch
    from adieu.testing.mock import MockAdapter, UnexpectedRequest
    from adieu.testing.mock_faults import Fault
    from adieu.testing.mock_route import MockCall, MockRoute
    from adieu.testing.recorder import AsyncRecorder, Recorder
    from adieu.testing.socket_table import SocketRow, established, established_rows, open_sockets

__all__ = [
    "REPLIES",
    "AdapterReport",
    "AsyncRecorder",
    "BlackHole",
    "CheckResult",
    "Fault",
    "FaultServer",
    "MockAdapter",
    "MockCall",
    "MockRoute",
    "NotClean",
    "Recorder",
    "RecordingMismatch",
    "Reply",
    "ReplyProfile",
    "SocketRow",
    "TLSFaults",
    "UnexpectedRequest",
    "check_adapter",
    "default_adapter",
    "established",
    "established_rows",
    "open_sockets",
    "payload",
    "proves_clean",
    "refused_port",
]

# The module of each name.
_MODULES = {
    "AdapterReport": "check.report",
    "AsyncRecorder": "recorder",
    "BlackHole": "faults_net",
    "CheckResult": "check.report",
    "Fault": "mock_faults",
    "FaultServer": "faults",
    "MockAdapter": "mock",
    "MockCall": "mock_route",
    "MockRoute": "mock_route",
    "NotClean": "clean",
    "REPLIES": "corpus",
    "Recorder": "recorder",
    "RecordingMismatch": "matching",
    "Reply": "corpus",
    "ReplyProfile": "check.profile",
    "SocketRow": "socket_table",
    "TLSFaults": "faults_net",
    "UnexpectedRequest": "mock",
    "check_adapter": "check.run",
    "default_adapter": "instead",
    "established": "socket_table",
    "established_rows": "socket_table",
    "open_sockets": "socket_table",
    "payload": "faults",
    "proves_clean": "clean",
    "refused_port": "faults_net",
}


if not TYPE_CHECKING:
    # Hidden from type checkers, so that they report a name that does not exist.
    def __getattr__(name: str) -> object:
        module = _MODULES.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found: object = getattr(importlib.import_module(f"{__name__}.{module}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
