"""What other HTTP clients call things, and what adieu calls them: for the text of the error that a wrong name gives.

The names are those of requests, httpx, aiohttp and urllib3. An attribute is a descriptor that raises when it is read,
because a class with a `__getattr__` pays for each of its own attributes on CPython 3.11: 4 % of a GET for `Response`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NoReturn

__all__ = ["ARGUMENTS", "ATTRIBUTES", "MODULE", "OPTIONS", "NamesElsewhere", "refuse_arguments"]

OPTIONS = {
    "allow_redirects": "follow_redirects",
    "hooks": "event_hooks",
    "max_retries": "retry",
    "proxies": "proxy",
    "retries": "retry",
    "transport": "adapter",
    "trust_env": "proxy",
}
"""The options of clients and calls. Each is an option of adieu's; the text is used where that one is known."""

MODULE = {
    "ASGITransport": "adieu_asgi.AsyncASGIAdapter(app)",
    "AsyncBaseTransport": "a class of your own with adieu.AdapterBase, as adieu.AsyncAdapter says",
    "AsyncHTTPTransport": "adieu_native.AsyncNativeAdapter",
    "AsyncSession": "adieu.AsyncClient",
    "BaseTransport": "a class of your own with adieu.AdapterBase",
    "ChunkedEncodingError": "adieu.BodyTruncated, or adieu.ProtocolError",
    "ClientError": "adieu.AdieuError",
    "ClientSession": "adieu.AsyncClient",
    "ClientTimeout": "adieu.Timeout",
    "ConnectionError": "adieu.TransportError, or adieu.ConnectError if no connection was made",
    "CookieConflict": "adieu.InvalidRequest",
    "DecodingError": "adieu.DecodeError",
    "HTTPAdapter": "adieu_native.NativeAdapter",
    "HTTPBasicAuth": "adieu.BasicAuth",
    "HTTPDigestAuth": "adieu.DigestAuth",
    "HTTPError": "adieu.StatusError for requests.HTTPError, adieu.AdieuError for httpx.HTTPError",
    "HTTPStatusError": "adieu.StatusError",
    "HTTPTransport": "adieu_native.NativeAdapter",
    "InvalidSchema": "adieu.InvalidURL",
    "JSONDecodeError": "adieu.DecodeError",
    "LocalProtocolError": "adieu.InvalidRequest",
    "MissingSchema": "adieu.InvalidURL",
    "MockTransport": "a function as adapter=, or adieu.testing.MockAdapter",
    "NetRCAuth": "adieu.NetrcAuth",
    "NetworkError": "adieu.TransportError",
    "PoolManager": "adieu.Client",
    "PreparedRequest": "adieu.Request",
    "QueryParams": "a mapping or pairs, as params=",
    "RemoteProtocolError": "adieu.ProtocolError",
    "RequestError": "adieu.TransportError",
    "RequestException": "adieu.AdieuError",
    "SSLError": "adieu.TLSError",
    "Session": "adieu.Client",
    "StreamClosed": "adieu.BodyClosed",
    "StreamConsumed": "adieu.BodyClosed",
    "TimeoutException": "adieu.RequestTimeout",
    "UnsupportedProtocol": "adieu.InvalidURL",
    "WSGITransport": "adieu_wsgi.WSGIAdapter(app)",
    "auth": "adieu.BasicAuth, adieu.BearerAuth, adieu.DigestAuth, adieu.NetrcAuth",
    "codes": "http.HTTPStatus of the standard library, or the number",
    "create_ssl_context": "adieu.TLSConfig",
    "exceptions": "adieu itself: adieu.AdieuError is the base of its errors",
    "session": "adieu.Client",
}
"""Names in the module."""

ATTRIBUTES: dict[str, dict[str, str]] = {
    "ClientBase": {
        "aclose": "close(), which is awaited under AsyncClient",
        "get_adapter": "mounts.explain(url)",
        "hooks": "event_hooks",
        "mount_adapter": "mount(pattern, adapter)",
        "prepare_request": "build_request(method, url)",
        "proxies": "proxy",
        "trust_env": "proxy=None, which ignores the environment",
        "urlopen": "request(method, url)",
        "ws_connect": "request(), and upgraded of its response, a stream of bytes",
    },
    "Cookies": {
        "extract_cookies": "store(url, set_cookie)",
        "get_dict": "dict(cookies)",
        "items": "dict(cookies).items(), or iteration, which gives whole cookies",
        "pop": "get(name) and delete(name)",
        "set_cookie": "set(name, value)",
        "values": "dict(cookies).values(), or iteration, which gives whole cookies",
    },
    "Headers": {
        "getall": "get_list(name)",
        "getlist": "get_list(name)",
    },
    "Request": {
        "body": "content",
        "extensions": "the option extras= of a call",
        "files": "content",
        "json": "content",
        "path_url": "url.target",
        "prepare": "client.build_request(method, url)",
    },
    "ResponseHead": {
        "aclose": "close(), which is awaited under AsyncClient",
        "aiter_bytes": "iter_bytes(), with `async for` under AsyncClient",
        "aiter_lines": "iter_lines(), with `async for` under AsyncClient",
        "aiter_raw": "iter_raw(), with `async for` under AsyncClient",
        "aiter_text": "iter_text(), with `async for` under AsyncClient",
        "apparent_encoding": "detect_encoding()",
        "aread": "read(), which is awaited under AsyncClient",
        "charset_encoding": "encoding",
        "data": "content",
        "default_encoding": "encoding, which can be assigned",
        "extensions": "extras",
        "getheader": "headers.get()",
        "has_redirect_location": "is_redirect",
        "is_client_error": "status_code",
        "is_error": "ok, which is the contrary",
        "is_permanent_redirect": "is_redirect, with status_code",
        "is_server_error": "status_code",
        "is_stream_consumed": "is_read",
        "iter_any": "iter_bytes()",
        "iter_chunked": "iter_bytes(chunk_size)",
        "iter_content": "iter_bytes(chunk_size)",
        "next": "request.url.join(headers['location'])",
        "next_request": "request.url.join(headers['location'])",
        "raw": "iter_raw()",
        "reason_phrase": "reason",
        "release": "close()",
        "release_conn": "close()",
        "status": "status_code",
        "stream": "iter_raw()",
    },
    "URL": {
        "copy_merge_params": "with_params(params)",
        "copy_with": "replace(part=...)",
        "encode": "str(url).encode()",
        "endswith": "str(url).endswith()",
        "hostname": "host",
        "netloc": "authority",
        "params": "query, a text",
        "raw_path": "target",
        "split": "str(url).split()",
        "startswith": "str(url).startswith()",
    },
}
"""Attributes, by the name of the class that has them for itself and its subclasses."""

ARGUMENTS: dict[str, dict[str, str]] = {
    "Connect": {
        "local_address": "source_address",
        "nameservers": "resolver",
        "uds": "an adapter with a UnixWire",
    },
    "Limits": {
        "keepalive_expiry": "idle",
        "limit": "connections",
        "limit_per_host": "per_origin",
        "max_connections": "connections",
        "max_keepalive_connections": "connections, with idle= for how long an unused one is kept",
        "maxsize": "per_origin",
        "pool_connections": "connections",
        "pool_maxsize": "per_origin",
    },
    "Retry": {
        "allowed_methods": "methods",
        "attempts": "limit",
        "backoff_factor": "backoff",
        "backoff_max": "longest",
        "max_retries": "limit",
        "status_forcelist": "statuses",
        "total": "limit",
    },
    "TLSConfig": {
        "ca_certs": "verify",
        "cert_file": "cert",
        "check_hostname": "server_hostname, or verify=False",
        "ssl_context": "context",
        "tls_version": "minimum_version",
    },
    "Timeout": {
        "sock_connect": "connect",
        "sock_read": "read",
        "timeout": "Timeout.of(seconds), which gives each wait so many",
    },
}
"""Arguments by name, by the name of the class."""

_POSITIONAL = {
    "Timeout": "timeout=5 gives each wait 5 s, as Timeout.of(5) does; "
    "Timeout(connect=3, read=27) and Timeout.of(5).replace(total=60) say which wait is meant",
}


class _Elsewhere:
    """An attribute of another client's class. Reading it raises `AttributeError` with what adieu calls it."""

    __slots__ = ("_meant", "_name")

    def __init__(self, name: str, meant: str) -> None:
        self._name = name
        self._meant = meant

    def __get__(self, subject: object, owner: type) -> NoReturn:
        raise AttributeError(
            f"{owner.__name__!r} object has no attribute {self._name!r}; in adieu it is {self._meant}"
        )

    def __repr__(self) -> str:
        return f"<in adieu: {self._meant}>"


class NamesElsewhere:
    """The base of the classes that `ATTRIBUTES` names. `dir()` of an object does not show these names."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, meant in ATTRIBUTES.get(cls.__name__, {}).items():
            setattr(cls, name, _Elsewhere(name, meant))

    def __dir__(self) -> list[str]:
        return [
            name
            for name in super().__dir__()
            if not any(isinstance(vars(kind).get(name), _Elsewhere) for kind in type(self).__mro__)
        ]


def refuse_arguments(
    kind: str, known: tuple[str, ...], positional: int, given: int, named: Iterable[str]
) -> None:
    """Raise `TypeError` if a class does not take so many arguments without a name, or one of these names."""
    if given > positional:
        instead = _POSITIONAL.get(kind, f"there are {', '.join(known)}")
        raise TypeError(
            f"{kind} takes {_arguments(positional)} without a name, not {given}: {instead}"
        )
    for unknown in named:
        if unknown not in known:
            meant = _meant(unknown, known, ARGUMENTS.get(kind, {}))
            said = f": did you mean {meant}?" if meant else f"; there are {', '.join(known)}"
            raise TypeError(f"{kind} has no argument {unknown!r}{said}")


def _meant(name: str, known: tuple[str, ...], elsewhere: Mapping[str, str]) -> str | None:
    from difflib import get_close_matches

    return elsewhere.get(name) or next(iter(get_close_matches(name, known, 1, 0.75)), None)


def _arguments(count: int) -> str:
    return "no argument" if not count else "1 argument" if count == 1 else f"{count} arguments"
