"""A proxy: its address, its protocol, and the credentials and fields that are sent to it alone.

Invariants: a proxy is a value, so that a connection through one may serve any request for an equal one, and no other.
User name and password are removed from the URL when it is read; no text made here shows a password or the value of a
field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from adieu._value import Value
from adieu.errors import InvalidRequest, InvalidURL
from adieu.messages.headers import Headers
from adieu.messages.url import URL
from adieu.texts import show_url

if TYPE_CHECKING:
    from adieu.messages.request import HeadersLike
    from adieu.messages.url import Origin
    from adieu.net.tls.config import TLSConfig

__all__ = ["ProxiedOrigin", "Proxy", "ProxyLike"]

_HTTP = ("http", "https")
_SOCKS = ("socks4", "socks4a", "socks5", "socks5h")
_SOCKS_PORT = 1080
# Fields that a CONNECT request sets itself, or must not have (RFC 9110, section 9.3.6).
_NOT_FOR_USERS = frozenset(("host", "content-length", "transfer-encoding", "connection"))


class Proxy(Value):
    """A proxy with more settings than a URL has, for `proxy=`.

    - `url`: `http://`, `https://` (TLS to the proxy itself), `socks5h://` or `socks4a://` (the proxy resolves names),
      `socks5://` or `socks4://` (names are resolved here). Port 80, 443 or 1080 by default. User name and password may
      stand in it, escaped as in any URL.
    - `auth`: user name and password, for Basic authentication (RFC 7617) or SOCKS; SOCKS4 has only a name. With
      `digest` they answer the proxy's challenge by Digest authentication (RFC 7616), and are never sent themselves.
    - `headers`: fields for the proxy, sent with each CONNECT, and with each request that it forwards.
    - `tls`: a `TLSConfig` for TLS to an https proxy. By default the proxy is checked as the client checks servers; a
      client certificate is not shown to it.

    All of this is sent to the proxy alone. Raises `InvalidRequest`.

    ```python
    adieu.Client(proxy=adieu.Proxy("http://proxy.example.org:3128", auth=("me", "secret")))
    ```
    """

    __slots__ = ("auth", "digest", "headers", "tls", "url")

    url: URL
    auth: tuple[str, str] | None
    digest: bool
    headers: tuple[tuple[str, str], ...]
    tls: TLSConfig | None

    def __init__(
        self,
        url: URL | str,
        *,
        auth: tuple[str, str] | None = None,
        digest: bool = False,
        headers: HeadersLike | tuple[tuple[str, str], ...] | None = None,
        tls: TLSConfig | None = None,
    ) -> None:
        url, found = _split_url(url)
        if auth is not None and found is not None:
            raise InvalidRequest(
                f"the credentials of the proxy {url.origin} are in its URL and in auth=: leave one out"
            )
        auth = _credentials(url.scheme, found if auth is None else auth)
        if digest and (auth is None or url.scheme not in _HTTP):
            raise InvalidRequest("digest=True needs auth=(user, password), and an HTTP proxy")
        fields = Headers(list(headers) if isinstance(headers, tuple) else headers)
        if fields and url.scheme not in _HTTP:
            raise InvalidRequest(f"headers= are for HTTP proxies; {url.scheme} has no fields")
        if wrong := _NOT_FOR_USERS & {name.lower() for name in fields}:
            raise InvalidRequest(f"the field {min(wrong)} of a proxy is set by adieu")
        if auth is not None and "proxy-authorization" in fields:
            raise InvalidRequest("auth= and a Proxy-Authorization field: leave one out")
        if tls is not None and url.scheme != "https":
            raise InvalidRequest(
                f"tls= is for TLS to an https:// proxy, and {url.origin} is none; "
                "TLS to servers behind it is the client's: Client(verify=..., cert=..., tls=...)"
            )
        self._set(url=url, auth=auth, digest=digest, headers=tuple(fields.multi_items()), tls=tls)

    @classmethod
    def of(cls, value: ProxyLike) -> Proxy:
        """A proxy from itself, or from a URL."""
        if isinstance(value, Proxy):
            return value
        if isinstance(value, (str, URL)):
            return cls(value)
        raise InvalidRequest(
            f"a proxy is a URL or an adieu.Proxy, not {type(value).__name__}; None is no proxy"
        )

    @property
    def scheme(self) -> str:
        """The protocol that it speaks: "http", "https", "socks5h" ..."""
        return self.url.scheme

    @property
    def is_socks(self) -> bool:
        """It speaks SOCKS, and not HTTP."""
        return self.url.scheme in _SOCKS

    def basic(self) -> str | None:
        """The value of a Proxy-Authorization field, if one is sent without a challenge."""
        if self.auth is None or self.digest:
            return None
        from base64 import b64encode

        return f"Basic {b64encode(':'.join(self.auth).encode()).decode()}"

    def __str__(self) -> str:
        return str(self.url.origin)

    def __repr__(self) -> str:
        parts = [repr(str(self))]
        if self.auth is not None:
            parts.append(f"auth=({self.auth[0]!r}, '***')")
        if self.digest:
            parts.append("digest=True")
        if self.headers:
            parts.append(f"headers={{{', '.join(f'{name!r}: ...' for name, _ in self.headers)}}}")
        if self.tls is not None:
            parts.append(f"tls={self.tls!r}")
        return f"Proxy({', '.join(parts)})"

    def __hash__(self) -> int:
        # Computed for each request, as a part of the pool's key, so of few fields. Equality compares them all.
        return hash((self.url, self.auth))


ProxyLike: TypeAlias = Proxy | URL | str
"""A proxy, or its URL."""


class ProxiedOrigin(NamedTuple):
    """An origin behind a proxy: the key under which a pool keeps connections through proxies."""

    proxy: Proxy
    origin: Origin

    @property
    def host(self) -> str:
        return self.origin.host

    @property
    def forwards(self) -> bool:
        """The proxy gets the request and forwards it (RFC 9112, section 3.2.2); otherwise it opens a tunnel."""
        return self.origin.scheme == "http" and not self.proxy.is_socks

    def __str__(self) -> str:
        return f"{self.origin} via {self.proxy}"


def _split_url(given: URL | str) -> tuple[URL, tuple[str, str] | None]:
    """The URL without user name and password, and these."""
    if isinstance(given, str) and "://" not in given:
        # Not quoted: it may hold a password.
        raise InvalidRequest("a proxy's URL begins with its scheme: http://, https://, socks5h://")
    url = URL(given)
    if url.scheme not in _HTTP and url.scheme not in _SOCKS:
        known = ", ".join((*_HTTP, *_SOCKS))
        raise InvalidRequest(
            f"{url.scheme}:// is not a scheme of proxies, which are {known}: "
            f"begin the proxy's URL with one of these"
        )
    if url.path not in ("", "/") or url.query is not None or url.fragment is not None:
        raise InvalidRequest(f"a proxy is a host and a port, without a path: {show_url(url)}")
    username, password = url.username, url.password
    url = url.without_userinfo()
    if url.scheme in _SOCKS:
        if not url.host:
            raise InvalidURL(f"{show_url(url)} names no host")
        # The host of an unknown scheme is not checked; this one is looked up, so it is.
        host = url.replace(scheme="http", path="/").host
        url = url.replace(host=host, port=url.port or _SOCKS_PORT)
    return url, None if username is None and password is None else (username or "", password or "")


def _credentials(scheme: str, auth: object) -> tuple[str, str] | None:
    if auth is None:
        return None
    if not (
        isinstance(auth, (tuple, list)) and len(auth) == 2 and all(isinstance(a, str) for a in auth)
    ):
        raise InvalidRequest("auth= of a proxy is (user name, password), as two texts")
    username, password = auth
    try:
        sizes = len(username.encode()), len(password.encode())
    except UnicodeEncodeError:
        raise InvalidRequest(
            "user name and password of a proxy must be encodable in UTF-8"
        ) from None
    if scheme in _HTTP:
        if ":" in username:
            raise InvalidRequest("a user name with a colon cannot be sent (RFC 7617, section 2)")
        if any(ord(char) < 32 or ord(char) == 127 for char in username + password):
            raise InvalidRequest("user name and password have no control characters (RFC 7617)")
    elif scheme in ("socks4", "socks4a"):
        if password:
            raise InvalidRequest("SOCKS4 has no password; with one, it is socks5:// or socks5h://")
        if "\0" in username:
            raise InvalidRequest("a user name for SOCKS4 has no NUL in it")
    elif not 1 <= sizes[0] <= 255 or sizes[1] > 255:
        raise InvalidRequest("user name and password for SOCKS5 have 1 to 255 bytes (RFC 1929)")
    return username, password
