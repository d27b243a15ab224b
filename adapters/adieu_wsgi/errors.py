"""The errors of a WSGI app."""

from __future__ import annotations

from adieu.errors import ProtocolError
from adieu.transport.app_errors import AppError, AppFacts

__all__ = ["AppError", "Facts", "NotWSGI"]


class NotWSGI(ProtocolError):
    """The app broke the rules of PEP 3333; the text says how."""


class Facts(AppFacts[NotWSGI]):
    """The facts of one call of a WSGI app."""

    __slots__ = ()
    interface = "PEP 3333"
    violated = NotWSGI
