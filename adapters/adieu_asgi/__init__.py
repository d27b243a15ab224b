"""An ASGI app as a server: requests go to the app in the same process, without a socket (ASGI 3, on asyncio).

There is no entry point: a client makes a named adapter without arguments, and this one needs an app.
"""

from __future__ import annotations

from adieu_asgi.adapter import AsyncASGIAdapter
from adieu_asgi.errors import AppError, NotASGI
from adieu_asgi.sync import ASGIAdapter

__all__ = ["ASGIAdapter", "AppError", "AsyncASGIAdapter", "NotASGI"]
