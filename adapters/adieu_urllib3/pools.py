"""urllib3's manager and pools, with adieu's connections and queue in them, by the hooks that urllib3 has for that.

urllib3's own queue is a `queue.LifoQueue`: its lock is written in Python, so an interrupt can leave it locked for good,
and the finalizer of a pool takes that same lock. Here the limits, the idle connections and the waiting are those of
adieu's pool; the queue only hands out what the lease of the calling thread has.
"""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from adieu_urllib3.connection import PlainConnection, TLSConnection
from adieu_urllib3.sending import sending

if TYPE_CHECKING:
    from adieu.messages.url import URL
    from adieu.net.proxies.proxy import Proxy

__all__ = ["LeaseQueue", "manager_for"]

# What urllib3 connects with if no tool has put something else in its place.
_PLAIN = HTTPConnectionPool.ConnectionCls
_TLS = HTTPSConnectionPool.ConnectionCls

# The pools of urllib3 hold no connections here, so this many cost nothing.
_MOST_POOLS = 100


class LeaseQueue:
    """The `QueueCls` of the pools: a view of adieu's pool."""

    def __init__(self, maxsize: int = 0) -> None:
        pass

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """The open connection of the lease, once; None: urllib3 is to make one.

        Raises `queue.Empty` unless the caller would wait: the finalizer of a pool would not, and closes all it gets.
        """
        if not block:
            raise queue.Empty
        lease = sending()
        connection = lease.connection
        if lease.handed_out or connection is None:
            return None
        lease.handed_out = True
        return connection.conn

    def put(self, connection: Any, block: bool = True, timeout: float | None = None) -> None:
        """Whether a connection is used again is decided at the end of its lease. That of a tool is closed."""
        if connection is not None and not isinstance(connection, (PlainConnection, TLSConnection)):
            connection.close()

    def qsize(self) -> int:
        """0: no connection is in here."""
        return 0


class _PlainPool(HTTPConnectionPool):
    QueueCls: Any = LeaseQueue

    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # noqa: N802  The name is urllib3's.
        """Adieu's connection, or that of a tool which has put its own in place of urllib3's."""
        found = HTTPConnectionPool.ConnectionCls
        return PlainConnection if found is _PLAIN else found


class _TLSPool(HTTPSConnectionPool):
    QueueCls: Any = LeaseQueue

    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # noqa: N802  The name is urllib3's.
        """Adieu's connection, or that of a tool which has put its own in place of urllib3's."""
        found = HTTPSConnectionPool.ConnectionCls
        return TLSConnection if found is _TLS else found


_CLASSES = {"http": _PlainPool, "https": _TLSPool}


def manager_for(proxy: Proxy | None) -> urllib3.PoolManager:
    """A manager whose pools are adieu's, for requests that go directly or through an HTTP proxy.

    TLS to an https proxy, and SOCKS, are made below urllib3 (`connection`): it knows http proxies alone.
    """
    manager: urllib3.PoolManager
    if proxy is None or proxy.is_socks:
        manager = urllib3.PoolManager(_MOST_POOLS, maxsize=0, block=True)
    else:
        fields = urllib3.HTTPHeaderDict(proxy.headers)
        credentials = proxy.basic()
        if credentials is not None:
            fields["Proxy-Authorization"] = credentials
        manager = urllib3.ProxyManager(
            _address(proxy.url), _MOST_POOLS, proxy_headers=fields, maxsize=0, block=True
        )
    manager.pool_classes_by_scheme = _CLASSES
    return manager


def _address(url: URL) -> str:
    host = f"[{url.origin.host}]" if ":" in url.origin.host else url.origin.host
    return f"http://{host}:{url.origin.port}"
