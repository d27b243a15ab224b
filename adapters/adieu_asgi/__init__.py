"""An ASGI app as a server: requests go into the app in this process, without a socket (ASGI 3, on asyncio).

There is no entry point: an adapter of a name is made without arguments, and here there is nothing without an app.
"""

from __future__ import annotations

from adieu_asgi.adapter import AsyncASGIAdapter
from adieu_asgi.errors import AppError, NotASGI

__all__ = ["AppError", "AsyncASGIAdapter", "NotASGI"]
