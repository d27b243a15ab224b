"""What can go wrong with a WSGI app."""

from __future__ import annotations

from adieu.errors import ProtocolError
from adieu.transport.app_errors import AppError, AppFacts

__all__ = ["AppError", "Facts", "NotWSGI"]


class NotWSGI(ProtocolError):
    """The app did what no WSGI app may do (PEP 3333); the text says what."""


class Facts(AppFacts[NotWSGI]):
    """What is known of one call of a WSGI app."""

    __slots__ = ()
    interface = "PEP 3333"
    violated = NotWSGI
