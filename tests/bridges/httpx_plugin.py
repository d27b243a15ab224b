"""A plugin for pytest with which every client of httpx sends over adieu: for the tests of httpx.

The tests that cannot pass are listed, and have to fail. The last line counts the tests that use the network.
"""

from __future__ import annotations

from typing import Any

import httpx
import httpx._client
import pytest

import adieu
from adieu_httpx.httpx import AdieuTransport, AsyncAdieuTransport

# With a part of the names of the tests.
EXPECTED = {
    "test_proxies_environ[": "looks at HTTPTransport._pool, where a proxy is used",
    "test_socks_proxy": "looks at HTTPTransport._pool",
    "test_httpcore_lazy_loading": "looks whether httpcore was imported",
    "test_httpcore_exception_mapping": "replaces a method of httpcore",
    "test_write_timeout[": "a limit of a microsecond; adieu sends without waiting, so nothing takes longer",
    "test_pool_timeout": "a body that came with its head holds no connection, so there is a free one",
    "test_main.py": "the command prints what httpcore tells the extension `trace`",
}
# They fail without adieu, too, where this is missing, or where uvicorn logs.
DEPEND = {
    "_proxy_close": "needs the internet",
    "test_logging_": "reads the log of the whole process",
}
_users: set[str] = set()
_failed: set[str] = set()
_present: list[str] = []


def _options(options: dict[str, Any]) -> dict[str, Any]:
    """The arguments of adieu's transports for those of httpx's own."""
    kept = {name: options[name] for name in ("verify", "cert") if options.get(name) is not None}
    limits = options.get("limits") or httpx.Limits()
    kept["limits"] = adieu.Limits(limits.max_connections, idle=limits.keepalive_expiry)
    proxy = options.get("proxy")
    if proxy is not None:
        auth = tuple(part.decode() for part in proxy.raw_auth) if proxy.raw_auth else None
        kept["proxy"] = adieu.Proxy(str(proxy.url), auth=auth, headers=dict(proxy.headers))
    return kept


class _Transport(AdieuTransport):
    def __init__(self, **options: Any) -> None:
        super().__init__(**_options(options))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        _users.update(_present)
        return super().handle_request(request)


class _AsyncTransport(AsyncAdieuTransport):
    def __init__(self, **options: Any) -> None:
        super().__init__(**_options(options))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        _users.update(_present)
        return await super().handle_async_request(request)


vars(httpx._client).update(HTTPTransport=_Transport, AsyncHTTPTransport=_AsyncTransport)


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Mark the tests that are expected to fail."""
    for item in items:
        for names in (EXPECTED, DEPEND):
            for name, why in names.items():
                if name in item.nodeid:
                    item.add_marker(pytest.mark.xfail(reason=why, strict=False))


def pytest_runtest_setup(item: Any) -> None:
    """Remember which test runs."""
    _present[:] = [item.nodeid]


def pytest_runtest_logreport(report: Any) -> None:
    """Count the tests that failed, as expected or not."""
    if report.when == "call" and report.outcome != "passed":
        _failed.add(report.nodeid)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The number of tests that use the network, and of those that pass."""
    passed = len(_users - _failed)
    terminalreporter.write_line(f"{passed} of {len(_users)} tests that use the network pass")
