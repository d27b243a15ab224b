"""What a forked child has to make anew: one registry for the whole package.

A forked child has one thread. A lock that another thread of the parent held stays locked in it for ever, a job that
another thread carried never ends, and a connection is the parent's. So each object with such state registers itself
here, with a function that puts it right, which the child calls before anything else of adieu runs in it.

Locks and connections come first. What comes after them may drop references to exchanges: the finalizers find their
locks free, and no connection of the parent's that they could end.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["call_after_fork", "call_first_after_fork"]

T = TypeVar("T")

# Not `WeakKeyDictionary`, whose callbacks are Python: an interrupt that falls into one is printed and lost.
_first: dict[ref[Any], Callable[[Any], object]] = {}
_then: dict[ref[Any], Callable[[Any], object]] = {}


def call_first_after_fork(thing: T, renew: Callable[[T], object]) -> None:
    """Call `renew(thing)` in every forked child, as long as `thing` exists: for locks and connections.

    `renew` must not refer to `thing`, and drops no reference to anything with a finalizer.
    """
    _first[ref(thing, _first.pop)] = renew


def call_after_fork(thing: T, renew: Callable[[T], object]) -> None:
    """Call `renew(thing)` in every forked child, as long as `thing` exists: for what uses locks and connections.

    `renew` must not refer to `thing`.
    """
    _then[ref(thing, _then.pop)] = renew


def _after_fork() -> None:
    for things in (_first, _then):
        # Not of the items: making a tuple for each may begin a collection, and what that finds leaves the dictionary.
        for known in list(things):
            thing, renew = known(), things.get(known)
            if thing is not None and renew is not None:
                renew(thing)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
