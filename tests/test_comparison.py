"""The statements of docs/features.md about adieu, checked with the cases of `comparison.py`."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from comparison import CASES, Adieu, script

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing.faults import FaultServer

OUTCOMES = {
    "a body with 5 of 500 bytes": "BodyTruncated: ",
    "a gzip body cut short": "DecodeError: ",
    "a chunked body cut short": "BodyTruncated: ",
    "a TLS body cut without close_notify": "BodyTruncated: ",
    "endless 1xx": "ProtocolError: ",
    "a surplus response": "gave 200, 8 bytes / then gave 200, 41 bytes",
    "100 bytes dripped over 5 s, total 0.5 s": "DeadlineExceeded: ",
    "a stream dropped unread, in a cycle": "gave 200",
    "a stream held unread": "PoolTimeout: ",
    "a stream closed early": "gave 200",
    "use after close": "ClientClosed: ",
    "reading on after the client was closed": "ClientClosed: ",
    "a redirect with 50 MiB": "gave 200, 41 bytes; left",
    "GET on a connection that dies": "gave 200, 41 bytes; 2 sent",
    "POST on a connection that dies": "PeerClosed: ",
    "204 kB of gzip that are 200 MiB": "BodyTooLarge: ",
    "a redirect to another origin": "sends no secret to another origin",
    "a redirect from https to http": "RedirectError: ",
    "an answer before the upload is over": "gave 413",
    "Expect: 100-continue": "gave 413",
    "a 417 to Expect: 100-continue": "gave 200, 5000 bytes",
    "pickle": "client ",
}


class Patient(Adieu):
    """A busy machine may stand still for a second, and no case is about these limits."""

    patience = 30


@pytest.fixture
def collecting() -> Iterator[None]:
    """Switch the collector on again: a case may switch it off, because it has a process of its own elsewhere."""
    yield
    gc.enable()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Some cases leave sockets open on purpose.
@pytest.mark.parametrize("case", CASES)
def test_adieu_behaves_as_the_table_says(
    case: str, fault_server: FaultServer, collecting: None
) -> None:
    script(fault_server)
    said = CASES[case](Patient, fault_server)
    assert said.startswith(OUTCOMES[case])
    if case == "pickle":
        assert "response yes, status error yes" in said
    if case == "Expect: 100-continue":
        assert said.endswith("waited")
    if case == "POST on a connection that dies":
        assert said.endswith("1 sent")
