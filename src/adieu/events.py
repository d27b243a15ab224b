"""The events that listeners get (`Client(events=...)`): each class is one kind, its attributes are the facts.

Invariants: facts are numbers, texts and tuples of them, nothing that holds a socket, so a listener that keeps events
leaks nothing. URLs and header fields are as `adieu.texts` shows them, their secrets masked. Times are seconds.

The grammar. Each start has exactly one end, whether the exchange succeeds, fails, is cancelled or interrupted:

| start | end | which ids pair them |
| --- | --- | --- |
| `call_started` | `call_ended` | call |
| `exchange_started` | `answered` or `failed` | exchange |
| `answered` | `body_ended` | exchange |
| `pool_wait_started` | `pool_wait_ended` | exchange |
| `leased` | `released` or `discarded` | connection |
| `connect_started` | `connected` or `connect_failed` | connection |
| `connected` | `closed` or `detached` | connection |
| `lookup_started` | `lookup_ended` | connection |
| `dial_started` | `dial_ended` | connection and address |
| `tls_started` | `tls_ended` | connection |

All other events are moments: they have no end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NoReturn

if TYPE_CHECKING:
    from typing import Literal

    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**options):
        """`typing.dataclass_transform`, which Python 3.10 does not have: only type checkers need it."""
        return lambda kind: kind


__all__ = [
    "Answered",
    "Authenticating",
    "BodyEnded",
    "Cached",
    "CallEnded",
    "CallStarted",
    "Closed",
    "ConnectFailed",
    "ConnectStarted",
    "Connected",
    "Decoded",
    "Detached",
    "DialEnded",
    "DialStarted",
    "Discarded",
    "Event",
    "ExchangeStarted",
    "Failed",
    "FirstByte",
    "Informational",
    "Leaked",
    "Leased",
    "LookupEnded",
    "LookupStarted",
    "PoolWaitEnded",
    "PoolWaitStarted",
    "Redirected",
    "Released",
    "Replayed",
    "RequestSent",
    "Retrying",
    "TLSEnded",
    "TLSStarted",
]


class _Told:
    """The facts that every event has: adieu adds them when it tells the event."""

    kind: ClassVar[str] = ""
    """The name of the listener's method for this kind of event."""

    at: float = 0.0
    """When it happened, by the clock of `time.perf_counter()`."""
    call: int = 0
    """The number of its call, unique within the process; 0: none, as when an idle connection is closed."""
    exchange: int = 0
    """The number of its exchange, unique within the process; 0: it belongs to none."""
    connection: int = 0
    """The number of its connection, unique within the process; 0: there is none."""


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Event(_Told):
    """Something that happened: immutable, equal by its facts, picklable.

    An adapter may tell events of classes of its own, derived from this one: annotate the facts, and set `kind`.
    """

    def __init__(self, **facts: object) -> None:
        vars(self).update(facts)

    def told(self, at: float, call: int, exchange: int, connection: int) -> None:
        """Add the time and the ids: for the one that tells a new event, before a listener has it."""
        vars(self).update(at=at, call=call, exchange=exchange, connection=connection)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is a value: {name} cannot be assigned")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is a value: {name} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), self.at, self.call, self.exchange, self.connection))

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({facts})"


# -- a call ------------------------------------------------------------------------------------------------------------


class CallStarted(Event):
    """A call begins: `client.get()` and the like. It has one exchange, or more with redirects, logins and retries."""

    kind = "call_started"
    method: str
    url: str


class CallEnded(Event):
    """A call has returned its response, whose body may be open still, or raised an error.

    `url`, `status`: those of the response; the URL that was asked for and None if there is none. `error`: the kind of
    the error ("ReadTimeout", "CancelledError", "KeyboardInterrupt" ...), or None. `exchanges`: how many it took.
    `seconds`: since it began.
    """

    kind = "call_ended"
    method: str
    url: str
    status: int | None
    error: str | None
    exchanges: int
    seconds: float


# -- an exchange -------------------------------------------------------------------------------------------------------


class ExchangeStarted(Event):
    """An exchange begins: one request and its response.

    `hop`: 0 for the first one of its call. `headers`: the header fields of the request, secrets masked; an adapter adds
    some, such as Host. `body`: how many bytes of content it has; None: that is not known yet.
    """

    kind = "exchange_started"
    method: str
    url: str
    hop: int
    headers: tuple[tuple[str, str], ...]
    body: int | None


class RequestSent(Event):
    """All of a request was written. `head` and `body`: so many bytes, of the body as it was framed."""

    kind = "request_sent"
    head: int
    body: int


class FirstByte(Event):
    """The first byte of a response has come, interim responses included; `seconds` after the exchange began."""

    kind = "first_byte"
    seconds: float


class Informational(Event):
    """A 1xx response came before the final one (RFC 9110, section 15.2)."""

    kind = "informational"
    status: int


class Answered(Event):
    """The final head of a response has come, `seconds` after its exchange began. Its end is `body_ended`.

    `connection` is 0 for what had none: an answer out of this process. `reused`: the connection had carried another
    exchange before. `headers`: the header fields, secrets masked.
    """

    kind = "answered"
    method: str
    url: str
    status: int
    reason: str
    http_version: str
    headers: tuple[tuple[str, str], ...]
    seconds: float
    reused: bool


class Failed(Event):
    """An exchange ended before its final head; `error` is the kind: "ReadTimeout", "CancelledError" ..."""

    kind = "failed"
    method: str
    url: str
    error: str
    seconds: float
    reused: bool


_TOO_LARGE = {"body too large": "BodyTooLarge", "line or event too large": "BodyTooLarge"}
"""Errors of bodies that were refused, by the reason for which their connection was closed."""


class BodyEnded(Event):
    """The body of a response has ended, and with it its exchange: read to its end, closed, broken or dropped.

    `why`: "complete", or the reason why nothing more of it is read: "exit", "redirect", "ReadTimeout", "abandoned" ...
    `raw`: how many bytes came over the connection; `decoded`: how many bytes of content they are, None if they have a
    content coding, which is undone when the content is used: see `Decoded`. `seconds`: since the exchange began.
    """

    kind = "body_ended"
    method: str
    url: str
    why: str
    raw: int
    decoded: int | None
    seconds: float

    @property
    def error(self) -> str | None:
        """The kind of the error that ended it: "BodyTruncated", "ReadTimeout" ...; None: nothing went wrong.

        What its user did not want to the end ("exit", "redirect") is no error, and neither is "abandoned", a leak.
        """
        # The names of errors are those of classes; all other reasons are words in lower case.
        return self.why if self.why[:1].isupper() else _TOO_LARGE.get(self.why)


class Decoded(Event):
    """The content coding of a body was undone: of `raw` bytes, which are `decoded` bytes of content.

    That happens when the content is first used, or piece by piece while it is read; then this comes after the last one.
    """

    kind = "decoded"
    raw: int
    decoded: int


# -- a connection ------------------------------------------------------------------------------------------------------


class PoolWaitStarted(Event):
    """No connection is free, and the limits allow no new one: the exchange waits. `origin`: what it wants to reach."""

    kind = "pool_wait_started"
    origin: str


class PoolWaitEnded(Event):
    """The wait for a connection is over. `error`: the kind of the error that ended it; None: it has a connection."""

    kind = "pool_wait_ended"
    seconds: float
    error: str | None


class ConnectStarted(Event):
    """A connection is being opened: lookup, TCP, a proxy's tunnel, TLS. `proxy`: the proxy it goes through, or None."""

    kind = "connect_started"
    origin: str
    proxy: str | None


class LookupStarted(Event):
    """The addresses of a host name are being looked up."""

    kind = "lookup_started"
    host: str


class LookupEnded(Event):
    """The lookup is over: these addresses, in the order in which they are tried, or the kind of an error."""

    kind = "lookup_ended"
    host: str
    addresses: tuple[str, ...]
    seconds: float
    error: str | None


class DialStarted(Event):
    """A TCP connection to this address is being tried. Several addresses may be tried at once (RFC 8305)."""

    kind = "dial_started"
    address: str


class DialEnded(Event):
    """The try is over. `error`: None: it is connected; "lost the race": another address was faster; or the reason."""

    kind = "dial_ended"
    address: str
    seconds: float
    error: str | None


class TLSStarted(Event):
    """A TLS handshake begins. `hostname`: whose certificate is wanted, that of the origin or of a proxy."""

    kind = "tls_started"
    hostname: str


class TLSEnded(Event):
    """The handshake is over. `version`, `cipher` and `alpn` are what was agreed on, as `ssl` names them ("TLSv1.3").

    `resumed`: a former session was resumed. `error`: the kind of the error, or None.
    """

    kind = "tls_ended"
    hostname: str
    version: str | None
    cipher: str | None
    alpn: str | None
    resumed: bool
    seconds: float
    error: str | None


class Connected(Event):
    """The connection is open, after this many seconds. Its end is `closed` or `detached`.

    `peer`, `local`: the addresses of its two ends ("10.0.0.1:443", or a path). "": not known, as of an own stream.
    """

    kind = "connected"
    seconds: float
    peer: str
    local: str


class ConnectFailed(Event):
    """It could not be opened. `error`: the reason in words."""

    kind = "connect_failed"
    error: str
    seconds: float


class Leased(Event):
    """An exchange has this connection from now on. It may have to be opened first. `reused`: it carried another one."""

    kind = "leased"
    method: str
    url: str
    reused: bool


class Released(Event):
    """The lease has ended and the connection goes on: idle in its pool, or to the next exchange of the same login."""

    kind = "released"


class Discarded(Event):
    """The lease has ended and the connection with it, and why: "exit", "surplus bytes", "abandoned", "upgraded" ..."""

    kind = "discarded"
    why: str


class Closed(Event):
    """An open connection was closed, and why: "idle", "stale", "exit", "client closed" ...

    `requests`: how many exchanges it carried. `seconds`: how long it was open.
    """

    kind = "closed"
    why: str
    requests: int
    seconds: float


class Detached(Event):
    """An open connection has left the pool: it was upgraded (RFC 9110, section 7.8), and belongs to its user."""

    kind = "detached"
    requests: int
    seconds: float


# -- decisions ---------------------------------------------------------------------------------------------------------


class Redirected(Event):
    """A redirect is followed, with this request. `exchange` is the one that was answered with it."""

    kind = "redirected"
    method: str
    url: str
    status: int


class Authenticating(Event):
    """Because of this status, the flow of `auth=` sends the next request."""

    kind = "authenticating"
    method: str
    url: str
    status: int


class Replayed(Event):
    """A kept-alive connection had died, and a safe request was sent once more on a new one (RFC 9110, 9.2.2)."""

    kind = "replayed"
    method: str
    url: str


class Retrying(Event):
    """After `wait` seconds a request is sent once more, for the first, second ... time, because of `reason`.

    That is the status ("503") or the kind of the error ("ConnectTimeout") that the attempt before ended with.
    """

    kind = "retrying"
    method: str
    url: str
    retry: int
    wait: float
    reason: str


class Cached(Event):
    """What a cache did with this exchange, and why, in words. For adapters that cache: `exchange.tell(Cached(...))`.

    - "hit": the answer is a stored one, and no request was sent; "stale": the same, and it is older than it should be.
    - "revalidated": the server said that the stored one is good (304).
    - "miss": the request was sent. "stored" follows, once the body has come to its end and a copy of it is stored.
    - "bypassed": the cache was not asked.
    """

    kind = "cached"
    method: str
    url: str
    outcome: Literal["hit", "stale", "revalidated", "miss", "stored", "bypassed"]
    why: str


class Leaked(Event):
    """A response was dropped unread; its connection has just been closed. May be told by a finalizer.

    `seconds`: since its call began. `opened_at`: the line of the user's that opened it, "app.py:12 in load", or None.
    """

    kind = "leaked"
    method: str
    url: str
    seconds: float
    opened_at: str | None
