"""`default_adapter`: what code under test calls without a client of yours, `adieu.get()` say, goes to a mock."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

from adieu.client.settings import adapt_by_default
from adieu.transport.adapter import AdapterBase, AsyncMiddleware, Middleware, checked_adapter
from adieu.transport.functions import is_awaited

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.transport.adapter import AdapterLike, AsyncAdapter

__all__ = ["default_adapter"]

A = TypeVar("A", bound="AdapterLike")


@contextlib.contextmanager
def default_adapter(adapter: A) -> Iterator[A]:
    """A block in which one-shot functions, and clients that are made without `adapter=`, send by this adapter.

    ```python
    with default_adapter(MockAdapter({"GET https://api.example.org/items": adieu.Response(200, json=[])})) as mock:
        assert adieu.get("https://api.example.org/items").json() == []
    ```

    It is not closed by these clients: close a `Recorder` after the block. Their limits, TLS settings and proxies mean
    nothing to it if it is local, as a mock is. Clients that were made before, and mounts, keep their adapters. The
    block is for the whole process, so it is for tests that do not run in threads beside each other.
    """
    before = adapt_by_default(_kept(adapter))
    try:
        yield adapter
    finally:
        adapt_by_default(before)


def _kept(adapter: Any) -> Any:
    """The adapter, of which no client ends what others still use."""
    if not callable(getattr(adapter, "send", None)):
        checked_adapter(adapter, awaits=bool(is_awaited(adapter)))  # Refuses what is no function.
        return adapter
    return _AsyncKept(adapter) if is_awaited(adapter.send) else _Kept(adapter)


class _Kept(Middleware):
    """A sync adapter that is not closed; for an `AsyncClient`, what it has for one."""

    def close(self) -> None:
        """Nothing."""

    def for_async(self) -> AsyncAdapter | None:
        if not isinstance(self.inner, AdapterBase) or self.inner.for_async() is None:
            return None
        return _AsyncKept(self.inner)


class _AsyncKept(AsyncMiddleware):
    """An async adapter that is not closed."""

    async def close(self) -> None:
        """Nothing."""
