"""The dialogue of an auth flow with its server: one request after the other, until the flow has had enough.

Whatever ends it, an answer, an error or an interrupt, the flow is closed when this room is left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from adieu.errors import BodyTooLarge, ContentError, InvalidRequest
from adieu.messages.request import Request

if TYPE_CHECKING:
    from adieu.flow.auth import Auth
    from adieu.lifecycle.steps import Steps

__all__ = ["run_auth_flow"]

# How much of a response a flow may have read (bytes): tokens and errors are short.
_MOST = 1024 * 1024


def run_auth_flow(
    auth: Auth,
    request: Request,
    exchange: Callable[[Request], Steps[Any]],
    leave: Callable[[Any, Any], Steps[None]],
) -> Steps[Any]:
    """The last response of a flow. `exchange` sends a request; `leave` ends a response that is not the last."""
    flow = auth.flow(request.copy())
    if not hasattr(flow, "send"):
        raise InvalidRequest(
            f"the flow of {auth!r} is a plain generator, for both colours; this one is {type(flow).__name__}"
        )
    received: Any = None
    response: Any = None
    spent = None
    try:
        while True:
            try:
                wish = flow.send(received)
            except StopIteration:
                break
            if isinstance(wish, Request):
                if response is not None:
                    yield from leave(response, "auth")
                if wish.content is spent:
                    raise ContentError(
                        f"{wish.method} {wish.url} asks for credentials, which means to send the content again, "
                        "but it was an iterator that has been used up: pass bytes, a file or a list"
                    )
                if not wish.content.replayable:
                    spent = wish.content
                received = response = yield from exchange(wish)
            elif response is not None and wish is response:
                yield from _read(response)
                received = response
            else:
                received = yield from _awaited(wish, auth)
    finally:
        flow.close()
    return response if response is not None else (yield from exchange(request))


def _read(response: Any) -> Steps[None]:
    body = response.body
    if body is None:
        return
    chunks: list[bytes] = []
    size = 0
    while chunk := (yield body.read()):
        chunks.append(chunk)
        size += len(chunk)
        if size > _MOST:
            raise BodyTooLarge(f"{response.url} answers an auth flow with more than {_MOST} bytes")
    response.received(chunks, body.trailers)
    response.body = None


def _awaited(wish: Any, auth: Auth) -> Steps[Any]:
    """What an awaitable gives that a flow yielded."""
    if not hasattr(wish, "__await__"):
        raise InvalidRequest(
            f"{auth!r} yielded {type(wish).__name__}; a flow yields requests, and the last response to read its body"
        )
    result = yield wish
    if result is wish:
        if hasattr(wish, "close"):
            wish.close()  # Or it would complain that nobody awaited it.
        raise InvalidRequest(f"{auth!r} has to be awaited: use AsyncClient")
    return result
