"""The pytest plugin of adieu: fixtures, and a check of a whole test suite for what it leaves open.

- `clean_client`: an `adieu.Client`; the test fails if it leaves a response or a socket open.
- `default_mock`: an `adieu.testing.MockAdapter`, to which `adieu.get()` and new clients send in this test.
- `fault_server`: an `adieu.testing.FaultServer`.
- `--adieu-clean`, or `adieu_clean` in the configuration file: every test fails that leaves something open.

pytest imports this module in every run where adieu is installed. So it stands beside the package, and imports it only
in what is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu import Client
    from adieu.testing import FaultServer, MockAdapter

__all__ = ["clean_client", "clean_client_options", "default_mock", "fault_server"]

_MODES = ("off", "responses", "sockets")
_HELP = (
    "fail each test that leaves a response of adieu's open ('responses'), or also any socket of this process "
    "('sockets', the default of the option)"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option and the setting."""
    parser.getgroup("adieu").addoption(
        "--adieu-clean", nargs="?", const="sockets", choices=_MODES, help=_HELP
    )
    parser.addini("adieu_clean", f"{_HELP}; 'off' is the default", default="off")


def pytest_configure(config: pytest.Config) -> None:
    """Begin the check, if it was asked for."""
    config.addinivalue_line(
        "markers", "adieu_leaks(why): --adieu-clean does not check what this test leaves open"
    )
    mode = config.getoption("adieu_clean") or config.getini("adieu_clean")
    if mode not in _MODES:
        raise pytest.UsageError(f"adieu_clean is one of {', '.join(_MODES)}, not {mode!r}")
    if mode != "off":
        from adieu.testing.clean_suite import CleanSuite

        config.pluginmanager.register(CleanSuite(sockets=mode == "sockets"), "adieu-clean")


@pytest.fixture
def clean_client_options() -> dict[str, Any]:
    """The options of `clean_client`: overwrite this fixture to change them."""
    return {}


@pytest.fixture
def clean_client(clean_client_options: dict[str, Any]) -> Iterator[Client]:
    """An `adieu.Client`. The test fails if it leaves one of its responses, or any socket of this process, open."""
    from adieu import Client
    from adieu.testing import proves_clean

    with proves_clean(), Client(**clean_client_options) as client, proves_clean(client):
        yield client


@pytest.fixture
def default_mock() -> Iterator[MockAdapter]:
    """A new `MockAdapter`, which one-shot functions and clients without `adapter=` use in this test.

    The test fails if a request had no route, also if the code under test has caught that error.
    """
    from adieu.testing import MockAdapter, default_adapter

    with default_adapter(MockAdapter()) as mock:
        yield mock
    if mock.unexpected:
        pytest.fail(f"nothing was mocked for: {', '.join(map(repr, mock.unexpected))}")


@pytest.fixture
def fault_server() -> Iterator[FaultServer]:
    """A new `adieu.testing.FaultServer`, closed at the end of the test."""
    from adieu.testing import FaultServer

    with FaultServer() as server:
        yield server
