"""The error for an unknown option of a call: it names those of the method, too, and settings of the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.client._checks import refuse_unknown
from adieu.client.call_settings import CALL_OPTIONS
from adieu.client.settings import CLIENT_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["refuse_unknown_in_call"]

_SETTINGS_ALONE = CLIENT_OPTIONS - CALL_OPTIONS


def refuse_unknown_in_call(
    options: Mapping[str, object],
    known: frozenset[str],
    method: Callable[..., object] | None = None,
) -> None:
    """Raise `TypeError` for an option that a call does not know.

    `method` is what was called, if it has options of its own: those that it takes by name.
    """
    if not options.keys() <= known:
        own = () if method is None else _own_options(method)
        refuse_unknown(options, known, own, _SETTINGS_ALONE)


def _own_options(method: Callable[..., object]) -> tuple[str, ...]:
    from inspect import Parameter, signature

    parameters = signature(method).parameters.values()
    return tuple(each.name for each in parameters if each.kind is Parameter.KEYWORD_ONLY)
