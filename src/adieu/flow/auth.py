"""Authentication (RFC 9110, section 11): whose credentials go with a request, and where to.

Rules of the room: credentials belong to one origin (scheme, host and port), and go nowhere else: not along a redirect,
not under another mount. What a flow adds, it adds to a copy, so that nothing of it is left in the request that a
redirect is made from. No `repr` and no error shows a secret.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

from adieu._value import Value
from adieu.errors import InvalidRequest
from adieu.messages.request import NOT_GIVEN, Request

if TYPE_CHECKING:
    import os

    from adieu.messages.response import ResponseHead
    from adieu.messages.url import Origin

__all__ = [
    "Auth",
    "AuthFlow",
    "AuthLike",
    "BasicAuth",
    "BearerAuth",
    "NetrcAuth",
    "ScopedAuth",
    "as_auth",
    "raw_bytes",
    "resolve_auth",
]

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]").search

AuthFlow: TypeAlias = "Generator[Request | ResponseHead | Awaitable[object], Any, None]"
"""Yields requests, and receives the response to each: see `Auth`."""


class Auth:
    """How a client shows who it is: subclass it and write `flow`.

    The flow gets a copy of the request, of which it may change everything, and yields it; it receives the response, and
    either ends, which makes that response the call's, or yields the next request: the same one with other fields, or
    one to a server that gives out tokens. Each of them is an exchange of its own, with the client's cookies, hooks,
    mounts and cleanup policy; redirects are followed only when the flow is over. The body of a response after which the
    flow goes on is drained within the policy's bound (`on_close(view, "auth")`), or its connection is closed.

    A flow that yields a response receives it again with its body read, up to 1 MiB (more is `BodyTooLarge`). Under
    `AsyncClient` it may also yield an awaitable, and receives its result.

    ```python
    class TokenAuth(adieu.Auth):
        def __init__(self, key):
            self.key = key
            self.token = ""

        def flow(self, request):
            request.headers["Authorization"] = f"Bearer {self.token}"
            response = yield request
            if response.status_code == 401:
                answer = yield adieu.Request("POST", request.url.join("/token"), data={"key": self.key})
                answer = yield answer
                self.token = answer.json()["token"]
                request.headers["Authorization"] = f"Bearer {self.token}"
                yield request
    ```
    """

    __slots__ = ()

    same_connection: ClassVar[bool] = False
    """The scheme authenticates a connection (NTLM, Negotiate): each request of the flow goes over the one that the
    last one used, if it is still open. It serves no other call, and is closed after this one."""

    def flow(self, request: Request) -> AuthFlow:
        """Yield the requests of one hop of a call, and receive their responses."""
        raise NotImplementedError


AuthLike: TypeAlias = (
    "Auth | tuple[str, str] | Callable[[Request], Request | Awaitable[Request | None] | None]"
)
"""What `auth=` takes: an `Auth`, a user name and a password for Basic, or a function of a request."""


class BasicAuth(Value, Auth):
    """User name and password, as good as in the clear (RFC 7617): use it over TLS.

    Sent with the first request already. Text is encoded as UTF-8; for servers that want another charset, pass bytes.
    """

    __slots__ = ("password", "username")
    username: str | bytes
    password: str | bytes

    def __init__(self, username: str | bytes, password: str | bytes = "") -> None:
        if b":" in raw_bytes(username, "user name"):
            raise InvalidRequest(
                "a user name for Basic has no colon (RFC 7617, section 2): it would end there"
            )
        raw_bytes(password, "password")
        self._set(username=username, password=password)

    def flow(self, request: Request) -> AuthFlow:
        """Add the Authorization field."""
        from base64 import b64encode

        pair = raw_bytes(self.username, "user name") + b":" + raw_bytes(self.password, "password")
        request.headers["Authorization"] = f"Basic {b64encode(pair).decode()}"
        yield request

    def __repr__(self) -> str:
        return f"BasicAuth({self.username!r}, '***')"


class BearerAuth(Value, Auth):
    """A token (RFC 6750), or a function that gives the one to use now: it is asked before every request.

    For `AsyncClient` the function may be async.
    """

    __slots__ = ("token",)
    token: str | Callable[[], str | Awaitable[str]]

    def __init__(self, token: str | Callable[[], str | Awaitable[str]]) -> None:
        if not callable(token):
            _checked_token(token)
        self._set(token=token)

    def flow(self, request: Request) -> AuthFlow:
        """Add the Authorization field."""
        token: Any = self.token
        if callable(token):
            token = token()
            if hasattr(token, "__await__"):
                token = yield token
        request.headers["Authorization"] = f"Bearer {_checked_token(token)}"
        yield request

    def __repr__(self) -> str:
        return f"BearerAuth({self.token if callable(self.token) else '***'!r})"


class NetrcAuth(Auth):
    """Basic with what a netrc file says of the host: `~/.netrc`, or the file at `path`.

    It is read once, here. The file is asked by host name, without the port; its `default` entry is for all hosts it
    does not name. Neither the file nor the variable NETRC is ever used without being asked for. Raises
    `InvalidRequest` if there is no such file, or if it is not understood.
    """

    __slots__ = ("_entries", "path")

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        import netrc
        from pathlib import Path

        self.path = Path("~/.netrc" if path is None else path).expanduser()
        try:
            self._entries = netrc.netrc(str(self.path))
        except netrc.NetrcParseError as error:
            # Not its text: that quotes the word which it does not understand, and it may be a password.
            raise InvalidRequest(
                f"the netrc file {self.path} is not understood, in line {error.lineno}"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            what = getattr(error, "strerror", None) or "it is no text"
            raise InvalidRequest(f"the netrc file {self.path} cannot be read: {what}") from None

    def flow(self, request: Request) -> AuthFlow:
        """Add the Authorization field if there is an entry."""
        entry = self._entries.authenticators(request.url.host_key)
        if entry is None:
            yield request
        else:
            yield from BasicAuth(entry[0] or entry[1] or "", entry[2] or "").flow(request)

    def __repr__(self) -> str:
        return f"NetrcAuth({str(self.path)!r})"


class _FunctionAuth(Value, Auth):
    """A function that gets the request and changes it, or returns the one to send in its place."""

    __slots__ = ("function",)
    function: Callable[[Request], Any]

    def __init__(self, function: Callable[[Request], Any]) -> None:
        self._set(function=function)

    def flow(self, request: Request) -> AuthFlow:
        given = self.function(request)
        if hasattr(given, "__await__"):
            given = yield given
        if given is not None and not isinstance(given, Request):
            raise InvalidRequest(
                f"the function in auth= returned {type(given).__name__}; it returns a Request, or None for the same one"
            )
        yield given or request


class ScopedAuth(NamedTuple):
    """Credentials, and the one origin that they are for."""

    auth: Auth
    origin: Origin


def as_auth(auth: object) -> Auth | None:
    """What `auth=` was given, checked. Raises `InvalidRequest`, without showing it."""
    if auth is None or isinstance(auth, Auth):
        return auth
    if isinstance(auth, tuple) and len(auth) == 2:
        return BasicAuth(*auth)
    if callable(auth) and not isinstance(auth, type):
        return _FunctionAuth(auth)
    hint = " (an instance of it: write it with parentheses)" if isinstance(auth, type) else ""
    raise InvalidRequest(
        "auth takes (user name, password), BasicAuth, BearerAuth, DigestAuth, NetrcAuth, an Auth of your own, or a "
        f"function of a request; not {type(auth).__name__}{hint}"
    )


def resolve_auth(
    request: Request, given: object, default: ScopedAuth | Auth | None
) -> tuple[Request, ScopedAuth | None]:
    """The request without the user name in its URL, and the credentials of its call: the nearest ones.

    That is: what the call was given (None: nothing at all); an Authorization field of its own, to which nothing is
    added; the user name in its URL; the client's default, which is bound to the client's base URL if it has one.
    """
    url = request.url
    origin = url.origin
    if url.username is not None:
        # Nobody behind this line is to see it: it is no part of the address.
        request = request.copy()
        request.url = url.without_userinfo()
    if given is not NOT_GIVEN:
        auth = as_auth(given)
        return request, None if auth is None else ScopedAuth(auth, origin)
    if "authorization" in request.headers:
        return request, None
    if url.username is not None:
        return request, ScopedAuth(BasicAuth(url.username, url.password or ""), origin)
    return request, ScopedAuth(default, origin) if isinstance(default, Auth) else default


def raw_bytes(text: object, what: str) -> bytes:
    """A user name or a password in UTF-8; `what` it is. Raises `InvalidRequest` for what no scheme can carry."""
    if isinstance(text, str):
        from adieu.messages.fields.digest import normal

        try:
            raw = normal(text).encode()
        except UnicodeEncodeError:
            # From None: that error carries what it could not encode.
            raise InvalidRequest(
                f"the {what} has a lone surrogate, which UTF-8 cannot express"
            ) from None
    elif isinstance(text, bytes):
        raw = text
    else:
        raise InvalidRequest(f"the {what} must be str or bytes, not {type(text).__name__}")
    if _CONTROL(raw):
        raise InvalidRequest(f"the {what} has a control character in it (RFC 7617, section 2)")
    return raw


def _checked_token(token: object) -> str:
    if not isinstance(token, str):
        raise InvalidRequest(f"a bearer token must be str, not {type(token).__name__}")
    if not (token and token.isascii() and token.isprintable()) or " " in token:
        raise InvalidRequest(
            "a bearer token is made of visible ASCII characters (RFC 6750, section 2.1), and of one at least"
        )
    return token
