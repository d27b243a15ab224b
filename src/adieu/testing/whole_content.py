"""A request whose content is in memory, so that it can be read by several: a log, a comparison, and what sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.messages.content.encode import with_trailers
from adieu.messages.content.value import Content

if TYPE_CHECKING:
    from adieu.lifecycle.steps import Steps
    from adieu.messages.request import Request

__all__ = ["bytes_of", "with_whole_content"]


def with_whole_content(request: Request, *, awaits: bool) -> Steps[Request]:
    """A copy of the request, its content read as an adapter reads it. `awaits`: by an async adapter."""
    copied, content = request.copy(), request.content
    if content.body is not None:
        return copied
    pieces = []
    if awaits:
        async_chunks = content.async_chunks()
        while chunk := (yield anext(async_chunks, b"")):
            pieces.append(chunk)
    else:
        pieces += content.chunks()
    copied.content = Content(b"".join(pieces), content.media_type)
    if content.trailers is not None:
        copied.content = with_trailers(copied.content, content.trailers)
    return copied


def bytes_of(content: Content) -> bytes:
    """The whole content of a request that `with_whole_content` has made."""
    return b"".join(content.chunks())
