"""The content of an error: it says what is wrong, and `raise_for_status()` cannot wait for it.

So a call reads the content of a 4xx or 5xx before it returns a stream, if that is short and comes soon. Otherwise it
would depend on the server's packets whether the error has it. A longer one stays the stream that it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.lifecycle.body_state import BodyState

if TYPE_CHECKING:
    from adieu.lifecycle.steps import Steps
    from adieu.transport.exchange import AnyResponse

__all__ = ["keep_error_body"]

_UNREAD = (BodyState.OPEN, BodyState.BUFFERED)


def keep_error_body(response: AnyResponse) -> Steps[None]:
    """Read the content of a response for an error, unless somebody has begun to, or it is long or slow."""
    body = response.body
    if body is None or body.state not in _UNREAD or response.streamed:
        return
    whole: bool = yield body.look_ahead()
    if whole:
        response.received(body.take(), body.trailers)
        response.body = None
