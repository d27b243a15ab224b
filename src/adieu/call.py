"""One call, from a request to a response that its policy has settled: as steps, for both colours.

The call is the owner of the exchange that is under way. Whatever raises, in an adapter, a hook, a policy or between two
lines, passes through one `except BaseException`, and the exchange is over before the error is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adieu.errors import AdieuError, ClientClosed, InvalidURL, TransportError
from adieu.flow.redirects import REDIRECTS, follow
from adieu.lifecycle.exchange import Exchange
from adieu.messages.response import ResponseHead
from adieu.messages.source import SourceLease

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adieu.client_base import ClientBase
    from adieu.lifecycle.cleanup import CleanupPolicy
    from adieu.lifecycle.deadline import Deadline
    from adieu.lifecycle.steps import Steps
    from adieu.messages.request import Request

__all__ = ["Call"]


class Call:
    """What stays the same over the hops of one call, and the hop under way."""

    __slots__ = ("_exchange", "cleanup", "client", "deadline", "extras", "stream")

    def __init__(
        self,
        client: ClientBase,
        deadline: Deadline,
        cleanup: CleanupPolicy | None,
        stream: bool,
        extras: Mapping[str, object] | None,
    ) -> None:
        self.client = client
        self.deadline = deadline
        self.cleanup = cleanup
        self.stream = stream
        self.extras = extras
        self._exchange: Exchange | None = None

    def run(self, request: Request, max_redirects: int | None) -> Steps[Any]:
        """Send, follow redirects (None: do not), and give the final response to its policy."""
        try:
            response = yield from self._hop(request, 0)
            if max_redirects is not None and response.status_code in REDIRECTS:
                response = yield from self._follow(request, response, max_redirects)
            body = response.body
            if body is not None and body.state == "OPEN":  # A hook may have read or closed it.
                if not body.at_once(self.stream):
                    yield body.opened(self.stream)
                if body.state == "ENDED":
                    response.received(body.take())
                    response.body = None
                elif body.state == "OPEN":
                    self.client.watch(body)
        except BaseException as error:
            exchange = self._exchange
            if exchange is not None:
                exchange.end(False, type(error).__name__)
            if self.client.is_closed and isinstance(error, TransportError):
                raise ClientClosed(
                    f"the client was closed during {error.method} {error.url}"
                ) from error
            raise
        return response

    def _follow(self, request: Request, response: Any, max_redirects: int) -> Steps[Any]:
        """The hops after the first."""
        steps = follow(request, max_redirects)
        next(steps)
        history: tuple[Any, ...] = ()
        while True:
            try:
                request = steps.send(response)
            except StopIteration:
                response.history = history
                return response
            if response.body is not None:
                # Nobody will see this body: it is drained within the policy's bound, or its connection is closed.
                yield response.body.close("redirect")
            response.history = history
            history = (*history, response)
            response = yield from self._hop(request, len(history))

    def _hop(self, request: Request, hop: int) -> Steps[Any]:
        """One exchange: from a request to a response head, whose body the exchange owns."""
        client = self.client
        hooks = client.hooks
        if hooks is not None:
            for hook in hooks[0]:
                yield client.hooked(hook, request)
        mount = client.mounts.select(request.url)
        adapter = mount.adapter
        if client.is_closed:
            # By a hook, or while the adapter was being made, which `close` then did not see.
            yield adapter.close()
            raise ClientClosed(f"the client was closed during {request.method} {request.url}")
        if mount.schemes and request.url.scheme not in mount.schemes:
            raise InvalidURL(
                f"{request.url} cannot be sent: {adapter!r} serves {', '.join(mount.schemes)}; "
                f"mount an adapter for {request.url.scheme}://"
            )
        self._exchange = exchange = Exchange(
            request.method,
            request.url,
            self.deadline,
            self.cleanup or mount.policy or client.cleanup,
            tls=client.tls,
            events=client.events,
            hop=hop,
            extras=self.extras,
        )
        try:
            response: Any = yield adapter.send(request, exchange)
            if not isinstance(response, ResponseHead):
                raise TypeError(f"it returned {type(response).__name__}, not a Response")
        except AdieuError:
            raise
        except Exception as error:
            raise TransportError(
                f"{adapter!r} failed with {type(error).__name__}: {error}",
                method=exchange.method,
                url=str(exchange.url),
            ) from error
        response.request = request
        response.seconds = self.deadline.elapsed()
        if response.source is not None:
            SourceLease.adopt(response, exchange)
        if exchange.lease is not None:
            response.attach(client.body(exchange, response.status_code))
        if hooks is not None:
            for hook in hooks[1]:
                yield client.hooked(hook, response)
        return response
