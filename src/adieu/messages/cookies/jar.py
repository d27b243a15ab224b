"""The jar: keeps cookies, and chooses those for a request (RFC 6265bis, sections 5.7 and 5.8).

Invariants: a cookie is sent only to the hosts for which it was set, by a server or by the caller; there is none for all
hosts. Threads share a jar: its lock is held for the store's dictionary operations only, which never wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from time import time
from typing import TYPE_CHECKING, cast

from adieu._elsewhere import NamesElsewhere
from adieu.errors import InvalidRequest
from adieu.lifecycle.lock import locked, new_lock
from adieu.messages.cookies.cookie import Cookie, admitted, checked, is_secure, prefix_fault
from adieu.messages.cookies.cookiejar import from_cookiejar, is_cookiejar
from adieu.messages.cookies.store import CookieStore
from adieu.messages.url import URL

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from http.cookiejar import CookieJar
    from typing import TypeAlias

    from typing_extensions import Self

    _State: TypeAlias = tuple[tuple[Cookie, ...], URL | None, Callable[[], float]]

__all__ = ["Cookie", "Cookies"]


class Cookies(NamesElsewhere):
    """A jar of cookies, which any number of threads and clients may share.

    `cookies`: a mapping of names to values, other `Cookies`, any iterable of `Cookie`, or a jar of `http.cookiejar`,
    whose cookies are copied. A value by name, here and in
    `jar[name] = value`, is sent to the host of `url` only; without a `url` it is refused. A client makes its jar with
    its `base_url`. `clock` returns the seconds since the epoch.

    `len` and iteration are over `Cookie` values, oldest first; `name in jar`, `jar[name]` and `del jar[name]` look for
    a name.

    >>> jar = Cookies({"session": "31d4"}, url="https://example.org")
    >>> jar.header_for(URL("https://example.org/items"))
    'session=31d4'
    >>> jar.header_for(URL("https://example.com/")) is None
    True
    """

    __slots__ = ("_clock", "_lock", "_store", "_url")

    def __init__(
        self,
        cookies: Mapping[str, str] | Iterable[Cookie] | CookieJar | None = None,
        *,
        url: URL | str | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        self._store = CookieStore()
        self._lock = new_lock()
        self._clock = clock
        self._url = None if url is None else URL(url)
        if cookies is not None:
            self.update(cookies)

    @property
    def url(self) -> URL | None:
        """A value by name is for the host of this URL. Assigned, it is for the values that are given from then on."""
        return self._url

    @url.setter
    def url(self, url: URL | str | None) -> None:
        self._url = None if url is None else URL(url)

    def header_for(self, url: URL) -> str | None:
        """The value of the Cookie field of a request to this URL; None if there are no cookies for it."""
        if not self._store:
            return None
        cookies = locked(self._lock, self._store.matching, url, self._clock())
        return "; ".join([_pair(cookie) for cookie in cookies]) or None

    def store(self, url: URL, set_cookie: Iterable[str]) -> None:
        """Keep the cookies in the Set-Cookie fields of a response from this URL. One that breaks a rule is ignored."""
        for field in set_cookie:
            now = self._clock()
            cookie = admitted(url, field, now)
            if cookie is not None:
                spare_secure = not cookie.secure and not is_secure(url)
                locked(self._lock, self._store.put, cookie, now, spare_secure)

    def set(
        self,
        name: str,
        value: str,
        *,
        domain: str | None = None,
        path: str = "/",
        expires: float | None = None,
        secure: bool | None = None,
        http_only: bool = False,
    ) -> None:
        """Add a cookie for the host of the jar's `url`, or for `domain`: a host, with a dot before it also those below.

        `expires`: seconds since the epoch. `secure`: send it only over https (and to this machine itself). The default
        is True, except for the host of the jar's `url` if that is an http URL. Raises `InvalidRequest` for a cookie
        that could not be sent.
        """
        if domain is None:
            if self._url is None or not self._url.host_key:
                raise InvalidRequest(
                    f"the cookie {name!r} has no host, and sending it to every host would reveal it: "
                    "give domain=..., or the jar a url=..., or the client a base_url"
                )
            host, host_only = self._url.host_key, True
            secure = is_secure(self._url) if secure is None else secure
        else:
            host, host_only = _host(domain)
        cookie = checked(
            Cookie(name, value, host, path, expires, secure is not False, http_only, host_only)
        )
        if not name:
            raise InvalidRequest("a cookie has a name")
        if not path.isascii():
            raise InvalidRequest(f"no URL has the path {path!r}: percent-encode it")
        fault = prefix_fault(cookie)
        if fault is not None:
            raise InvalidRequest(f"the cookie {name!r} may not have this name: {fault}")
        self._put(cookie)

    def update(self, cookies: Mapping[str, str] | Iterable[Cookie] | CookieJar) -> None:
        """Add many cookies: names with values (see `set`), or `Cookie` values, unchanged, or those of a `CookieJar`."""
        if is_cookiejar(cookies):
            cookies = from_cookiejar(cookies)
        if isinstance(cookies, Mapping):
            for name, value in cast("Mapping[str, str]", cookies).items():
                self.set(name, value)
            return
        for cookie in cookies:
            if not isinstance(cookie, Cookie):
                raise InvalidRequest(
                    f"cookies= takes a mapping of names to values, or Cookie values, not {type(cookie).__name__}"
                )
            self._put(checked(cookie))

    def _put(self, cookie: Cookie) -> None:
        locked(self._lock, self._store.put, cookie, self._clock())

    def get(
        self,
        name: str,
        default: str | None = None,
        *,
        domain: str | None = None,
        path: str | None = None,
    ) -> str | None:
        """The value of the cookie with this name, and with this domain and path if given.

        Raises `InvalidRequest` if there are several with different values: the URL decides which of them are sent.
        """
        found = self._named(name, domain, path)
        if len({cookie.value for cookie in found}) > 1:
            places = ", ".join(sorted(f"{cookie.domain}{cookie.path}" for cookie in found))
            raise InvalidRequest(
                f"{len(found)} cookies are called {name!r}, with different values: "
                f"say which with get({name!r}, domain=..., path=...); there are {places}"
            )
        return found[0].value if found else default

    def delete(self, name: str, *, domain: str | None = None, path: str | None = None) -> None:
        """Remove every cookie with this name (and this domain and path). Raises `KeyError` if there is none."""
        found = self._named(name, domain, path)
        if not found:
            raise KeyError(name)
        locked(self._lock, self._store.remove, found)

    def clear(self, *, domain: str | None = None) -> None:
        """Remove all cookies, or all of one domain (not of those below it)."""
        host = None if domain is None else _host(domain)[0]
        found = [cookie for cookie in self if host is None or cookie.domain == host]
        locked(self._lock, self._store.remove, found)

    def keys(self) -> list[str]:
        """The names, each once: `dict(jar)` has the values by name, unless one has several: see `get`."""
        return list(dict.fromkeys(cookie.name for cookie in self))

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: str) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        self.delete(name)

    def __contains__(self, name: object) -> bool:
        return any(cookie.name == name for cookie in self)

    def __iter__(self) -> Iterator[Cookie]:
        return iter(locked(self._lock, self._store.all, self._clock()))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _named(self, name: str, domain: str | None, path: str | None) -> list[Cookie]:
        host = None if domain is None else _host(domain)[0]
        return [
            cookie
            for cookie in self
            if cookie.name == name
            and (host is None or cookie.domain == host)
            and (path is None or cookie.path == path)
        ]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all cookies to a cookies.txt, the format of curl and wget. Only the file's owner may read it.

        If anything fails, the former file stays as it was. The format has no field for `same_site`.
        """
        from adieu.messages.cookies.file import save

        save(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, url: URL | str | None = None) -> Self:
        """A jar with the cookies of a cookies.txt. Raises `InvalidRequest` for a line without one, and `OSError`."""
        from adieu.messages.cookies.file import load

        return cls(load(path), url=url)

    def __repr__(self) -> str:
        domains = sorted({cookie.domain for cookie in self})
        more = f" and {len(domains) - 3} more" if len(domains) > 3 else ""
        where = f" for {', '.join(domains[:3])}{more}" if domains else ""
        return f"<Cookies: {len(self)}{where}>"

    def __getstate__(self) -> _State:
        return tuple(self), self._url, self._clock

    def __setstate__(self, state: _State) -> None:
        cookies, url, clock = state
        Cookies.__init__(self, cookies, url=url, clock=clock)


def _pair(cookie: Cookie) -> str:
    return f"{cookie.name}={cookie.value}" if cookie.name else cookie.value


def _host(domain: str) -> tuple[str, bool]:
    """The host in a `domain=`, and whether the cookie is for that host alone: there is no dot before it."""
    name = domain.removeprefix(".")
    url = URL(
        f"https://[{name}]/" if name.count(":") > 1 and name[0] != "[" else f"https://{name}/"
    )
    if url.target != "/" or url.port != 443 or url.username is not None or url.fragment is not None:
        raise InvalidRequest(f"domain= of a cookie is a host name or an address, not {domain!r}")
    return url.host_key, name == domain
