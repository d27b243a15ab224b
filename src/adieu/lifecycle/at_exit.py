"""Finalizers at the very end of the interpreter, when the names in modules are None already."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

__all__ = ["quiet_at_exit"]

T = TypeVar("T")


def quiet_at_exit(finalizer: Callable[[T], None]) -> Callable[[T], None]:
    """For a `__del__`: what it raises at the end of the interpreter is not reported.

    An object that a module still refers to at the end is finalized when its own code can hardly run any more. The
    system closes its sockets all the same.
    """
    is_finalizing = (
        sys.is_finalizing
    )  # A name of this function: that of the module may be None by then.

    def run(self: T) -> None:
        try:
            finalizer(self)
        except Exception:
            if not is_finalizing():
                raise

    return run
