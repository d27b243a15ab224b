"""Trailer fields: the fields after a chunked content (RFC 9110, section 6.5).

Invariants: trailers are a section of their own, never merged into the head. Fields for framing, routing, authentication
or caching, and those that describe the content, must be known before it: they are refused in a request, and left out of
a response.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from adieu.errors import InvalidRequest
from adieu.messages.headers import HeaderFields, Headers

__all__ = ["TrailersLike", "checked_trailers", "received_trailers", "sent_trailers"]

TrailersLike: TypeAlias = Mapping[str, str] | Headers | Callable[[], Mapping[str, str] | Headers]

# RFC 9110, section 6.5.1.
_HEAD_ONLY = frozenset(
    (
        "age",
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "expect",
        "expires",
        "host",
        "keep-alive",
        "location",
        "max-forwards",
        "proxy-authenticate",
        "proxy-authorization",
        "range",
        "retry-after",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "vary",
        "warning",
        "www-authenticate",
    )
)


def received_trailers(fields: Iterable[tuple[str, str]]) -> Headers:
    """These fields, without those that cannot be trailers."""
    return Headers.from_wire([field for field in fields if field[0].lower() not in _HEAD_ONLY])


def sent_trailers(trailers: TrailersLike | None) -> list[tuple[str, str]]:
    """The fields to send after a content whose last chunk has been sent. Raises `InvalidRequest`."""
    return checked_trailers(trailers() if callable(trailers) else trailers).multi_items()


def checked_trailers(trailers: HeaderFields | None) -> Headers:
    """These fields, if they can be trailers. Raises `InvalidRequest`, and `InvalidHeader`."""
    fields = Headers(trailers)
    for name in fields:
        if name.lower() in _HEAD_ONLY:
            raise InvalidRequest(
                f"{name} cannot be a trailer: it would have to be known before (RFC 9110, section 6.5.1)"
            )
    return fields
