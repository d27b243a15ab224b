"""Every kind of stream on the way to a server: TCP, TLS, and TLS in the TLS of a proxy."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from support.proxies import FaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing.faults import FaultServer
    from servers import Authority, TLSServer
    from support.stage import Stage
    from support.watch import Watch

__all__ = ["Way", "way"]


class Way:
    """A way to a server: its URL, and what a client needs for it."""

    def __init__(self, server: FaultServer, **options: Any) -> None:
        self.server = server
        self.url = server.url
        self.options = options

    def got_all(self, times: int, size: int) -> None:
        """So many requests have arrived, each with so many bytes. The client may know its answers before."""

        def whole() -> bool:
            return [one.body_length for one in self.server.requests] == [size] * times

        self.server.wait_until(whole)

    def next_works(self, stage: Stage, client: Any) -> None:
        assert stage.get(client, f"{self.url}/ok").status_code == 200


@pytest.fixture(params=["tcp", "tls", "tls in tls"])
def way(
    request: pytest.FixtureRequest,
    fault_server: FaultServer,
    tls_server: TLSServer,
    authority: Authority,
    census: Watch,
) -> Iterator[Way]:
    """Every kind of stream. The census is taken when the proxy has closed its own."""
    with ExitStack() as stack:
        if request.param == "tcp":
            yield Way(fault_server)
        elif request.param == "tls":
            yield Way(tls_server.server, verify=str(tls_server.ca_path))
        else:
            proxy = stack.enter_context(FaultProxy(tls=authority.server_context()))
            # Its connections to the origin are in this process, and may last a little longer than the client's.
            stack.callback(proxy.wait_until, lambda: not proxy.open)
            yield Way(
                tls_server.server,
                verify=str(tls_server.ca_path),
                proxy=f"https://localhost:{proxy.port}",
            )
