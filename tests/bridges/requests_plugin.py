"""A plugin for pytest with which every session of requests sends over adieu: for the tests of requests.

`ADIEU_ADAPTER` names the adapter. The tests that cannot pass are listed, and have to fail.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
import requests.sessions

import adieu
from adieu_requests import AdieuAdapter

if TYPE_CHECKING:
    from adieu.lifecycle.cleanup import OnClientClose

# With a part of the names of the tests.
EXPECTED = {
    "test_proxy_authorization_preserved_on_request": (
        "refused on purpose: the header would tell the origin the credentials for a proxy"
    ),
    "test_session_close_proxy_clear": "looks at HTTPAdapter.proxy_manager",
    "test_different_connection_pool_for_tls_settings": "look at HTTPAdapter.poolmanager",
}
# They fail without adieu, too, where these are missing.
NEED_INTERNET = {
    "test_use_proxy_from_environment": "resolves httpbin.org",
    "test_connect_timeout[": "connects to an address of the internet that never answers",
    "test_total_timeout_connect[": "connects to an address of the internet that never answers",
}


class Outliving(adieu.Prefetch):
    """A stream may be read after its session was closed: `requests.get(stream=True)` returns such a one."""

    def on_client_close(self, view: adieu.View) -> OnClientClose:
        return adieu.STREAM


def _mounted() -> AdieuAdapter:
    return AdieuAdapter(os.environ.get("ADIEU_ADAPTER", "native"), cleanup=Outliving())


vars(requests.sessions)["HTTPAdapter"] = _mounted


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Mark the tests that are expected to fail."""
    for item in items:
        for expected, strict in ((EXPECTED, True), (NEED_INTERNET, False)):
            for name, why in expected.items():
                if name in item.nodeid:
                    item.add_marker(pytest.mark.xfail(reason=why, strict=strict))
