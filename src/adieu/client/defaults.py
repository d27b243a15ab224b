"""What every request of a client begins with: the URL that relative ones are put below, and the headers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from adieu._version import __version__
from adieu.errors import InvalidURL
from adieu.messages.headers import Headers, merge
from adieu.messages.url import URL

if TYPE_CHECKING:
    from adieu.messages.request import HeadersLike

__all__ = ["as_base", "default_headers", "joined"]

# Not any text with "://" in it: a path may hold a URL.
_WHOLE = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9+.-]*:)?//").match


def as_base(url: URL | str | None) -> URL | None:
    """What `base_url=` was given, checked."""
    if url is None:
        return None
    base = URL(url)
    if base.query is not None or base.fragment is not None:
        raise InvalidURL(f"a base_url has no query and no fragment: {base}")
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
    if base.username is not None:
        whole = whole.replace(username=base.username, password=base.password)
    return whole


def default_headers(own: HeadersLike | None) -> Headers:
    """What goes with every request: the client's own over those that each client sends."""
    from adieu.messages.decoding.decoder import accept_encoding

    defaults = Headers.from_wire(
        [
            ("User-Agent", f"adieu/{__version__}"),
            ("Accept", "*/*"),
            ("Accept-Encoding", accept_encoding()),
        ]
    )
    return merge(defaults, own)
