"""`file:` URLs, below one folder: `client.mount("file://", files_below("/srv/data"))`.

A function adapter is enough: the client closes the file that it returns, whatever happens to the
response. The folder is a bound: without one, whoever chooses the URL reads every file that the
process can read.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import url2pathname

import adieu

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["files_below"]


def files_below(folder: str | Path) -> Callable[[adieu.Request], adieu.Response]:
    """An adapter for the files below this folder. GET and HEAD; anything else is a 405."""
    root = Path(folder).resolve()

    def files(request: adieu.Request) -> adieu.Response:
        if request.method not in ("GET", "HEAD"):
            return adieu.Response(405, {"allow": "GET, HEAD"})
        if request.url.host not in ("", "localhost"):
            return adieu.Response(404, body="a file: URL names no other machine (RFC 8089)")
        path = Path(url2pathname(request.url.path)).resolve()  # Without links and dots.
        if not path.is_relative_to(root) or not path.is_file():
            return adieu.Response(404, body="there is no such file")
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        head = {"content-type": kind, "content-length": str(path.stat().st_size)}
        return adieu.Response(200, head, path.open("rb") if request.method == "GET" else None)

    return files
