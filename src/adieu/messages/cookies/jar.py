"""The jar: which cookies there are, and which of them go with a request (RFC 6265bis, sections 5.7 and 5.8).

Rules of the room: nothing is sent to a host that neither set it nor was named for it, so that there is no cookie for
everybody. Threads share a jar: its lock is held for the store's dictionary work, and for nothing that could wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from threading import RLock
from time import time
from typing import TYPE_CHECKING, Any, cast

from adieu.errors import InvalidRequest
from adieu.lifecycle.lock import locked
from adieu.messages.cookies.cookie import Cookie, admitted, checked, is_secure, prefix_fault
from adieu.messages.cookies.store import CookieStore
from adieu.messages.url import URL

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from typing_extensions import Self

__all__ = ["Cookie", "Cookies"]


class Cookies:
    """A jar of cookies, to be shared by any number of threads and clients.

    `cookies`: a mapping of names to values, other `Cookies`, or any iterable of `Cookie`. Values by name alone, here
    and in `jar[name] = value`, belong to the host of `url`, and never go anywhere else; without a `url` they are
    refused. A client with a `base_url` gives that to the jar which it makes. `clock` tells the seconds since the epoch.

    `len` and iteration are over `Cookie` values, oldest first; `name in jar`, `jar[name]` and `del jar[name]` go by
    name.

    >>> jar = Cookies({"session": "31d4"}, url="https://example.org")
    >>> jar.header_for(URL("https://example.org/items"))
    'session=31d4'
    >>> jar.header_for(URL("https://example.com/")) is None
    True
    """

    __slots__ = ("_clock", "_home", "_lock", "_store")

    def __init__(
        self,
        cookies: Mapping[str, str] | Iterable[Cookie] | None = None,
        *,
        url: URL | str | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        self._store = CookieStore()
        self._lock = RLock()
        self._clock = clock
        self._home = None if url is None else URL(url)
        if cookies is not None:
            self.update(cookies)

    # -- what a call needs -------------------------------------------------------------------------------------------

    def header_for(self, url: URL) -> str | None:
        """The value of the Cookie field of a request to this URL; None: it has none."""
        if not self._store:
            return None
        cookies = locked(self._lock, self._store.matching, url, self._clock())
        return "; ".join([_pair(cookie) for cookie in cookies]) or None

    def store(self, url: URL, set_cookie: Iterable[str]) -> None:
        """Take in the values of the Set-Cookie fields of an answer from this URL. What breaks a rule is ignored."""
        for field in set_cookie:
            now = self._clock()
            cookie = admitted(url, field, now)
            if cookie is not None:
                careful = not cookie.secure and not is_secure(url)
                locked(self._lock, self._store.put, cookie, now, careful)

    # -- what people need --------------------------------------------------------------------------------------------

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
        """Put a cookie in, for the jar's own host or for `domain`: one host, or with a dot before it those below too.

        `expires`: seconds since the epoch. `secure`: only over https (and to this machine itself); so by default,
        unless it is for the jar's own host, and that is at an http URL. Raises `InvalidRequest` for what could not be
        sent.
        """
        if domain is None:
            if self._home is None or not self._home.host_key:
                raise InvalidRequest(
                    f"the cookie {name!r} is for no host, and sending it to all would tell it to strangers: "
                    "give domain=..., or the jar url=..., or the client a base_url"
                )
            host, host_only = self._home.host_key, True
            secure = is_secure(self._home) if secure is None else secure
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

    def update(self, cookies: Mapping[str, str] | Iterable[Cookie]) -> None:
        """Put many in: names with values (see `set`), or `Cookie` values as they are."""
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
        """The value of the cookie with this name, at this domain and path if given.

        Raises `InvalidRequest` if there are several with different values: which of them is sent depends on the URL.
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
        """Take out every cookie with this name (at this domain, this path). Raises `KeyError` if there is none."""
        found = self._named(name, domain, path)
        if not found:
            raise KeyError(name)
        locked(self._lock, self._store.remove, found)

    def clear(self, *, domain: str | None = None) -> None:
        """Take all cookies out, or all of one domain (not of those below it)."""
        host = None if domain is None else _host(domain)[0]
        going = [cookie for cookie in self if host is None or cookie.domain == host]
        locked(self._lock, self._store.remove, going)

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
        return iter(locked(self._lock, self._store.everything, self._clock()))

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

    # -- files -------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all cookies to a cookies.txt, as curl and wget read it, which only its owner may read.

        The file is there whole or not at all, whatever goes wrong meanwhile. `same_site` has no place in it.
        """
        from adieu.messages.cookies.file import save

        save(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, url: URL | str | None = None) -> Self:
        """A jar with the cookies of a cookies.txt. Raises `InvalidRequest` for a line that says none, and `OSError`."""
        from adieu.messages.cookies.file import load

        return cls(load(path), url=url)

    def __repr__(self) -> str:
        domains = sorted({cookie.domain for cookie in self})
        more = f" and {len(domains) - 3} more" if len(domains) > 3 else ""
        where = f" for {', '.join(domains[:3])}{more}" if domains else ""
        return f"<Cookies: {len(self)}{where}>"

    def __getstate__(self) -> tuple[Any, ...]:
        return tuple(self), self._home, self._clock

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        cookies, home, clock = state
        Cookies.__init__(self, cookies, url=home, clock=clock)


def _pair(cookie: Cookie) -> str:
    return f"{cookie.name}={cookie.value}" if cookie.name else cookie.value


def _host(domain: str) -> tuple[str, bool]:
    """The host that a domain names, and whether it is meant alone: not with a dot before it."""
    name = domain.removeprefix(".")
    url = URL(
        f"https://[{name}]/" if name.count(":") > 1 and name[0] != "[" else f"https://{name}/"
    )
    if url.target != "/" or url.port != 443 or url.username is not None or url.fragment is not None:
        raise InvalidRequest(f"domain= of a cookie is a host name or an address, not {domain!r}")
    return url.host_key, name == domain
