"""What a warm GET costs, in counts: a call, an operation or a block more than the table says is a regression.

Time depends on the machine and its load, these counts do not. They are those of adieu's own functions, so a new version
of h11 or urllib3 changes none of them. A change that saves something lowers the table; one that costs something raises
it, and says in its commit what it buys.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

import pytest

import adieu
from support.warm_get import Work, async_work, sync_work

pytestmark = pytest.mark.skipif(
    sys.implementation.name != "cpython",
    reason="other interpreters count blocks and calls in another way",
)

# As measured on CPython 3.11.
BOUNDS: Final = {
    #                      modules  python    c  system  blocks  kilobytes  cyclic
    ("sync", "native"):   Work( 27,     87,  84,      4,     15,        66,      0),
    ("sync", "h11"):      Work( 27,     87,  94,      4,     19,        66,      0),
    ("sync", "close"):    Work( 44,    188, 159,     12,     16,        69,      0),
    ("sync", "urllib3"):  Work( 34,    184, 186,      4,     25,        67,      0),
    ("async", "native"):  Work( 28,    105,  84,      3,     15,        67,      0),
    ("async", "h11"):     Work( 28,    105,  94,      3,     19,        67,      0),
    ("async", "close"):   Work( 48,    255, 163,     12,     20,        69,      0),
}  # fmt: skip

ALLOWED: Final = 1.0 if sys.version_info[:2] == (3, 11) else 1.1
"""Other versions call C, and allocate, a little more or less often for the same code."""


def exceeded(work: Work, bounds: Work) -> set[str]:
    """The counts that are above their bounds."""
    counts = zip(Work._fields, work, bounds, strict=True)
    return {name for name, found, most in counts if found > most * ALLOWED}


@pytest.mark.parametrize(("mode", "adapter"), BOUNDS)
def test_a_warm_get_costs_no_more_than_the_table_says(mode: str, adapter: str) -> None:
    work = (sync_work if mode == "sync" else async_work)(adapter)
    assert exceeded(work, BOUNDS[mode, adapter]) == set(), work


kept: list[object] = []
spare: list[socket.socket] = []


def call() -> None:
    pass


def operation() -> None:
    spare[0].getsockname()


def many_blocks() -> None:
    kept.extend([object(), object(), object()])


def large_block() -> None:
    bytes(1 << 20)


def cycle() -> None:
    one: list[Any] = []
    one.append(one)


@pytest.mark.skipif(ALLOWED > 1, reason="here the bounds have a reserve")
@pytest.mark.parametrize(
    ("planted", "count"),
    [
        (call, "python"),
        (operation, "c"),
        (operation, "system"),
        (many_blocks, "blocks"),
        (large_block, "kilobytes"),
        (cycle, "cyclic"),
    ],
)
def test_one_more_of_anything_is_noticed(
    planted: Callable[[], None], count: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If `Client.get` did this too. It is called as if a module of adieu had it."""
    assert isinstance(planted, FunctionType)
    extra = FunctionType(planted.__code__, {**globals(), "__name__": "adieu.planted"})
    get = adieu.Client.get

    def costlier(client: adieu.Client, url: str) -> adieu.Response:
        extra()
        return get(client, url)

    work = sync_work("native")
    with socket.socket() as sock:
        spare.append(sock)
        monkeypatch.setattr(adieu.Client, "get", costlier)
        assert count in exceeded(sync_work("native"), work)
    kept.clear()
    spare.clear()
