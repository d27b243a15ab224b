"""URLs: parsed once, normalised, and equal exactly if a request to them is the same request.

Invariants: a URL never changes. Its parts are strings ready for the wire (ASCII, encoded, no control characters), so
that no other module checks or encodes them again. User name and password are split off while parsing, so that no text
of a URL, in a log, a mount or a Referer field, can show them.

The grammar is that of RFC 3986, with the liberties of browsers and curl for http and https URLs that `split` and `host`
describe. Other text raises `InvalidURL`, before anything is sent.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NoReturn, final

from adieu._elsewhere import NamesElsewhere
from adieu._not_given import NOT_GIVEN, NotGiven
from adieu.errors import InvalidRequest, InvalidURL
from adieu.messages.url.form import FormFields, encode_form
from adieu.messages.url.origin import DEFAULT_PORTS, Origin, Site
from adieu.messages.url.parts import (
    given_credential,
    given_host,
    given_optional,
    given_port,
    given_scheme,
    given_text,
    normal_host,
    normal_path,
)
from adieu.messages.url.percent import encode_fragment, encode_query, encode_userinfo
from adieu.messages.url.split import (
    MAX_LENGTH,
    clean,
    refuse_long,
    require_scheme,
    shown,
    split_authority,
    split_plain,
    split_reference,
    split_scheme,
)
from adieu.texts import mask_url

__all__ = ["URL", "Origin", "parse_url"]

_CACHED_URLS = 1024
_CACHED_SITES = 1024
_CACHED_LENGTH = 2048  # longer texts are parsed anew, or a full cache could take 64 MiB

_new = object.__new__
_set = object.__setattr__


@final
class URL(NamesElsewhere):
    """An immutable, normalised URL.

    `URL("https://example.org/a b?q=ü")` parses; a URL given is returned as it is. Raises
    `InvalidURL`.

    `scheme`: lower case. `host`: lower case, A-labels (UTS 46); IPv6 compressed and without
    brackets; `""` where a scheme has none. `port`: 80 or 443 by default, None for other schemes
    without one. `path`: encoded, without dot segments, never empty. `query`, `fragment`: encoded,
    None if there is none. `username`, `password`: decoded, None if there is none.

    Derived: `target`, the path and query of a request line (RFC 9112, section 3.2.1); `authority`,
    the value of the Host field; `origin`; `host_key`, the host without the trailing dot of a rooted
    name, for comparing and for TLS.

    `str(url)` is the normalised text without user name and password, ASCII only: `URL(str(url)) ==
    url` unless it has any.
    """

    __slots__ = (
        "_site", "_text", "authority", "fragment", "host", "host_key", "origin", "password", "path", "port",
        "query", "scheme", "target", "username",
    )  # fmt: skip

    scheme: str
    host: str
    port: int | None
    path: str
    query: str | None
    fragment: str | None
    username: str | None
    password: str | None
    target: str
    authority: str
    origin: Origin
    host_key: str
    _site: Site
    _text: str

    def __new__(cls, url: str | URL) -> URL:
        return url if isinstance(url, URL) else parse_url(url)

    def join(self, reference: str) -> URL:
        """The URL of a reference, such as a Location field, relative to this one (RFC 3986, section 5.2).

        The fragment is that of the reference; to inherit one (RFC 9110, section 10.2.2) is the
        caller's choice. User name and password stay unless the reference has an authority. As in
        browsers, `http:x` at an http URL is relative. Raises `InvalidURL`.

        >>> URL("https://example.org/a/b?q").join("../c d").path
        '/c%20d'
        """
        reference = clean(reference)
        special = self.scheme in DEFAULT_PORTS
        scheme, rest = split_scheme(reference)
        authority, path, query, fragment = split_reference(rest, special=special)
        if scheme is None and authority is not None:
            return parse_url(f"{self.scheme}:{reference}")
        if scheme is not None and (authority is not None or scheme != self.scheme or not special):
            return parse_url(reference)
        if self.path[0] != "/":
            raise InvalidURL(
                f"{shown(self._text)} is not a base for the relative {shown(reference)}"
            )
        if not path:
            path, query = self.path, self.query if query is None else query
        elif path[0] != "/":
            path = self.path[: self.path.rfind("/") + 1] + path
        return self._at_origin(
            normal_path(path), query and encode_query(query), fragment and encode_fragment(fragment)
        )

    def with_params(self, params: FormFields) -> URL:
        """The URL with these fields added to its query. For their types see `encode_form`.

        >>> str(URL("https://example.org/?a=1").with_params({"q": "x y", "page": [1, 2]}))
        'https://example.org/?a=1&q=x+y&page=1&page=2'
        """
        try:
            added = encode_form(params)
        except InvalidRequest as error:
            raise InvalidRequest(f"params: {error}") from None
        if not added:
            return self
        query = f"{self.query}&{added}" if self.query else added
        return self._at_origin(self.path, query, self.fragment)

    def replace(
        self,
        *,
        scheme: str | NotGiven = NOT_GIVEN,
        host: str | NotGiven = NOT_GIVEN,
        port: int | NotGiven | None = NOT_GIVEN,
        path: str | NotGiven = NOT_GIVEN,
        query: str | NotGiven | None = NOT_GIVEN,
        fragment: str | NotGiven | None = NOT_GIVEN,
        username: str | NotGiven | None = NOT_GIVEN,
        password: str | NotGiven | None = NOT_GIVEN,
    ) -> URL:
        """The URL with other parts, checked, encoded and normalised like those of a text.

        `port=None` is the default port of the scheme; a default port changes with the scheme.
        `username` and `password` are taken as they are, not decoded. Raises `InvalidURL`.
        """
        if port is NOT_GIVEN and self.port == DEFAULT_PORTS.get(self.scheme):
            port = None
        return _normal(
            self.scheme if scheme is NOT_GIVEN else given_scheme(scheme),
            given_host(self.host if host is NOT_GIVEN else host),
            self.port if port is NOT_GIVEN else given_port(port),
            self.path if path is NOT_GIVEN else given_text(path, "path"),
            self.query if query is NOT_GIVEN else given_optional(query, "query"),
            self.fragment if fragment is NOT_GIVEN else given_optional(fragment, "fragment"),
            self.username if username is NOT_GIVEN else given_credential(username, "user name"),
            self.password if password is NOT_GIVEN else given_credential(password, "password"),
        )

    def without_userinfo(self) -> URL:
        """The URL without user name and password."""
        if self.username is None and self.password is None:
            return self
        return parse_url(self._text)

    def with_userinfo_of(self, other: URL) -> URL:
        """The URL with the user name and password of another one, if that has any."""
        if other.username is None:
            return self
        return _make(
            self._site, self.path, self.query, self.fragment, other.username, other.password
        )

    def without_fragment(self) -> URL:
        """The URL without its fragment, which is never sent (RFC 9110, section 7.1)."""
        return self if self.fragment is None else self._at_origin(self.path, self.query, None)

    def _at_origin(self, path: str, query: str | None, fragment: str | None) -> URL:
        return _make(self._site, path, query, fragment, self.username, self.password)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        text = mask_url(self._text)
        if self.username is None and self.password is None:
            return f"URL({text!r})"
        # A user name without a password is usually a token.
        username = "***" if self.password is None else encode_userinfo(self.username or "") + ":***"
        return f"URL({text.replace('://', f'://{username}@', 1)!r})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not URL:
            return NotImplemented
        return (
            self._text == other._text
            and self.username == other.username
            and self.password == other.password
        )

    def __hash__(self) -> int:
        return hash((self._text, self.username, self.password))

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (self._text, self.username, self.password)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a URL never changes: use replace({name}=...)")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a URL never changes: {name} cannot be deleted")


def parse_url(text: str) -> URL:
    """The URL of a text; the last 1024 are cached. Raises `InvalidURL`."""
    if type(text) is str and len(text) <= _CACHED_LENGTH:
        return _parse_cached(text)
    return _parse(text)


def _parse(text: object) -> URL:
    plain = split_plain(text) if isinstance(text, str) else None
    if plain is not None:
        start, path, query = plain
        try:
            return _make(_site(start), path, query, None, None, None)
        except InvalidURL:
            pass  # The error of the whole text says more.
    return _parse_any(text)


def _parse_any(text: object) -> URL:
    text = clean(text)
    scheme, rest = require_scheme(text)
    authority, path, query, fragment = split_reference(rest, special=scheme in DEFAULT_PORTS)
    username, password, host, written_port = split_authority(authority or "", text)
    return _normal(scheme, host, written_port, path, query, fragment, username, password)


_parse_cached = lru_cache(_CACHED_URLS)(_parse)


@lru_cache(_CACHED_SITES)
def _site(start: str) -> Site:
    """The site of URLs that begin so, up to their path; the last 1024 are cached. Raises `InvalidURL`."""
    scheme, rest = require_scheme(clean(start))
    _, _, host, port = split_authority(rest[2:], start)
    return _site_of(scheme, host, port)


def _site_of(scheme: str, host: str, port: int | None) -> Site:
    """The site of these parts, of which host and port are as they were written. Raises `InvalidURL`."""
    if len(host) <= _CACHED_LENGTH:
        return _cached_site_of(scheme, host, port)
    return _new_site(scheme, host, port)


def _new_site(scheme: str, host: str, port: int | None) -> Site:
    if port is None:
        port = DEFAULT_PORTS.get(scheme)
    return Site.of(Origin(scheme, normal_host(scheme, host), port))


_cached_site_of = lru_cache(_CACHED_SITES)(_new_site)


def _normal(
    scheme: str,
    host: str,
    port: int | None,
    path: str,
    query: str | None,
    fragment: str | None,
    username: str | None,
    password: str | None,
) -> URL:
    """The URL of raw parts; an IPv6 host in brackets."""
    site = _site_of(scheme, host, port)
    host = site.origin.host
    if not host and (port is not None or username or password):
        raise InvalidURL(f"the {scheme} URL has a port or a user name but no host")
    # "https://@host/" has no user name; "https://:token@host/" has an empty one.
    username, password = (username or "", password) if username or password else (None, None)
    path = normal_path(path)
    if path[0] != "/" and host:
        raise InvalidURL(
            f'the path {shown(path)} does not begin with "/"; join() takes relative ones'
        )
    query = query and encode_query(query)
    fragment = fragment and encode_fragment(fragment)
    url = _make(site, path, query, fragment, username, password)
    if path[0] != "/":
        require_scheme(str(url))  # or `replace` could make a URL that cannot be parsed, "data:8000"
    return url


def _make(
    site: Site,
    path: str,
    query: str | None,
    fragment: str | None,
    username: str | None,
    password: str | None,
) -> URL:
    """The URL of parts in normal form."""
    origin, authority, host_key, start = site
    scheme, host, port = origin
    target = path if query is None else f"{path}?{query}"
    text = start + target if path[0] == "/" else f"{scheme}:{target}"
    if fragment is not None:
        text = f"{text}#{fragment}"
    if len(text) > MAX_LENGTH:
        refuse_long(text)
    url = _new(URL)
    _set(url, "scheme", scheme)
    _set(url, "host", host)
    _set(url, "port", port)
    _set(url, "path", path)
    _set(url, "query", query)
    _set(url, "fragment", fragment)
    _set(url, "username", username)
    _set(url, "password", password)
    _set(url, "target", target)
    _set(url, "authority", authority)
    _set(url, "origin", origin)
    _set(url, "host_key", host_key)
    _set(url, "_site", site)
    _set(url, "_text", text)
    return url


def _restore(text: str, username: str | None, password: str | None) -> URL:
    return parse_url(text).replace(username=username, password=password)
