"""The options of calls and clients, as types. `adieu.client._checks` checks them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

Hook: TypeAlias = Callable[[Any], object]
"""A function of `event_hooks`: it gets the request, or the response. Under `AsyncClient` it may be async."""

if TYPE_CHECKING:
    import os
    import ssl
    from http.cookiejar import CookieJar

    from adieu.messages.cookies.jar import Cookie

    Hooks: TypeAlias = tuple[tuple[Hook, ...], tuple[Hook, ...]]
    HooksLike: TypeAlias = Mapping[str, Iterable[Hook]]
    CookieValues: TypeAlias = Mapping[str, str] | Iterable[Cookie]
    CookiesLike: TypeAlias = CookieValues | CookieJar
    Verify: TypeAlias = bool | str | bytes | os.PathLike[str] | ssl.SSLContext

__all__ = ["REQUEST_OPTIONS", "Hook"]

REQUEST_OPTIONS = frozenset(
    ("content", "data", "files", "headers", "json", "params", "trailers"),
)
