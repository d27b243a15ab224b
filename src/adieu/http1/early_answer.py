"""Answers that come early: before the request, which are none, and while it is being sent.

RFC 9112, section 9.2: what comes without a request is no response. A server that speaks first would put every answer
one off.

RFC 9112, section 9.5: a client that learns from an answer that the server does not want the content, and closes the
connection, stops sending. Any other answer is one of a server that goes on reading (RFC 9110, section 10.1.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adieu.http1.error_mapping import is_alert
from adieu.http1.head import Malformed, says_close
from adieu.lifecycle.deadline import Within

if TYPE_CHECKING:
    from adieu.http1.head import Head
    from adieu.lifecycle.steps import Steps
    from adieu.net.stream import AnyStream

__all__ = ["MOST_HELD", "answer_after", "refuse_unasked", "stops_upload"]

MOST_HELD: Final = 1024 * 1024
"""How much of an answer is read while the request is being sent (bytes). The rest waits in the system's buffers."""

_READ = 64 * 1024
# How much of what was not asked for an error quotes (bytes).
_SHOWN = 40
# How long to look for something that is there, unless the connection still stands (seconds).
_POLL_TIMEOUT = 0.1


def refuse_unasked(stream: AnyStream) -> Steps[None]:
    """Look at a new connection before its first request, without waiting.

    Raises `Malformed` if the peer has sent something, `EOFError` if it has closed, and what the stream raises.
    """
    if not stream.readable():
        return
    try:
        data: bytes = yield stream.recv(_SHOWN, Within(0))
    except TimeoutError:
        return  # A TLS record without data in it: a session ticket, say.
    if not data:
        raise EOFError
    raise Malformed(f"it spoke before it was sent a request: {data!r}")


def stops_upload(answer: Head, asked_close: bool) -> bool:
    """Whether a final head says that the rest of the content is not wanted.

    `asked_close`: the request says `Connection: close`, so that the answer has to say it too (RFC 9112, section 9.6).
    """
    return answer.status >= 300 or (
        not asked_close and says_close(answer.by_name.get("connection", ""))
    )


def answer_after(error: OSError, stream: AnyStream) -> Steps[bytes]:
    """The bytes that a peer sent before it hung up, which a write has found out by this error.

    A peer may answer and close without reading the rest. Raises `error` if there is no answer, and if the write took
    too long; or the peer's TLS alert: in TLS 1.3 a server judges the client's certificate after the client has done its
    part (RFC 8446, section 4.4.2), so its alert comes where the first answer is expected.
    """
    try:
        if isinstance(error, TimeoutError):
            raise error
        try:
            data: bytes = yield stream.recv(_READ, Within(_POLL_TIMEOUT))
        except OSError as said:
            if is_alert(said):
                raise
            raise error from None
        if not data:
            raise error
        return data
    finally:
        del error  # Or its traceback would lead back to it: a cycle.
