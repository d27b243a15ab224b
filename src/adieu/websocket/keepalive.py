"""Keep-alive: a ping after a silence, and an end if silence follows it (RFC 6455, section 5.5.2). No clock, no I/O.

It runs while a call waits to receive, and needs neither a thread nor a task. Whatever comes counts as life, not only
the pong: a peer in the middle of a long frame cannot answer.
"""

from __future__ import annotations

from typing import Literal

from adieu.errors import InvalidRequest

__all__ = ["Keepalive"]


class Keepalive:
    """`interval`: seconds of silence before a ping; None: never. `timeout`: seconds of it after a ping; None: any."""

    __slots__ = ("_asked", "_heard_at", "_interval", "_pinged_at", "latency", "timeout")

    def __init__(self, interval: float | None, timeout: float | None) -> None:
        self._interval = _checked("ping_interval", interval)
        self.timeout = _checked("ping_timeout", timeout)
        # When something came last; None: nothing was waited for yet.
        self._heard_at: float | None = None
        # When the latest ping was sent, if nothing has come since.
        self._pinged_at: float | None = None
        # The payload of the latest ping, and when it was sent.
        self._asked: tuple[bytes, float] | None = None
        # Between the latest ping that was answered and its pong (seconds).
        self.latency: float | None = None

    def wait(self, now: float) -> float | None:
        """How long to wait for the peer before `after_silence` is asked (None: no limit)."""
        if self._heard_at is None:
            self._heard_at = now
        if self._pinged_at is None:
            return _left(self._heard_at, self._interval, now)
        return _left(self._pinged_at, self.timeout, now)

    def after_silence(self, now: float) -> Literal["wait", "ping", "dead"]:
        """What to do after a wait that brought nothing."""
        if self.wait(now) != 0.0:
            return "wait"
        return "ping" if self._pinged_at is None else "dead"

    def ping(self, now: float) -> bytes:
        """The payload of a ping that is sent now."""
        payload = b"%x" % int(now * 1e6)
        self._pinged_at = now
        self._asked = payload, now
        return payload

    def heard(self, now: float) -> None:
        """Something came."""
        self._heard_at, self._pinged_at = now, None

    def answered(self, payload: bytes, now: float) -> None:
        """A pong came. It may answer no ping (RFC 6455, section 5.5.3)."""
        if self._asked is not None and payload == self._asked[0]:
            self.latency = now - self._asked[1]


def _left(since: float, seconds: float | None, now: float) -> float | None:
    return None if seconds is None else max(since + seconds - now, 0.0)


def _checked(name: str, seconds: float | None) -> float | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        raise InvalidRequest(f"{name} is a number of seconds above 0, or None, not {seconds!r}")
    return float(seconds)
