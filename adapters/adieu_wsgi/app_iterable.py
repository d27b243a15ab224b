"""The iterable that an app returned, and its `close()`, which a server has to call once (PEP 3333).

An interrupt (Ctrl-C) is raised between two lines of Python. Two moments must not be torn apart by one: the app's return
and keeping what it returned, and the end of `close()` and forgetting the iterable. So each of the two is one operation
of a list, which runs in C.
"""

from __future__ import annotations

from operator import methodcaller
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["AppIterable"]

_CLOSE: Any = methodcaller("close")


class AppIterable:
    """The iterable of one call of an app. For one thread at a time."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        # The iterable; None in its place: it is closed.
        self._kept: list[Any] = []

    def take_from(self, app: Callable[..., Any], *arguments: object) -> Iterable[bytes]:
        """Call the app, keep what it returns, and give that."""
        kept = self._kept
        kept.extend(map(app, *([argument] for argument in arguments)))
        if not kept:
            raise RuntimeError("the app raised StopIteration")
        iterable: Iterable[bytes] = kept[0]
        return iterable

    def close(self) -> None:
        """Call `close()`, if the iterable has one and it was not called yet; raise what that raises.

        After an interrupt in it, which may have come before its first line, it is called once more.
        """
        try:
            self._close()
        except Exception:
            self._kept.clear()
            raise
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        kept = self._kept
        if kept and hasattr(kept[0], "close"):
            kept[:] = map(_CLOSE, kept)
        kept.clear()
