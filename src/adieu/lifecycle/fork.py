"""What a forked child has to make anew: one registry for the whole package.

A forked child has one thread. A lock that another thread of the parent held stays locked in it for ever, a job that
another thread carried never ends, and a connection is the parent's. So each object with such state registers itself
here, with a function that puts it right, which the child calls before anything else of adieu runs in it.

The functions may be called in any order. So they drop no reference whose finalizer could use an object that was not put
right yet, and they send nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["call_after_fork"]

T = TypeVar("T")

_registered: WeakKeyDictionary[Any, Callable[[Any], object]] = WeakKeyDictionary()


def call_after_fork(thing: T, renew: Callable[[T], object]) -> None:
    """Call `renew(thing)` in every forked child, as long as `thing` exists. `renew` must not refer to it."""
    _registered[thing] = renew


def _after_fork() -> None:
    for thing, renew in list(_registered.items()):
        renew(thing)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
