"""What can go wrong with an ASGI app."""

from __future__ import annotations

from adieu.errors import ProtocolError
from adieu.transport.app_errors import AppError, AppFacts

__all__ = ["AppError", "Facts", "NotASGI"]


class NotASGI(ProtocolError):
    """The app did what no ASGI app may do; the text says what."""


class Facts(AppFacts[NotASGI]):
    """What is known of one call of an ASGI app."""

    __slots__ = ()
    interface = "ASGI"
    violated = NotASGI
