"""The exchange, as adapters see it: what to honour, and how to answer.

`lifecycle.exchange` owns the lease and knows no HTTP. Here the exchange gets the settings of its connection, and
`respond`, which makes the response that belongs to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from adieu.lifecycle.body import AsyncBody, Body
from adieu.lifecycle.exchange import ExchangeBase
from adieu.lifecycle.pinned import Pinned
from adieu.messages.async_response import AsyncResponse
from adieu.messages.response import Response, ResponseHead
from adieu.net.connection_settings import DEFAULT, ConnectionSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adieu.lifecycle.body import AnyBody
    from adieu.lifecycle.cleanup import CleanupPolicy, Why
    from adieu.lifecycle.deadline import Deadline
    from adieu.lifecycle.lease import AnyLease
    from adieu.lifecycle.reporting import ExchangeReport
    from adieu.lifecycle.steps import Steps
    from adieu.messages.async_response import AsyncResponseContent
    from adieu.messages.request import HeadersLike
    from adieu.messages.response import ResponseContent
    from adieu.messages.url import URL

__all__ = [
    "AnyExchange",
    "AnyResponse",
    "AsyncExchange",
    "AsyncPinnedExchange",
    "Exchange",
    "ExchangeCore",
    "PinnedExchange",
]


R = TypeVar("R", bound=ResponseHead)


class ExchangeCore(ExchangeBase):
    """The parts of an exchange that sync and async share.

    `connection`: the settings that its connection has to be made with; an adapter that cannot honour one of them says
    so by `honours`, and is not asked. `extras`: values that the caller passes to an adapter by name; unknown names are
    ignored.
    """

    __slots__ = ("connection", "extras")

    url: URL

    def __init__(
        self,
        method: str,
        url: URL,
        deadline: Deadline,
        policy: CleanupPolicy,
        connection: ConnectionSettings = DEFAULT,
        events: ExchangeReport | None = None,
        hop: int = 0,
        extras: Mapping[str, object] | None = None,
        max_body: int | None = None,
    ) -> None:
        # Half of what `super()` costs.
        ExchangeBase.__init__(self, method, url, deadline, policy, events, hop, max_body)
        self.connection = connection
        self.extras = extras

    def copy_settings(self, other: ExchangeCore) -> None:
        """Take over all settings of another exchange, but neither its lease nor its status."""
        self.method = other.method
        self.url = other.url
        self.deadline = other.deadline
        self.policy = other.policy
        self.events = other.events
        self.hop = other.hop
        self.max_body = other.max_body
        self.connection = other.connection
        self.extras = other.extras

    def settle(self, response: R) -> Steps[R]:
        """The response to this exchange, from the one that an adapter returned; a lease that it leaves behind ends.

        A response that was made by hand, or for another exchange, is copied: the adapter may return it once more.
        """
        own = response.belongs_to(self)
        body = response.body
        lease, is_kept = self.lease, self.keeps_lease()
        carries = own and body is not None and body.lease is lease
        if response.upgraded is not None:
            carries = True  # An upgraded connection, which has no body.
        if lease is not None and not carries and not is_kept:
            # It answered with another response than the one that came over its connection.
            yield self.leave("replaced")
        if not own:
            response = self._copied(response)
        if response.source is not None:
            if is_kept:
                # The connection waits for the next exchange, so no other lease may take its place here.
                assert isinstance(response, (Response, AsyncResponse))
                yield response.read()
            else:
                self.take_source(response)
        return response

    def leave(self, why: Why) -> object:
        """End the lease, whose body the user will not see, as the policy says (async: an awaitable)."""
        assert self.lease is not None
        return self._new_body(self.lease).close(why)

    def adopt(self, response: R) -> R:
        """A copy of a response that belongs to this exchange, which owns the file, iterator or stream in it."""
        copied = self._copied(response)
        if copied.source is not None:
            self.take_source(copied)
        return copied

    def _copied(self, response: R) -> R:
        copied = response.copy()
        copied.max_body = self.max_body
        self.status = copied.status_code
        return copied

    def take_source(self, response: ResponseHead) -> None:
        """Own the file, iterator or stream that a response of this exchange is read from."""
        if response.upgraded is not None:
            self.lease = (
                None  # A body takes the place of the upgraded connection, which the response has.
            )
        source, response.source = response.source, None
        # Such a message ends with its head (RFC 9110, section 6.4.1), whatever the adapter gave.
        is_empty = self.method == "HEAD" or response.status_code in (204, 304)
        source.adopt(self.method, self.url, is_empty=is_empty)
        self.own(source)
        response.attach(self._new_body(source))

    def _new_body(self, lease: AnyLease) -> AnyBody:
        raise NotImplementedError(f"{type(self).__name__} is not an exchange that can be used")


class Exchange(ExchangeCore):
    """One request, its response, and the lease of the one connection that carries both."""

    __slots__ = ()

    def respond(
        self,
        status_code: int,
        headers: HeadersLike | None = None,
        body: ResponseContent | None = None,
        *,
        reason: str | None = None,
        http_version: str = "HTTP/1.1",
    ) -> Response:
        """The response to this exchange. Without `body` it is read through the lease that the exchange owns.

        `body`: bytes, text, a binary file or an iterable of bytes; the last two are closed with the exchange.
        """
        response = Response(status_code, headers, body, reason=reason, http_version=http_version)
        lease = self.lease
        if body is not None:
            return self.adopt(response)
        response.max_body = self.max_body
        self.status = status_code
        if lease is not None:
            response.attach(Body(self, lease))
        return response

    def _new_body(self, lease: AnyLease) -> Body:
        return Body(self, lease)


class AsyncExchange(ExchangeCore):
    """The exchange of an async adapter."""

    __slots__ = ()

    def respond(
        self,
        status_code: int,
        headers: HeadersLike | None = None,
        body: AsyncResponseContent | None = None,
        *,
        reason: str | None = None,
        http_version: str = "HTTP/1.1",
    ) -> AsyncResponse:
        """See `Exchange.respond`; `body` may be an async iterable of bytes, too."""
        response = AsyncResponse(
            status_code, headers, body, reason=reason, http_version=http_version
        )
        lease = self.lease
        if body is not None:
            return self.adopt(response)
        response.max_body = self.max_body
        self.status = status_code
        if lease is not None:
            response.attach(AsyncBody(self, lease))
        return response

    def _new_body(self, lease: AnyLease) -> AsyncBody:
        return AsyncBody(self, lease)


class PinnedExchange(Pinned, Exchange):
    """An `Exchange` that keeps its connection for the next one."""

    __slots__ = ()


class AsyncPinnedExchange(Pinned, AsyncExchange):
    """An `AsyncExchange` that keeps its connection for the next one."""

    __slots__ = ()


AnyExchange = Exchange | AsyncExchange
AnyResponse = Response | AsyncResponse
