"""The adapter for `Client`: the async one, in an event loop of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu import to_sync
from adieu.transport.adapter import Middleware
from adieu_asgi.adapter import AsyncASGIAdapter

if TYPE_CHECKING:
    from adieu_asgi.lifespan import Mode
    from adieu_asgi.scope import ASGIApp

__all__ = ["ASGIAdapter"]


class ASGIAdapter(Middleware):
    """Sends the requests of a sync `Client` into an ASGI 3 app: see `AsyncASGIAdapter`, whose options these are.

    The app runs in an event loop of asyncio's, in a thread that starts with the first request and ends with the client.
    So its lifespan, and what it keeps between requests, last as long as the client. Several threads may call at once.

    ```python
    with adieu.Client("http://app.test", adapter=ASGIAdapter(app)) as client:
        client.get("/items")
    ```
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        raise_app_exceptions: bool = True,
        root_path: str = "",
        client: tuple[str, int] | None = ("127.0.0.1", 123),
        lifespan: Mode = "auto",
        grace: float = 5.0,
    ) -> None:
        adapter = AsyncASGIAdapter(
            app,
            raise_app_exceptions=raise_app_exceptions,
            root_path=root_path,
            client=client,
            lifespan=lifespan,
            grace=grace,
        )
        super().__init__(to_sync(adapter))
