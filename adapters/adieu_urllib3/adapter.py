"""The adapter: each request goes through `urlopen` of a pool of urllib3's.

Theory of operation. The lease is made first and owned by the exchange; then it gets a connection, or a place for one,
in adieu's pool; then urllib3 is called. What urllib3 opens meanwhile belongs to the lease (`connection`), so whatever
raises on the way, the end of the exchange ends it. The body is read through urllib3's response afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import urllib3

from adieu.errors import InvalidRequest, TransportError
from adieu.lifecycle.limits import Limits
from adieu.lifecycle.pool import Pool
from adieu.lifecycle.waiting import PoolWait
from adieu.messages.headers import Headers
from adieu.transport.adapter import AdapterBase
from adieu.transport.pool_key import pool_key
from adieu.transport.replay import may_replay
from adieu_urllib3.errors import translated
from adieu_urllib3.foreign import forget_inherited
from adieu_urllib3.lease import Urllib3Lease
from adieu_urllib3.pooled import Connection
from adieu_urllib3.pools import manager_for
from adieu_urllib3.request import Outgoing, refuse_unsupported
from adieu_urllib3.sending import Sending

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse

    from adieu.lifecycle.limits import CloseReport, ConnectionInfo
    from adieu.lifecycle.pool_report import PoolReport
    from adieu.messages.request import Request
    from adieu.messages.response import Response
    from adieu.net.proxies.proxy import Proxy
    from adieu.transport.adapter import Honour
    from adieu.transport.exchange import Exchange

__all__ = ["Urllib3Adapter"]

_EVERYTHING: frozenset[Honour] = frozenset(("tls", "connect", "guard", "route"))
_NOTHING: frozenset[Honour] = frozenset()
_NO_RETRIES = urllib3.Retry(False, redirect=0)
_MOST_MANAGERS = 100
_MOST_POOLS = 1000


class Urllib3Adapter(AdapterBase):
    """HTTP/1.1 by urllib3: its pools, connections and responses, with all that tools change in them.

    - `manager`: a `urllib3.PoolManager` of your own, or of a class derived from it. Each request goes through its
      `urlopen`. Limits, TLS, proxies and addresses are the manager's then, so a client with such settings refuses to
      send. Whoever made the manager clears it. What adieu cannot promise for its connections is in docs/urllib3.md.
    - `limits` bounds the pool, `replay=False` switches off the single replay of a safe request whose kept-alive
      connection turned out to be dead: both as on every adapter, and not beside `manager`.
    """

    schemes = ("http", "https")

    def __init__(
        self,
        manager: urllib3.PoolManager | None = None,
        *,
        limits: Limits | None = None,
        replay: bool = True,
    ) -> None:
        if manager is not None:
            if not isinstance(manager, urllib3.PoolManager):
                raise InvalidRequest(f"manager= is a urllib3.PoolManager, not {manager!r}")
            if limits is not None:
                raise InvalidRequest(
                    "limits= are for the manager that adieu makes; one of your own has its own: "
                    "urllib3.PoolManager(maxsize=..., block=True)"
                )
            limits = Limits(connections=None)
        self._manager = manager
        # In a forked child: the pools of the parent's manager, which are not used any more.
        self._inherited: list[Any] = []
        self._configure(limits or Limits(), replay)

    def _configure(self, limits: Limits, replay: bool) -> None:
        self._limits = limits
        self._replay = replay
        self._pool: Pool[Connection] = Pool(Connection, limits)
        self._wait = PoolWait(self._pool)
        self._forget_pools()

    def _forget_pools(self) -> None:
        self._managers: dict[Proxy | None, urllib3.PoolManager] = {}
        # Beside the managers, because their own lookup takes a lock that an interrupt can leave locked (Python 3.14).
        self._pools: dict[object, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        if self._manager is not None:
            raise TypeError(f"{self!r} cannot be pickled: its manager is yours")
        return {"limits": self._limits, "replay": self._replay}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._manager, self._inherited = None, []
        self._configure(**state)

    @property
    def honours(self) -> frozenset[Honour]:  # type: ignore[override]
        """All settings, with a manager of the user's none: it connects as it likes."""
        return _EVERYTHING if self._manager is None else _NOTHING

    def send(self, request: Request, exchange: Exchange) -> Response:
        """Send one request by urllib3; the response's body is read through the exchange's lease."""
        refuse_unsupported(request, exchange.connection)
        out = Outgoing(request, exchange)
        pool = self._pool
        lease = Urllib3Lease(pool, exchange, pool_key(request.url.origin, exchange.connection))
        exchange.own(lease)
        self._wait.take(lease, exchange)
        lease.begin(out)
        try:
            response = self._urlopen(out, lease)
        except TransportError as error:
            if not (self._replay and may_replay(lease, request, error)):
                raise
            if exchange.events is not None:
                exchange.events.replayed(lease.method, lease.url)
            pool.replace(lease, "died while idle", fresh=True)
            pool.begin(lease, exchange.events)
            out = Outgoing(request, exchange)
            lease.begin(out)
            response = self._urlopen(out, lease)
        return exchange.respond(
            response.status,
            Headers.from_wire([(name, value.strip(" \t")) for name, value in lease.fields]),
            reason=response.reason or "",
            http_version=_version(response),
        )

    def _urlopen(self, out: Outgoing, lease: Urllib3Lease) -> BaseHTTPResponse:
        deadline = lease.since
        failure: Exception | None
        try:
            options: dict[str, Any] = {
                "body": out.body(),
                "headers": out.fields,
                "retries": _NO_RETRIES,
                "redirect": False,
                "timeout": urllib3.Timeout(
                    connect=deadline.remaining("connect"), read=deadline.remaining("read")
                ),
                "pool_timeout": deadline.remaining("pool"),
                "preload_content": False,
                "decode_content": False,
            }
            with Sending(lease):
                if self._manager is None:
                    response: BaseHTTPResponse = self._urllib3_pool(lease).urlopen(
                        lease.method, out.target, assert_same_host=False, **options
                    )
                else:
                    response = self._manager.urlopen(lease.method, str(lease.url), **options)
            lease.take(response)
            return response
        except Exception as error:
            sock = lease.connection.sock if lease.connection is not None else None
            lease.started = sock is not None and sock.heard
            if lease.is_foreign:
                lease.sent = "partly"  # At most: such a connection does not tell.
            failure = translated(error, lease, deadline)
        try:
            raise failure
        finally:
            del failure  # Its traceback refers to this frame.

    def _urllib3_pool(self, lease: Urllib3Lease) -> Any:
        """The pool of urllib3's through which the request goes."""
        origin, proxy = lease.origin, lease.settings.route
        found = self._pools.get((origin, proxy))
        if found is None:
            manager = self._managers.get(proxy)
            if manager is None:
                if len(self._managers) >= _MOST_MANAGERS:
                    self._forget_pools()
                manager = self._managers.setdefault(proxy, manager_for(proxy))
            try:
                found = manager.connection_from_host(origin.host, origin.port, origin.scheme)
            except BaseException:
                self._managers.pop(proxy, None)  # An interrupt may have left its lock taken.
                raise
            if len(self._pools) >= _MOST_POOLS:
                self._pools = {}
            self._pools[origin, proxy] = found
        return found

    def close(self) -> CloseReport:
        """Close every connection, and report how many were idle and in use. A manager of the user's is not cleared."""
        report = self._pool.close()
        self._forget_pools()
        return report

    def connections(self) -> list[ConnectionInfo]:
        """What every connection of this adapter is doing now; of a manager of the user's, those in use."""
        return self._pool.snapshot()

    def pool_report(self) -> PoolReport:
        """What the pool of this adapter is doing."""
        return self._pool.report()

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock of a manager."""
        self._forget_pools()
        if self._manager is not None:
            self._inherited += forget_inherited(self._manager)

    def __repr__(self) -> str:
        own = "" if self._manager is None else f"{type(self._manager).__name__}, "
        return f"{type(self).__name__}({own}{len(self._pool.snapshot())} connections)"


def _version(response: BaseHTTPResponse) -> str:
    return "HTTP/1.0" if response.version == 10 else "HTTP/1.1"
