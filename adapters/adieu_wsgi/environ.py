"""The environ: the parts of a request, by their names in PEP 3333 and RFC 3875 (CGI).

Texts in it are "native strings": str whose characters are the bytes, read as Latin-1.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from adieu.errors import InvalidRequest, InvalidURL
from adieu.texts import show_url

if TYPE_CHECKING:
    from typing import BinaryIO

    from adieu.messages.request import Request
    from adieu.messages.url import URL

__all__ = ["checked_script_name", "environ_of"]

_NOT_OF_HTTP = {"HTTP_CONTENT_TYPE": "CONTENT_TYPE", "HTTP_CONTENT_LENGTH": "CONTENT_LENGTH"}


def checked_script_name(text: str) -> str:
    """The path at which an app is mounted, as a native string: "" or "/api", never with a slash at its end."""
    if not isinstance(text, str) or (text and text[0] != "/"):
        raise InvalidRequest(f'script_name is "" or begins with "/", as in "/api"; not {text!r}')
    return text.rstrip("/").encode().decode("latin-1")


def environ_of(
    request: Request, body: BinaryIO, script_name: str, remote_addr: str
) -> dict[str, Any]:
    """The environ of a request whose content is read from `body`.

    Raises `InvalidURL` if the URL is not below `script_name`.
    """
    url = request.url
    host = f"[{url.host}]" if ":" in url.host else url.host
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": script_name,
        "PATH_INFO": _path_info(url, script_name),
        "QUERY_STRING": url.query or "",
        "REQUEST_URI": url.target,
        # RFC 3875 requires both, even for a URL whose scheme has no ports or no hosts.
        "SERVER_NAME": host or "localhost",
        "SERVER_PORT": str(url.port or 80),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "adieu_wsgi",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "REMOTE_ADDR": remote_addr,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": body,
        # The input ends with the content, even without a known length; frameworks read such input only with this flag.
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if url.authority and "host" not in request.headers:
        environ["HTTP_HOST"] = url.authority
    for name, value in request.headers.raw:
        _add(environ, name, value)
    return environ


def _path_info(url: URL, script_name: str) -> str:
    path = unquote_to_bytes(url.path).decode("latin-1")
    if path[:1] != "/":
        raise InvalidURL(f"{show_url(url)} has no path that an app could serve")
    if path != script_name and not path.startswith(script_name + "/"):
        raise InvalidURL(f"{show_url(url)} is not below {script_name}/, where the app is mounted")
    return path[len(script_name) :]


def _add(environ: dict[str, Any], name: str, value: str) -> None:
    """Add a header field (RFC 3875, section 4.1.18)."""
    if "_" in name:
        return  # X_User would be the same variable as X-User: servers drop it, so that no client can imitate a proxy.
    key = "HTTP_" + name.upper().replace("-", "_")
    if key == "HTTP_TRANSFER_ENCODING":
        return  # RFC 9112, section 7.1.3: the decoder of the chunks removes the field.
    key = _NOT_OF_HTTP.get(key, key)
    if key in environ:
        # RFC 6265, section 5.4, and RFC 9110, section 5.3.
        value = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ', '}{value}"
    environ[key] = value
