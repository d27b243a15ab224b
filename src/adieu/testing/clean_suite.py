"""`pytest --adieu-clean`: after each test, what it has left open. For the plugin `pytest_adieu`.

A fixture of a wider scope may keep open what it opens while it is set up, and so may the pools of adieu's clients keep
idle connections. A test that failed anyway is not checked: its traceback keeps what the test had.
"""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING

import pytest

from adieu.client.settings import listen_by_default
from adieu.testing.clean import PAUSE, TRIES, Sockets, report, surplus
from adieu.testing.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Generator

    from adieu.testing.ledger import LedgerLine

__all__ = ["CleanSuite"]


class CleanSuite:
    """The hooks. `sockets`: count those of this process, too."""

    def __init__(self, *, sockets: bool) -> None:
        self.ledger = Ledger()
        self._counts_sockets = sockets
        self._sockets = Sockets()
        self._idle_before: set[int] = set()
        self._kept: list[LedgerLine] = []
        self._has_failed = False
        listen_by_default(self.ledger)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Generator[None]:
        """Remember what is there before the test."""
        self.ledger.forget()
        self._kept = list(self.ledger.lines)
        self._idle_before = self.ledger.idle()
        self._sockets = Sockets()
        self._has_failed = False
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[object]
    ) -> Generator[None, object, object]:
        """What a fixture of a wider scope opens belongs to no test."""
        if fixturedef.scope == "function":
            return (yield)
        before = [*self._kept, *self.ledger.lines]
        try:
            return (yield)
        finally:
            self._kept += [line for line in self.ledger.lines if line not in before]
            self._sockets.allow(self._sockets.new())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note whether the test has failed or was skipped."""
        self._has_failed = self._has_failed or call.excinfo is not None
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """Look, after all fixtures of the test have ended, for what is still open."""
        result = yield
        if not self._has_failed and item.get_closest_marker("adieu_leaks") is None:
            self._check()
        return result

    def pytest_unconfigure(self) -> None:
        """Clients that are made from now on have no listener again."""
        listen_by_default()

    def _check(self) -> None:
        faults = self._faults()
        for _ in range(TRIES):
            if not faults:
                return
            sleep(PAUSE)
            faults = self._faults()
        pytest.fail(report(faults, self._lines()), pytrace=False)

    def _lines(self) -> list[LedgerLine]:
        """The exchanges of this test."""
        return [line for line in self.ledger.lines if line not in self._kept]

    def _faults(self) -> list[str]:
        ledger = self.ledger
        faults = ledger.faults(self._lines())
        faults += ledger.leaks_elsewhere()
        if not self._counts_sockets:
            return faults
        idle = len(ledger.idle() - self._idle_before)
        return faults + surplus(self._sockets.new(), idle, faults)
