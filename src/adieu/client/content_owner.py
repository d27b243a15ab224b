"""The end of what the user gave as content: a call owns it, and closes its iterators on every way out.

The content is ended when nothing reads it any more. Over a connection that is when the response is there, or an error:
the upload is over, or an early answer has stopped it. A lease whose peer is in this process (an app, a function) may
read on while the body of the response is read: then the content ends with the lease.

No await after a cancellation or an interrupt: what has to be awaited is ended only as far as it gets without.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from adieu.lifecycle.close_now import close_now
from adieu.lifecycle.events import report_unraisable

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.lifecycle.steps import Steps
    from adieu.messages.content.value import Content
    from adieu.messages.request import Request
    from adieu.transport.exchange import AnyResponse

__all__ = ["end_refused", "owning_content"]


def owning_content(
    request: Request, awaits: bool, begin: Callable[[Request], Steps[AnyResponse]]
) -> Steps[AnyResponse]:
    """The steps of a call, with a request whose content they own. `awaits`: the client is an async one."""
    content = request.content.owned()
    request = request.copy()
    request.content = content
    body = None
    try:
        response = yield from begin(request)
        body = response.body
        lease = None if body is None else body.lease
        if lease is None or not lease.keep_content(content.end_now):
            yield from _end(content, awaits)
    except BaseException as error:
        try:
            if body is not None:
                body.abort(type(error).__name__)  # The response will not reach the user.
            yield from _end(content, awaits and isinstance(error, Exception))
        except BaseException:
            content.end_now()  # What an interrupt or a cancellation has left.
            raise
        raise
    return response


def _end(content: Content, waits: bool) -> Steps[None]:
    if waits:
        yield from content.end()
    else:
        content.end_now()


def end_refused(options: Mapping[str, Any]) -> None:
    """Close the iterators in the options of a call that is refused before there is a request."""
    for given in _content_in(options):
        if isinstance(given, (Iterator, AsyncIterator)) and not hasattr(given, "read"):
            try:
                close_now(given)
            except Exception as error:
                report_unraisable(error, given)


def _content_in(options: Mapping[str, Any]) -> Iterator[object]:
    """What was given as content, of whatever type: it may be the reason for the refusal."""
    yield options.get("content")
    yield options.get("data")
    files = options.get("files")
    if isinstance(files, Mapping):
        parts = list(files.values())
    else:
        pairs = files if isinstance(files, (list, tuple)) else ()
        parts = [pair[1] for pair in pairs if isinstance(pair, (list, tuple)) and len(pair) == 2]
    for part in parts:
        yield part[1] if isinstance(part, tuple) and len(part) > 1 else part
