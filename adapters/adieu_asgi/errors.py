"""The errors of an ASGI app."""

from __future__ import annotations

from adieu.errors import ProtocolError
from adieu.transport.app_errors import AppError, AppFacts

__all__ = ["AppError", "Facts", "NotASGI"]


class NotASGI(ProtocolError):
    """The app broke the rules of ASGI; the text says how."""


class Facts(AppFacts[NotASGI]):
    """The facts of one call of an ASGI app."""

    __slots__ = ()
    interface = "ASGI"
    violated = NotASGI
