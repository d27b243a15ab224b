"""A request whose content is in memory, so that it can be read by several: a log, a comparison, and what sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adieu.lifecycle.steps import adrive
from adieu.messages.content.encode import with_trailers
from adieu.messages.content.value import Content
from adieu.net.async_backend import current_backend

if TYPE_CHECKING:
    from adieu.lifecycle.deadline import Deadline
    from adieu.lifecycle.steps import Steps
    from adieu.messages.request import Request

__all__ = ["bytes_of", "with_whole_content"]


def with_whole_content(request: Request, deadline: Deadline, *, awaits: bool) -> Steps[Request]:
    """A copy of the request, its content read as an adapter reads it. `awaits`: by an async adapter."""
    copied, content = request.copy(), request.content
    if content.body is not None:
        return copied
    pieces: list[bytes] = []
    if not content.is_async or not awaits:
        pieces += content.chunks()
    elif deadline.ends_at is None:
        yield from _await_pieces(content, pieces)
    else:
        reading = adrive(_await_pieces(content, pieces))
        yield current_backend().beside(adrive(_wait_for_the_end(deadline)), reading)
    copied.content = Content(b"".join(pieces), content.media_type)
    if content.trailers is not None:
        copied.content = with_trailers(copied.content, content.trailers)
    return copied


def bytes_of(content: Content) -> bytes:
    """The whole content of a request that `with_whole_content` has made."""
    return b"".join(content.chunks())


def _await_pieces(content: Any, pieces: list[bytes]) -> Steps[None]:
    chunks = content.async_chunks()
    while chunk := (yield anext(chunks, b"")):
        pieces.append(chunk)


def _wait_for_the_end(deadline: Deadline) -> Steps[None]:
    """Raise when the call has used up its time."""
    end = deadline.end()
    while True:
        yield current_backend().sleep(end.remaining("write") or 0.0)
