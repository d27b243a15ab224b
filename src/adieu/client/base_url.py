"""The base URL of a client, and the URLs that are put below it."""

from __future__ import annotations

import re

from adieu.errors import InvalidRequest, InvalidURL
from adieu.messages.url import URL
from adieu.messages.url.websocket import as_http
from adieu.texts import show_url

__all__ = ["as_base", "joined"]

# Not any text with "://" in it: a path may hold a URL.
_WHOLE = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9+.-]*:)?//").match


def as_base(url: URL | str | None) -> URL | None:
    """The base URL, checked: it has neither query nor fragment."""
    if url is None:
        return None
    if not isinstance(url, (str, URL)):
        raise InvalidRequest(f"base_url is a URL, as text or as adieu.URL, not {url!r:.80}")
    base = URL(as_http(url))
    if base.query is not None or base.fragment is not None:
        raise InvalidURL(f"a base_url has no query and no fragment: {show_url(base)}")
    return base


def joined(base: URL, url: str) -> str | URL:
    """A path below the base URL. Whole URLs stay as they are."""
    if not isinstance(url, str) or _WHOLE(url):
        return url
    if not url:
        return base
    path = base.path.rstrip("/")
    if url[0] in "?#":
        whole = URL(f"{base.scheme}://{base.authority}{base.path}{url}")
    else:
        whole = URL(f"{base.scheme}://{base.authority}{path}/{url.lstrip('/')}")
    return whole.with_userinfo_of(base)
