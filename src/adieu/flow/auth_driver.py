"""Runs the flow of an `Auth`: sends the requests that it yields, one after the other, and gives it the responses.

The flow is closed in any case: after its last response, an error or an interrupt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Literal, TypeVar

from adieu.errors import BodyTooLarge, ContentError, DecodeError, InvalidRequest
from adieu.messages.request import Request
from adieu.texts import show_url

if TYPE_CHECKING:
    from adieu.flow.auth import Auth
    from adieu.lifecycle.reporting import Report
    from adieu.lifecycle.steps import Steps
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.response import Response

__all__ = ["run_auth_flow"]

R = TypeVar("R", bound="Response | AsyncResponse")

# The most bytes of a response that a flow may read, coded and decoded: tokens and errors are short.
_MAX_BODY = 1024 * 1024


def run_auth_flow(
    auth: Auth,
    request: Request,
    send: Callable[[Request], Steps[R]],
    discard: Callable[[R, Literal["auth"]], Steps[None]],
    events: Report | None,
) -> Steps[R]:
    """The last response of a flow. `send` sends a request; `discard` ends a response that is not the last.

    `events`: tells the listeners of each request because of a response.
    """
    flow = auth.flow(request.copy())
    if not isinstance(flow, Generator):
        raise InvalidRequest(
            f"the flow of {auth!r} is a plain generator, for sync and async; this one is {type(flow).__name__}"
        )
    # What the flow receives next: a response, or the result of an awaitable.
    received: object = None
    response: R | None = None
    try:
        while True:
            try:
                yielded = flow.send(received)
            except StopIteration:
                break
            if isinstance(yielded, Request):
                if response is not None:
                    yield from discard(response, "auth")
                if response is not None and not yielded.content.sendable:
                    raise ContentError(
                        f"{yielded.method} {show_url(yielded.url)} asks for credentials, so the content must be "
                        "sent again, but it was an iterator that has been used up: pass bytes, a file or a list"
                    )
                if response is not None and events is not None:
                    events.authenticating(yielded.method, yielded.url, response.status_code)
                received = response = yield from send(yielded)
            elif response is not None and yielded is response:
                yield from _read(response)
                received = response
            else:
                received = yield from _await(yielded, auth)
    finally:
        flow.close()
    return response if response is not None else (yield from send(request))


def _read(response: Response | AsyncResponse) -> Steps[None]:
    """Read the body. What counts is what it takes in memory: the bytes as received, and as decoded."""
    if response.body is None or response.is_read:
        return
    bound = response.max_body
    response.max_body = _MAX_BODY if bound is None else min(bound, _MAX_BODY)
    try:
        yield response.read()
    except BodyTooLarge as error:
        raise BodyTooLarge(
            f"{show_url(response.url)} answers an auth flow with more than {response.max_body} bytes"
        ) from error
    except DecodeError:
        pass  # A flow that looks at the content gets it.
    finally:
        response.max_body = bound


def _await(yielded: object, auth: Auth) -> Steps[object]:
    """The result of an awaitable that a flow yielded."""
    if not isinstance(yielded, Awaitable):
        raise InvalidRequest(
            f"{auth!r} yielded {type(yielded).__name__}; a flow yields requests, and the last response to read its body"
        )
    result: object = yield yielded
    if result is yielded:  # `drive` awaits nothing.
        if isinstance(yielded, Coroutine):
            yielded.close()  # Python warns of a coroutine that was never awaited.
        raise InvalidRequest(f"{auth!r} has to be awaited: use AsyncClient")
    return result
