"""What tells listeners of one call, one exchange, one connection. Made only if a client has a listener.

Invariants: each start that was told gets one end, from whichever thread or finalizer comes first. A start leaves a
token in a list, and its end takes it out again: one operation of C, which no two threads can both succeed in. So an end
without a start, as of a connection that was never opened, tells nothing.

The time of an event is taken when it happens, which for the ends of leases is under the lock of the pool; listeners are
called after that. So of two threads that hand a connection over, `at` has the order, always.
"""

from __future__ import annotations

from functools import lru_cache, partial
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING

from adieu import events
from adieu.lifecycle.events import tell
from adieu.texts import MASK, is_secret, show, show_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from adieu.lifecycle.events import Listeners

__all__ = ["CallReport", "ConnectionReport", "ExchangeReport", "Report"]

_call_number = count(1).__next__
_exchange_number = count(1).__next__

_Token = list[bool]

Agreed = tuple[str | None, str | None, str | None, bool]
"""What a TLS handshake agreed on: version, cipher, ALPN, and whether a session was resumed."""


class Report:
    """Tells events of one call and one exchange. `began`: when that began, by `perf_counter`."""

    __slots__ = ("began", "call", "exchange", "listeners")

    def __init__(self, listeners: Listeners, call: int, exchange: int) -> None:
        self.listeners = listeners
        self.call = call
        self.exchange = exchange
        self.began = perf_counter()

    def tell(self, event: events.Event, connection: int = 0) -> None:
        """Tell the listeners an event that was just made, with the time and the ids added."""
        event.told(perf_counter(), self.call, self.exchange, connection)
        tell(self.listeners, event)

    def elapsed(self) -> float:
        """Seconds since it began."""
        return perf_counter() - self.began

    def redirected(self, method: str, url: object, status: int) -> None:
        self.tell(events.Redirected(method=method, url=show_url(url), status=status))

    def authenticating(self, method: str, url: object, status: int) -> None:
        self.tell(events.Authenticating(method=method, url=show_url(url), status=status))

    def retrying(self, method: str, url: object, retry: int, wait: float, reason: str) -> None:
        shown = show_url(url)
        self.tell(events.Retrying(method=method, url=shown, retry=retry, wait=wait, reason=reason))


class CallReport(Report):
    """Tells events of a call. `exchange`: the exchange that is under way, or was the last one."""

    __slots__ = ("_current", "_method", "_open", "_url")

    def __init__(self, listeners: Listeners) -> None:
        super().__init__(listeners, _call_number(), 0)
        self._open: _Token = []
        self._method = ""
        self._url: object = ""
        self._current: ExchangeReport | None = None

    def started(self, method: str, url: object) -> None:
        self._method, self._url = method, url
        self._open.append(True)
        self.tell(events.CallStarted(method=method, url=show_url(url)))

    def next_exchange(
        self,
        method: str,
        url: object,
        hop: int,
        headers: Iterable[tuple[str, str]],
        body: int | None,
    ) -> ExchangeReport:
        """Tell that an exchange begins; `body`: how many bytes of content it has, if that is known."""
        self._current = report = ExchangeReport(self.listeners, self.call, method, url)
        self.exchange = report.exchange
        report.started(hop, headers, body)
        return report

    def ended(self, url: object, status: int, exchanges: int) -> None:
        """It has returned a response."""
        self._end(url, status, None, exchanges)

    def failed(self, error: str, exchanges: int) -> None:
        """It has raised an error, and its last exchange is over, too."""
        try:
            if self._current is not None:
                self._current.over(error)
        finally:
            self._end(self._url, None, error, exchanges)

    def _end(self, url: object, status: int | None, error: str | None, exchanges: int) -> None:
        if _taken(self._open):
            self.tell(
                events.CallEnded(
                    method=self._method,
                    url=show_url(url),
                    status=status,
                    error=error,
                    exchanges=exchanges,
                    seconds=self.elapsed(),
                )
            )


class ExchangeReport(Report):
    """Tells events of one exchange: `exchange.events`."""

    __slots__ = ("_body", "_head", "_is_coded", "_last", "_method", "_url")

    def __init__(self, listeners: Listeners, call: int, method: str, url: object) -> None:
        super().__init__(listeners, call, _exchange_number())
        self._method = method
        self._url = show_url(url)
        # The tokens of what has begun: the wait for the head, and the body.
        self._head: _Token = []
        self._body: _Token = []
        self._is_coded = False
        # How the last lease ended: an adapter may have read the body before it returned its response.
        self._last: tuple[str, int] | None = None

    def started(self, hop: int, headers: Iterable[tuple[str, str]], body: int | None) -> None:
        self._head.append(True)
        self.tell(
            events.ExchangeStarted(
                method=self._method, url=self._url, hop=hop, headers=_shown(headers), body=body
            )
        )

    def failed(self, error: str, connection: int, reused: bool) -> None:
        if _taken(self._head):
            self.tell(
                events.Failed(
                    method=self._method,
                    url=self._url,
                    error=error,
                    seconds=self.elapsed(),
                    reused=reused,
                ),
                connection,
            )

    def answered(
        self,
        status: int,
        reason: str,
        http_version: str,
        headers: Iterable[tuple[str, str]],
        is_coded: bool,
        connection: int,
        reused: bool,
    ) -> None:
        if _taken(self._head):
            self._is_coded = is_coded
            self._body.append(True)
            self.tell(
                events.Answered(
                    method=self._method,
                    url=self._url,
                    status=status,
                    reason=show(reason),
                    http_version=http_version,
                    headers=_shown(headers),
                    seconds=self.elapsed(),
                    reused=reused,
                ),
                connection,
            )

    def over(self, error: str) -> None:
        """Its call has failed: tell the ends that were not told."""
        self.failed(error, 0, False)
        if _taken(self._body):
            self._tell_body(error, self._last[1] if self._last is not None else 0, 0)

    def lease_ended(self, why: str, raw: int, connection: int) -> None:
        """The lease of the exchange has ended, and the body with it if the final head was told."""
        if _taken(self._body):
            self._tell_body(why, raw, connection)
        else:
            self._last = why, raw

    def no_lease(self, size: int) -> None:
        """The response has come, and nothing more of it will: its body is in memory, of `size` bytes, or was read."""
        if _taken(self._body):
            why, raw = self._last or ("complete", size)
            self._tell_body(why, raw, 0)

    def _tell_body(self, why: str, raw: int, connection: int) -> None:
        decoded = None if self._is_coded else raw
        event = events.BodyEnded(
            method=self._method,
            url=self._url,
            why=why,
            raw=raw,
            decoded=decoded,
            seconds=self.elapsed(),
        )
        self.tell(event, connection)

    def decoded(self, raw: int, decoded: int) -> None:
        self.tell(events.Decoded(raw=raw, decoded=decoded))

    def informational(self, connection: int, status: int) -> None:
        self.tell(events.Informational(status=status), connection)

    def request_sent(self, connection: int, head: int, body: int) -> None:
        self.tell(events.RequestSent(head=head, body=body), connection)

    def first_byte(self, connection: int) -> None:
        self.tell(events.FirstByte(seconds=self.elapsed()), connection)

    def replayed(self, method: str, url: object) -> None:
        self.tell(events.Replayed(method=method, url=show_url(url)))

    def leaked(
        self, connection: int, method: str, url: str, seconds: float, opened_at: str | None
    ) -> None:
        event = events.Leaked(method=method, url=url, seconds=seconds, opened_at=opened_at)
        self.tell(event, connection)

    def of_connection(self, number: int) -> ConnectionReport:
        return ConnectionReport(number, self)

    def pool_wait(self, origin: object) -> PoolWaitReport:
        return PoolWaitReport(self, str(origin))


class PoolWaitReport:
    """One wait for a connection."""

    __slots__ = ("_began", "_open", "_report")

    def __init__(self, report: Report, origin: str) -> None:
        self._report = report
        self._began = perf_counter()
        self._open: _Token = [True]
        try:
            report.tell(events.PoolWaitStarted(origin=origin))
        except BaseException as error:
            self.ended(0, type(error).__name__)
            raise

    def ended(self, connection: int, error: str | None) -> None:
        if _taken(self._open):
            seconds = perf_counter() - self._began
            self._report.tell(events.PoolWaitEnded(seconds=seconds, error=error), connection)


class ConnectionReport:
    """What listeners were told of one connection, in the pool's keeping.

    `Connected` and its end go to the listeners of the client that opened it; `Leased` and its end to those of the
    client that has the lease.
    """

    __slots__ = ("_leased", "_leased_at", "_opened", "_opened_at", "_opened_by", "lease", "number")

    def __init__(self, number: int, lease: Report) -> None:
        self.number = number
        # Of the exchange that has the connection, or had it last.
        self.lease = lease
        self._leased: _Token = []
        self._leased_at = 0.0
        self._opened: _Token = []
        self._opened_at = 0.0
        self._opened_by: Listeners = ()

    def leased(self, lease: Report, method: str, url: object, reused: bool) -> None:
        event = events.Leased(method=method, url=show_url(url), reused=reused)
        self.lease = lease
        self._leased_at = perf_counter()
        self._leased.append(True)
        event.told(self._leased_at, lease.call, lease.exchange, self.number)
        tell(lease.listeners, event)

    def connect_started(self, origin: object, proxy: object) -> Connecting:
        return Connecting(self, str(origin), None if proxy is None else str(proxy))

    def connected(self, event: events.Connected) -> None:
        lease = self.lease
        self._opened_by = lease.listeners
        self._opened_at = perf_counter()
        self._opened.append(True)
        event.told(self._opened_at, lease.call, lease.exchange, self.number)
        tell(lease.listeners, event)

    def released(self) -> Callable[[], None]:
        """What tells that the lease has ended, and the connection goes on."""
        return partial(self._end_lease, self.lease, perf_counter(), events.Released())

    def dropped(self, why: str, requests: int, seconds: float) -> Callable[[], None]:
        """What tells that the lease has ended, if there is one, and that the connection was closed."""
        closed = events.Closed(why=why, requests=requests, seconds=seconds)
        return partial(self._end, [True], perf_counter(), why, closed, bool(self._leased))

    def detached(self, requests: int, seconds: float) -> Callable[[], None]:
        """What tells that the lease has ended, and that the connection was upgraded."""
        detached = events.Detached(requests=requests, seconds=seconds)
        return partial(self._end, [True], perf_counter(), "upgraded", detached, True)

    def _end(self, once: _Token, at: float, why: str, event: events.Event, in_use: bool) -> None:
        if not _taken(once):
            return  # Two threads may do this job at once, and the two ends have an order.
        lease = self.lease
        try:
            self._end_lease(lease, at, events.Discarded(why=why))
        finally:
            if _taken(self._opened):
                call, exchange = (lease.call, lease.exchange) if in_use else (0, 0)
                event.told(max(at, self._opened_at), call, exchange, self.number)
                tell(self._opened_by, event)

    def _end_lease(self, lease: Report, at: float, event: events.Event) -> None:
        if _taken(self._leased):
            # Another thread may have ended it before it was told that it begins.
            event.told(max(at, self._leased_at), lease.call, lease.exchange, self.number)
            tell(lease.listeners, event)


class Connecting:
    """The opening of one connection: what the engine tells of it, and the wire."""

    __slots__ = ("_began", "_open", "_report", "local", "peer")

    def __init__(self, report: ConnectionReport, origin: str, proxy: str | None) -> None:
        self._report = report
        self._began = perf_counter()
        self._open: _Token = [True]
        # The addresses of the two ends, once the wire knows them.
        self.peer = self.local = ""
        try:
            self.tell(events.ConnectStarted(origin=origin, proxy=proxy))
        except BaseException as error:
            self.failed(error)
            raise

    def tell(self, event: events.Event) -> None:
        self._report.lease.tell(event, self._report.number)

    def connected(self) -> None:
        if _taken(self._open):
            seconds = perf_counter() - self._began
            event = events.Connected(seconds=seconds, peer=self.peer, local=self.local)
            self._report.connected(event)

    def failed(self, error: BaseException) -> None:
        if _taken(self._open):
            reason = str(error) or type(error).__name__
            seconds = perf_counter() - self._began
            self.tell(events.ConnectFailed(error=reason, seconds=seconds))

    def lookup(self, host: str) -> Lookup:
        return Lookup(self, host)

    def dial(self, address: str) -> Dial:
        return Dial(self, address)

    def tls(self, hostname: str) -> Handshake:
        return Handshake(self, hostname)


class _Phase:
    """A part of the opening of a connection, with one start and one end."""

    __slots__ = ("_began", "_connecting", "_open")

    def __init__(self, connecting: Connecting, start: events.Event) -> None:
        self._connecting = connecting
        self._began = perf_counter()
        self._open: _Token = [True]
        try:
            connecting.tell(start)
        except BaseException as error:
            self.failed(error)
            raise

    def failed(self, error: BaseException) -> None:
        """It has ended with this error."""
        raise NotImplementedError(f"{type(self).__name__} does not define failed(error)")

    def _ends(self) -> float | None:
        """The seconds that it took, for the first end; None: it had one."""
        return perf_counter() - self._began if _taken(self._open) else None


class Lookup(_Phase):
    """Of the addresses of a host."""

    __slots__ = ("_host",)

    def __init__(self, connecting: Connecting, host: str) -> None:
        self._host = host
        super().__init__(connecting, events.LookupStarted(host=host))

    def found(self, addresses: Iterable[str]) -> None:
        """It has ended with these addresses, in the order in which they are tried."""
        self._end(tuple(addresses), None)

    def failed(self, error: BaseException) -> None:
        self._end((), type(error).__name__)

    def _end(self, addresses: tuple[str, ...], error: str | None) -> None:
        if (seconds := self._ends()) is not None:
            event = events.LookupEnded(
                host=self._host, addresses=addresses, seconds=seconds, error=error
            )
            self._connecting.tell(event)


class Dial(_Phase):
    """A try to connect to one address."""

    __slots__ = ("_address",)

    def __init__(self, connecting: Connecting, address: str) -> None:
        self._address = address
        super().__init__(connecting, events.DialStarted(address=address))

    def failed(self, error: BaseException) -> None:
        self.ended(str(error) or type(error).__name__)

    def ended(self, error: str | None = None) -> None:
        """It is connected, or has ended for this reason."""
        if (seconds := self._ends()) is not None:
            event = events.DialEnded(address=self._address, seconds=seconds, error=error)
            self._connecting.tell(event)


class Handshake(_Phase):
    """Of TLS."""

    __slots__ = ("_hostname",)

    def __init__(self, connecting: Connecting, hostname: str) -> None:
        self._hostname = hostname
        super().__init__(connecting, events.TLSStarted(hostname=hostname))

    def agreed(self, agreed: Agreed) -> None:
        """It has succeeded."""
        self._end(agreed, None)

    def failed(self, error: BaseException) -> None:
        self._end((None, None, None, False), type(error).__name__)

    def _end(self, agreed: Agreed, error: str | None) -> None:
        if (seconds := self._ends()) is not None:
            version, cipher, alpn, resumed = agreed
            self._connecting.tell(
                events.TLSEnded(
                    hostname=self._hostname,
                    version=version,
                    cipher=cipher,
                    alpn=alpn,
                    resumed=resumed,
                    seconds=seconds,
                    error=error,
                )
            )


def _taken(token: _Token) -> bool:
    """Whether this caller, of all threads and finalizers, is the one to tell the end."""
    try:
        token.pop()
    except IndexError:
        return False
    return True


def _shown(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((show(name), _shown_value(name, value)) for name, value in headers)


def _shown_value(name: str, value: str) -> str:
    if _is_secret(name):
        return MASK
    if len(value) < _SHORT and value.isprintable() and not any(sign in value for sign in "=:@"):
        return value  # Most are, and nothing in them could be a secret that can be recognised.
    return show(value, _LIMIT)


_is_secret = lru_cache(256)(is_secret)
# The shortest value that may look random, and the longest that is shown.
_SHORT, _LIMIT = 20, 1000
