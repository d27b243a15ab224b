"""h11 without adieu: reads a reply in pieces of any size."""

from __future__ import annotations

from typing import NamedTuple

import h11


class Outcome(NamedTuple):
    """An error, or a message and whether h11 would reuse the connection."""

    verdict: str
    status: int | None = None
    body: bytes | None = None
    reusable: bool = False


class _Feed:
    """Bytes, `size` at a time, and then the end of the stream or nothing."""

    def __init__(self, raw: bytes, size: int, *, closes: bool) -> None:
        self._pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
        if closes:
            self._pieces.append(b"")

    def next(self) -> bytes:
        assert self._pieces, "the message has no end"
        return self._pieces.pop(0)

    def rest(self) -> bytes:
        return b"".join(self._pieces)


def by_h11(raw: bytes, method: str, *, closes: bool, size: int) -> Outcome:
    """Read one response with h11 alone."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("host", "localhost")]))
    connection.send(h11.EndOfMessage())
    feed = _Feed(raw, size, closes=closes)
    status, body = None, b""
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(feed.next())
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            elif not isinstance(event, h11.InformationalResponse):
                return Outcome("error")
    except h11.RemoteProtocolError:
        return Outcome("error")
    unread, ended = connection.trailing_data
    done = connection.our_state is connection.their_state is h11.DONE
    # Surplus bytes: h11 has not read them, or did not get them because the message had ended before.
    return Outcome("ok", status, body, done and not ended and not unread and not feed.rest())
