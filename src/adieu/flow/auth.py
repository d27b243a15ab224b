"""Authentication (RFC 9110, section 11): which credentials go with a request.

Invariants. Credentials belong to one origin (scheme, host and port) and are sent to no other: not with a redirect, not
under another mount. A flow gets a copy of the request, so a redirect, which is made from the original, takes nothing
along that the flow added. No `repr` and no error shows a secret.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

from adieu._not_given import NOT_GIVEN
from adieu._value import Value
from adieu.errors import InvalidRequest
from adieu.messages.request import Request

if TYPE_CHECKING:
    import os

    from adieu.messages.response import ResponseHead
    from adieu.messages.url import Origin

    AuthFlow: TypeAlias = Generator[Request | ResponseHead | Awaitable[object], Any, None]
    """Yields requests, and receives the response to each: see `Auth`."""

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


class Auth:
    """An authentication scheme: subclass it and write `flow`.

    The flow gets a copy of the request, may change it, and yields it. It receives the response, and either ends, which
    makes that response the call's, or yields the next request: the same one with other fields, or one to a server that
    issues tokens. Each request is an exchange of its own, with the client's cookies, hooks, mounts and cleanup policy;
    redirects are followed when the flow has ended. When the flow yields another request, the body of the response
    before is drained within the policy's bound (`on_close(view, "auth")`), or its connection is closed.

    A flow that yields a response receives it again with its body read, up to 1 MiB, decoded (more is `BodyTooLarge`).
    Under `AsyncClient` it may also yield an awaitable, and receives its result.

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
    """The scheme authenticates a connection (NTLM, Negotiate): each request of the flow uses the connection of the
    request before, if it is still open. That connection serves no other call, and is closed after this one."""

    def flow(self, request: Request) -> AuthFlow:
        """Yield the requests of one hop of a call, and receive their responses."""
        raise NotImplementedError


AuthLike: TypeAlias = (
    Auth | tuple[str, str] | Callable[[Request], Request | Awaitable[Request | None] | None]
)
"""The type of `auth=`: an `Auth`, a user name and a password for Basic, or a function of a request."""


class BasicAuth(Value, Auth):
    """User name and password, encoded but not encrypted (RFC 7617): use it over TLS.

    It is sent with the first request, without a challenge. Text is encoded as UTF-8; for servers that want another
    charset, pass bytes.
    """

    __slots__ = ("password", "username")
    username: str | bytes
    password: str | bytes

    def __init__(self, username: str | bytes, password: str | bytes = "") -> None:
        if b":" in raw_bytes(username, "user name"):
            raise InvalidRequest(
                "a user name for Basic has no colon (RFC 7617, section 2): the password begins after it"
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
    """A token (RFC 6750), or a function that returns one, which is called before every request.

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
        token: object = self.token
        if callable(token):
            token = token()
            if isinstance(token, Awaitable):
                token = yield token
        request.headers["Authorization"] = f"Bearer {_checked_token(token)}"
        yield request

    def __repr__(self) -> str:
        return f"BearerAuth({self.token if callable(self.token) else '***'!r})"


class NetrcAuth(Auth):
    """Basic with the entry of a netrc file for the host: `~/.netrc`, or the file at `path`.

    The file is read once, here. Its entries are for host names, without a port; its `default` entry is for all hosts
    that it does not name. adieu reads no netrc file without this class, and never the variable NETRC. Raises
    `InvalidRequest` if there is no such file, or if it has a syntax error.
    """

    __slots__ = ("_entries", "path")

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        import netrc
        from pathlib import Path

        self.path = Path("~/.netrc" if path is None else path).expanduser()
        try:
            self._entries = netrc.netrc(str(self.path))
        except netrc.NetrcParseError as error:
            # Not the error's text: it quotes a word of the file, which may be a password.
            raise InvalidRequest(
                f"the netrc file {self.path} is not understood, in line {error.lineno}"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            what = error.strerror if isinstance(error, OSError) else "it is no text"
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
    """A function that gets the request and changes it, or returns another one to send instead."""

    __slots__ = ("function",)
    function: Callable[[Request], object]

    def __init__(self, function: Callable[[Request], object]) -> None:
        self._set(function=function)

    def flow(self, request: Request) -> AuthFlow:
        given = self.function(request)
        if isinstance(given, Awaitable):
            given = yield given
        if given is not None and not isinstance(given, Request):
            raise InvalidRequest(
                f"the function in auth= returned {type(given).__name__}; it returns a Request, or None for the same one"
            )
        yield given or request


class ScopedAuth(NamedTuple):
    """Credentials and their origin, the only one to which they are sent."""

    auth: Auth
    origin: Origin


def as_auth(auth: object) -> Auth | None:
    """The value of `auth=`, checked. Raises `InvalidRequest`, whose text does not show it."""
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
    """The request without the user name in its URL, and the credentials of its call.

    The first of these counts: the `auth=` of the call (None: no credentials); an Authorization field of the request,
    which is sent as it is; the user name in the URL; the client's `auth=`, which belongs to the origin of its base URL
    if it has one.
    """
    url = request.url
    origin = url.origin
    if url.username is not None:
        # It is no part of the address, and hooks, events and errors must not show it.
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
    """A user name or a password (`what`) in UTF-8. Raises `InvalidRequest` if no scheme can send it."""
    if isinstance(text, str):
        from adieu.messages.fields.digest import normal

        try:
            raw = normal(text).encode()
        except UnicodeEncodeError:
            # From None: that error has the password in it.
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
