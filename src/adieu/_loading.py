"""Parts of the package that are imported when they are first used, and may fail then as a request may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.errors import TransportError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Loading"]


class Loading:
    """`with Loading("the adapter 'native'"):` makes a `TransportError` of an `OSError` in an import.

    A process that has used up its descriptors cannot open the file of a module.
    """

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError):
            raise TransportError(f"{self._what} could not be loaded: {error}") from error
