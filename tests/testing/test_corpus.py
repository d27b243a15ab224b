from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from adieu.testing.corpus import BY_NAME, REPLIES, Reply
from adieu.testing.corpus.tolerated import TOLERATED
from support import raw
from support.parse import by_h11

if TYPE_CHECKING:
    from adieu.testing.faults import FaultServer

pytestmark = pytest.mark.lifecycle

everything = pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: reply.name)

# The replies on which h11 0.16 alone is laxer than the corpus. A client needs a check of its own for each.
H11_DELIVERS = {
    "version-0.9",
    "version-2.0",
    "ten-thousand-1xx",
    "coding-and-length",
    "length-and-coding",
    "chunk-last-then-lf",
    "chunk-extension-with-cr-inside",
    "chunk-extension-with-nul",
    "chunk-trailer-folded",
    "chunk-trailer-ends-in-lf",
}
# h11 checks its limit for a head only while the head is incomplete, so one large read evades it.
H11_DELIVERS_AT_ONCE = {
    "field-of-a-megabyte",
    "reason-of-a-megabyte",
    "ten-thousand-fields",
    "chunk-extension-of-a-megabyte",
    "chunk-trailer-of-a-megabyte",
}
# What is to be tolerated once, h11 tolerates again and again, or refuses, as it does wrong lengths in trailers.
H11_REFUSES = {
    "chunk-size-space-first",
    "chunk-space-before-extension",
    "head-with-a-bad-length",
    "head-with-both",
    "304-with-two-lengths",
    "204-with-both",
    "100-with-a-bad-length",
    "chunked-trailer-with-a-wrong-length",
}
H11_REUSES = {"204-length-five", "204-chunked"} | {
    reply.name for reply in TOLERATED if reply.name != "coding-in-http-1.0"
}


def test_there_are_enough_entries_of_both_verdicts_and_names_are_unique() -> None:
    assert len(BY_NAME) == len(REPLIES)
    assert len([reply for reply in REPLIES if reply.verdict == "ok"]) >= 40
    assert len([reply for reply in REPLIES if reply.verdict == "error"]) >= 80


@everything
def test_an_entry_has_all_fields_of_its_verdict(reply: Reply) -> None:
    assert re.fullmatch("[a-z0-9][a-z0-9.-]+", reply.name)
    assert re.match(r"911[023] [A-C0-9]", reply.why)
    assert reply.request_method in {"GET", "HEAD"}
    if reply.verdict == "ok":
        assert reply.status is not None
        assert reply.body is not None
        assert not (reply.reusable and reply.closes)
        assert reply.body in reply.raw.replace(b"\r\n6\r\n", b"") or b"hunked" in reply.raw
    else:
        assert (reply.status, reply.body, reply.reusable) == (None, None, False)
        assert reply.closes


@everything
def test_an_entry_can_be_served(reply: Reply, fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        close = () if reply.closes else ("Connection: close",)
        path = f"/garbage?kind={reply.name}"
        sock.sendall(raw.request(path, *close, method=reply.request_method))
        assert raw.read_to_end(sock) == reply.raw


@everything
@pytest.mark.parametrize("size", [1, 1000, 65_536, 1 << 30])
def test_h11_alone_agrees_except_for_the_known_entries(reply: Reply, size: int) -> None:
    if size == 1 and len(reply.raw) > 20_000:
        size = 100
    outcome = by_h11(reply.raw, reply.request_method, closes=reply.closes, size=size)
    at_once = size >= len(reply.raw)
    if reply.name in H11_DELIVERS or (reply.name in H11_DELIVERS_AT_ONCE and at_once):
        assert outcome[:3] == ("ok", 200, b"hello")
    elif reply.verdict == "error" or reply.name in H11_REFUSES:
        assert outcome.verdict == "error"
    else:
        reused = reply.reusable or reply.name in H11_REUSES
        assert outcome == ("ok", reply.status, reply.body, reused)


def test_the_known_disagreements_of_h11_are_in_the_corpus() -> None:
    known = H11_DELIVERS | H11_DELIVERS_AT_ONCE | H11_REFUSES | H11_REUSES
    assert not known - set(BY_NAME)
