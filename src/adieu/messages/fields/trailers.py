"""Trailer fields: what comes after a chunked content (RFC 9110, section 6.5).

Rules of the room: they are a section of their own. What frames, routes, controls or describes a message cannot come
after it: such fields are refused on their way out, left out on their way in, and nothing is merged into a head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from adieu.errors import InvalidRequest
from adieu.messages.headers import Headers

if TYPE_CHECKING:
    from adieu.messages.content.encode import Content

__all__ = ["TrailersLike", "checked_trailers", "received_trailers", "sent_trailers"]

TrailersLike: TypeAlias = "Mapping[str, str] | Headers | Callable[[], Mapping[str, str] | Headers]"

# RFC 9110, section 6.5.1.
_NOT_HERE = frozenset(
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
    """Those of these fields that may be there."""
    return Headers.from_wire([field for field in fields if field[0].lower() not in _NOT_HERE])


def sent_trailers(content: Content) -> list[tuple[str, str]]:
    """What is to be sent after this content, now that it has been sent. Raises `InvalidRequest`."""
    given: Any = content.trailers
    return checked_trailers(given() if callable(given) else given).multi_items()


def checked_trailers(given: Any) -> Headers:
    """These fields, if they can be trailers. Raises `InvalidRequest`, and `InvalidHeader`."""
    fields = Headers(given)
    for name in fields:
        if name.lower() in _NOT_HERE:
            raise InvalidRequest(
                f"{name} cannot be a trailer: it would have to be known before (RFC 9110, section 6.5.1)"
            )
    return fields
