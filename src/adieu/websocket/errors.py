"""The end of a WebSocket as an error, with its facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.errors import WebSocketClosed
from adieu.texts import show

if TYPE_CHECKING:
    from adieu.websocket.session import CloseFrame, Session

__all__ = ["closed_error"]

# RFC 6455, section 7.4.1, and the registry of IANA.
_MEANINGS = {
    1000: "normal",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1005: "no code",
    1006: "no Close frame",
    1007: "invalid data",
    1008: "policy violation",
    1009: "message too big",
    1010: "extension missing",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
    1014: "bad gateway",
}


def closed_error(session: Session, max_message: int | None, lost: str | None) -> WebSocketClosed:
    """Why this WebSocket gives no more messages. `lost`: how the connection ended if no peer ended it."""
    received, sent, failure = session.received, session.sent, session.failure
    if failure is not None and not isinstance(failure, (EOFError, OSError)):
        what = f"the server broke the protocol: {_described(failure, max_message)}"
        if sent is not None:
            what += f"; it was closed with {_shown(sent)}"
    elif received is not None and session.peer_closed_first:
        what = f"the server closed the WebSocket: {_shown(received)}"
    elif received is not None:
        what = "the WebSocket was closed here"
    else:
        how = show(str(failure)) if failure is not None else lost or "it was closed here"
        what = f"the connection of the WebSocket ended without a Close frame of the server: {how}"
    error = WebSocketClosed(
        what,
        code=1006 if received is None else received.code,
        reason="" if received is None else received.reason,
        sent_code=None if sent is None else sent.code,
        sent_reason="" if sent is None else sent.reason,
        phase="body",
        request_sent="wholly",
        response_started=True,
    )
    error.__cause__ = failure
    return error


def _described(failure: Exception, max_message: int | None) -> str:
    text = show(str(failure)) or type(failure).__name__
    if type(failure).__name__ == "PayloadTooBig":
        return f"{text} (max_message={max_message})"
    return text


def _shown(close: CloseFrame) -> str:
    meaning = _MEANINGS.get(close.code)
    code = f"{close.code} ({meaning})" if meaning else str(close.code)
    return f"{code} {show(close.reason)!r}" if close.reason else code
