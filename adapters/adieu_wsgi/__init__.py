"""A WSGI app as a server: requests go to the app in the same process, without a socket (PEP 3333).

There is no entry point: a client makes a named adapter without arguments, and this one needs an app.
"""

from __future__ import annotations

from adieu_wsgi.adapter import WSGIAdapter
from adieu_wsgi.errors import AppError, NotWSGI

__all__ = ["AppError", "NotWSGI", "WSGIAdapter"]
