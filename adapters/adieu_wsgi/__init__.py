"""A WSGI app as a server: requests go into the app in this process, without a socket (PEP 3333).

There is no entry point: an adapter of a name is made without arguments, and here there is nothing without an app.
"""

from __future__ import annotations

from adieu_wsgi.adapter import WSGIAdapter
from adieu_wsgi.errors import AppError, NotWSGI

__all__ = ["AppError", "NotWSGI", "WSGIAdapter"]
