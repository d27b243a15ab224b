"""Attributes that clients do not have: an assignment to one is refused, with the setting that it resembles."""

from __future__ import annotations

from adieu.client.resembling import resembling
from adieu.client.settings import CLIENT_OPTIONS

__all__ = ["refuse_attribute"]

_CLIENTS = ("adieu.client.client", "adieu.client.async_client")


def refuse_attribute(kind: type, name: str) -> None:
    """Raise `AttributeError`, with the nearest setting, for an attribute that clients do not have.

    A subclass may have attributes of its own, so there only names that resemble a setting are refused, unless they have
    a value in the class body.
    """
    meant = resembling(name, CLIENT_OPTIONS)
    own = kind.__module__ not in _CLIENTS
    if own and meant is None:
        return
    known = ", ".join(sorted(CLIENT_OPTIONS))
    text = f"{kind.__name__} has no setting {name!r}"
    text += f": did you mean {meant}?" if meant else f"; there are {known}"
    if own:
        text += f" (For an attribute of {kind.__name__} itself, give it a value in the class body.)"
    raise AttributeError(text)
