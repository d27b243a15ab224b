"""Files whose `read` is awaited: those of anyio, trio and aiofiles, an upload of Starlette's, a `StreamReader`.

They are async iterables too, but of lines: a line for each wait, and a chunk on the wire for each line. So they are
read in blocks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from typing_extensions import TypeIs

__all__ = ["AsyncBlocks", "AsyncReadable", "has_awaited", "is_async_file"]

_BLOCK_SIZE = 64 * 1024
# `inspect.CO_COROUTINE`: the flag of the code of an `async def`. Importing `inspect` takes longer than this module.
_COROUTINE = 0x80


class AsyncReadable(Protocol):
    """A binary file: `await read(n)` returns up to n bytes, and b"" at its end."""

    async def read(self, size: int, /) -> bytes: ...


def has_awaited(thing: object, name: str) -> bool:
    """Whether it has a method of this name that is an `async def`."""
    # Not isinstance(): wrappers pass methods on by `__getattr__` from the file that they wrap.
    code = getattr(getattr(thing, name, None), "__code__", None)
    return code is not None and bool(code.co_flags & _COROUTINE)


def is_async_file(thing: Any) -> TypeIs[AsyncReadable]:
    """Whether it has a `read` that is awaited and takes a size."""
    if not has_awaited(thing, "read"):
        return False
    from inspect import signature

    try:
        signature(thing.read).bind(_BLOCK_SIZE)
    except TypeError:
        return False  # The `read()` of a response, for example, gives all of it.
    return True


class AsyncBlocks(AsyncIterator[bytes]):
    """The blocks of such a file, from its present position to its end.

    Not an async generator: one that is dropped half way would leave its end to the event loop.
    """

    __slots__ = ("_file",)

    def __init__(self, file: AsyncReadable) -> None:
        self._file = file

    async def __anext__(self) -> bytes:
        if block := await self._file.read(_BLOCK_SIZE):
            return block
        raise StopAsyncIteration
