"""`client.websocket(url)`: the opening handshake as a call of the client, and the WebSocket over what it opens.

The handshake is an ordinary GET: mounts, proxies, TLS, authentication, cookies, retries and hooks apply as they do to
any other. It is not redirected: an answer other than 101 is an error that has the response.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adieu.client.call import Call
from adieu.client.error_body import keep_error_body
from adieu.client.unknown_options import refuse_unknown_in_call
from adieu.errors import InvalidRequest
from adieu.messages.headers import combined
from adieu.messages.response_head import StatusError
from adieu.messages.url.websocket import as_http, as_websocket
from adieu.texts import show, show_url
from adieu.transport.async_upgrade import AsyncUpgraded
from adieu.transport.upgrade import Upgraded
from adieu.transport.upgraded_lease import UpgradedLease
from adieu.websocket.asynchronous import AsyncWebSocket
from adieu.websocket.handshake import Handshake
from adieu.websocket.keepalive import Keepalive
from adieu.websocket.sync import WebSocket

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adieu.client.base import ClientBase
    from adieu.client.option_types import WebSocketOptions
    from adieu.lifecycle.steps import Steps
    from adieu.messages.url import URL
    from adieu.transport.exchange import AnyExchange, AnyResponse

__all__ = ["opening"]

_OPTIONS = frozenset(
    ("auth", "cert", "cleanup", "cookies", "extras", "headers", "params", "proxy", "retry", "timeout", "tls", "verify")
)  # fmt: skip


def opening(
    client: ClientBase,
    url: URL | str,
    options: WebSocketOptions,
    *,
    subprotocols: Iterable[str],
    compression: bool,
    max_message: int | None,
    ping_interval: float | None,
    ping_timeout: float | None,
) -> Steps[Any]:
    """Open a WebSocket."""
    refuse_unknown_in_call(options, _OPTIONS, opening)
    if max_message is not None and (type(max_message) is not int or max_message < 1):
        raise InvalidRequest(f"max_message is a number of bytes, or None, not {max_message!r}")
    keepalive = Keepalive(ping_interval, ping_timeout)
    handshake = Handshake(subprotocols, compression)
    headers = combined(options.get("headers") or (), handshake.fields())
    changed: Any = {**options, "headers": headers, "follow_redirects": False}
    calls: list[_OpeningCall] = []

    def begin(*facts: Any) -> _OpeningCall:
        calls.append(_OpeningCall(*facts))
        return calls[0]

    try:
        response = yield from client._beginning("GET", as_http(url), changed, True, begin)
        exchange = calls[0].exchange
        assert exchange is not None
        if response.upgraded is None:
            yield from _refused(response)
        return _open(client, exchange, response, handshake, keepalive, max_message)
    except BaseException as error:
        # No call of the WebSocket's has seen it: it ends here.
        for call in calls:
            if call.exchange is not None:
                call.exchange.end(False, type(error).__name__)
        raise


def _open(
    client: ClientBase,
    exchange: AnyExchange,
    response: AnyResponse,
    handshake: Handshake,
    keepalive: Keepalive,
    max_message: int | None,
) -> WebSocket | AsyncWebSocket:
    upgraded, kind = response.upgraded, AsyncWebSocket if client.awaits else WebSocket
    if not isinstance(upgraded, AsyncUpgraded if client.awaits else Upgraded):
        raise InvalidRequest(
            f"the adapter for {show_url(exchange.url)} gives {type(upgraded).__name__} for an upgraded connection, "
            f"which {type(client).__name__} cannot use: mount one that is made for it"
        )
    if exchange.lease is None:
        exchange.wrap(UpgradedLease(upgraded))
    agreed = handshake.accept(response)
    exchange.url = as_websocket(exchange.url)  # For errors and reports.
    websocket = kind(exchange, response, upgraded, agreed, keepalive, max_message)
    client.watch(websocket)
    return websocket


def _refused(response: AnyResponse) -> Steps[None]:
    """Raise the error for an answer that opens no WebSocket; it has what was short and came soon of its content."""
    yield from keep_error_body(response)
    if response.body is not None:
        yield response.body.close("error")
    request = response.request
    raise StatusError(
        f"{response.status_code} {show(response.reason)} for {request.method} {show_url(request.url)}, "
        "where the beginning of a WebSocket is 101",
        response=response,
    )


class _OpeningCall(Call):
    """A call whose exchange goes on to own the connection: it is the WebSocket's."""

    __slots__ = ()

    def _hand_over(self, exchange: AnyExchange) -> None:
        """The exchange keeps it."""
