"""Redirects between http and https. The certificates need packages that some interpreters lack, hence this module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import adieu
from support.clients import ADAPTERS, sockets

if TYPE_CHECKING:
    from adieu.testing.faults import FaultServer
    from servers import TLSServer

pytestmark = pytest.mark.usefixtures("census")


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_http_to_https_is_followed_and_back_is_not(
    fault_server: FaultServer, tls_server: TLSServer, adapter: str
) -> None:
    there, back = f"{tls_server.url}/redirect?to=/ok", f"{tls_server.url}/redirect?to="
    with adieu.Client(adapter=adapter, verify=str(tls_server.ca_path)) as client:
        response = client.get(f"{fault_server.url}/redirect", params={"to": there})
        assert [hop.url.scheme for hop in response.history] == ["http", "https"]
        assert response.url.scheme == "https"
        with pytest.raises(adieu.RedirectError, match="from https to http"):
            client.get(back + f"{fault_server.url}/ok")
        assert [request.path for request in fault_server.requests] == ["/redirect"]
    assert sockets(tls_server.server) == sockets(fault_server) == 0


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_credentials_are_not_sent_from_http_to_https(
    fault_server: FaultServer, tls_server: TLSServer, adapter: str
) -> None:
    secret = {"authorization": "Bearer secret", "cookie": "a=b"}
    with adieu.Client(adapter=adapter, verify=str(tls_server.ca_path)) as client:
        there = {"to": f"{tls_server.url}/echo"}
        response = client.get(f"{fault_server.url}/redirect", params=there, headers=secret)
        assert not secret.keys() & {name.lower() for name, _ in response.json()["headers"]}
    assert sockets(tls_server.server) == sockets(fault_server) == 0
