"""Who a client is to its servers: its own credentials, and its cookies.

Rules of the room: what is settled here is settled for every call of a client; the rooms beside it say what becomes of
it in one call. The jar is made when it is first needed: most clients never see a cookie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from adieu.errors import InvalidRequest
from adieu.flow.cookies import as_jar
from adieu.messages.headers import Headers, merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from adieu.flow.auth import Auth, AuthLike, ScopedAuth
    from adieu.messages.cookies.jar import Cookie, Cookies
    from adieu.messages.request import HeadersLike
    from adieu.messages.url import URL

__all__ = ["ClientCredentials"]


class ClientCredentials:
    """`auth`: the client's credentials, bound to its base URL if it has one; `jar`: its cookies, once there are any."""

    jar: Cookies | None = None

    def __init__(
        self,
        base: URL | None,
        headers: HeadersLike | None,
        auth: AuthLike | None,
        cookies: Mapping[str, str] | Iterable[Cookie] | Literal[False] | None,
    ) -> None:
        self._base = base
        self._keeps_cookies = cookies is not False
        self.auth = None if auth is None else _own_auth(auth, base, headers)
        if cookies is not None and cookies is not False:
            self.jar = as_jar(cookies, base)

    def cookies(self) -> Cookies:
        """The jar, made if there is none yet. Raises `InvalidRequest` if there shall be none."""
        if not self._keeps_cookies:
            raise InvalidRequest("this client keeps no cookies: it was made with cookies=False")
        jar = self.jar
        if jar is None:
            from adieu.messages.cookies.jar import Cookies

            # C, and so atomic: two threads that come here get the same jar.
            jar = self.__dict__.setdefault("jar", Cookies(url=self._base))
        return jar

    def learn(self, url: URL, headers: Headers) -> None:
        """Keep the cookies that a response sets. Most set none, and that is all that is looked for."""
        if headers.has("set-cookie") and self._keeps_cookies:
            self.cookies().store(url, headers.get_list("set-cookie"))


def _own_auth(
    auth: AuthLike, base: URL | None, headers: HeadersLike | None
) -> ScopedAuth | Auth | None:
    from adieu.flow.auth import ScopedAuth, as_auth

    checked = as_auth(auth)
    if "authorization" in merge(Headers(), headers):
        raise InvalidRequest(
            "auth= and an Authorization header were given: which of the two is to be sent?"
        )
    if base is not None and base.username is not None:
        raise InvalidRequest(
            "auth= and a user name in base_url were given: which of the two is to be sent?"
        )
    return checked if checked is None or base is None else ScopedAuth(checked, base.origin)
