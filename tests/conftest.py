"""Servers and the census, for every test.

Fixtures import trustme and start nginx only when a test needs them, so that the other tests run on
interpreters that do not have them.
"""

from __future__ import annotations

import gc
import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from adieu.testing.faults import FaultServer
from servers import KNOWN_PORTS, Authority, CherootTen, Nginx, TLSServer
from support.needs import lacks
from support.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

# The tests use neither the certificate authorities of this machine nor its proxies.
for _name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
    os.environ.pop(_name, None)
for _name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
    os.environ.pop(_name, None)
    os.environ.pop(_name.upper(), None)

# A deadline for each example would measure the load of the machine.
settings.register_profile("adieu", deadline=None)
settings.load_profile("adieu")

# A process that a shell runs in the background ignores Ctrl-C, and so would the calls that these tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the library below an adapter cannot do."""
    left_out = [item for item in items if lacks(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def pytest_collection_finish() -> None:
    """Exclude the objects of pytest from collections, which took 0.1 s each because of them."""
    if hasattr(gc, "freeze"):
        gc.collect()
        gc.freeze()


def pytest_sessionfinish() -> None:
    """Include them again for the last collection, in which pytest looks for finalizers that fail."""
    if hasattr(gc, "unfreeze"):
        gc.unfreeze()


@pytest.fixture
def fault_server() -> Iterator[FaultServer]:
    """A new `FaultServer`."""
    with FaultServer() as server:
        KNOWN_PORTS.add(server.port)
        yield server


@pytest.fixture(scope="session")
def authority() -> Iterator[Authority]:
    """The certificate authority of the test run."""
    authority = Authority()
    yield authority
    authority.close()


@pytest.fixture
def tls_server(authority: Authority) -> Iterator[TLSServer]:
    """A `FaultServer` over TLS, with the context and the certificate file for clients."""
    tls = TLSServer(authority)
    with tls.server:
        yield tls


@pytest.fixture(scope="session")
def nginx(authority: Authority) -> Iterator[Nginx]:
    """A real nginx; the test fails if there is none on this machine."""
    nginx = Nginx(authority)
    yield nginx
    nginx.close()


@pytest.fixture
def cheroot_ten() -> Iterator[CherootTen]:
    """A cheroot with exactly ten threads."""
    server = CherootTen()
    yield server
    server.close()


@pytest.fixture
def census() -> Iterator[Watch]:
    """Fails the test if it leaves a client socket to a known server open, dead ones included."""
    watch = Watch()
    yield watch
    watch.check()
