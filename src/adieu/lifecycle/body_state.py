"""The states of a body, as a table: what a reader gets next, and what changes it."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["NEXT_STATE", "BodyEvent", "BodyState"]

# Both are numbers: the hash of other enumerations is a Python call, and each request looks into the table twice.


class BodyState(IntEnum):
    """What a reader of the body gets next."""

    OPEN = 0  # bytes from the connection
    BUFFERED = 1  # bytes that were read ahead; all of them are here, and the connection has been given back
    ENDED = 2  # the end: all bytes have been given out
    CLOSED = 3  # BodyClosed: it was closed before its end
    FAILED = 4  # BodyClosed: a read failed, so what came before is not the whole
    CUT_OFF = 5  # ClientClosed: the client was closed while the body was open


class BodyEvent(IntEnum):
    """What can happen to a body."""

    COMPLETE = 0  # the end of the message was read
    TAKEN = 1  # all bytes have been given out
    LEFT = 2  # the rest is not wanted
    FAILED = 3  # a read failed
    CLIENT_CLOSED = 4


# The state at an event: the next state. What is not listed changes nothing: an end that has happened is final.
NEXT_STATE = {
    BodyEvent.COMPLETE: {BodyState.OPEN: BodyState.BUFFERED},
    BodyEvent.TAKEN: {BodyState.BUFFERED: BodyState.ENDED},
    BodyEvent.LEFT: {BodyState.OPEN: BodyState.CLOSED, BodyState.BUFFERED: BodyState.CLOSED},
    BodyEvent.FAILED: {BodyState.OPEN: BodyState.FAILED, BodyState.BUFFERED: BodyState.FAILED},
    BodyEvent.CLIENT_CLOSED: {
        BodyState.OPEN: BodyState.CUT_OFF,
        BodyState.BUFFERED: BodyState.CUT_OFF,
    },
}
