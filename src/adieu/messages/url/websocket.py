"""URLs of WebSockets (RFC 6455, section 3): a WebSocket begins as a request over http, or https."""

from __future__ import annotations

import re

from adieu.messages.url.url import URL

__all__ = ["as_http", "as_websocket"]

_SCHEME = re.compile(r"\s*ws(s?):", re.IGNORECASE).match


def as_http(url: URL | str) -> URL | str:
    """The URL with `http` for `ws` and `https` for `wss`; any other stays as it is."""
    text = str(url) if isinstance(url, URL) and url.scheme in ("ws", "wss") else url
    match = _SCHEME(text) if isinstance(text, str) else None
    if match is None or not isinstance(text, str):
        return url
    changed = URL(f"http{match[1].lower()}:{text[match.end() :]}")
    return changed.with_userinfo_of(url) if isinstance(url, URL) else changed


def as_websocket(url: URL) -> URL:
    """The URL with `ws` for `http` and `wss` for `https`, to be shown."""
    return URL(f"ws{str(url).removeprefix('http')}")
