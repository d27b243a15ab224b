"""A 417 to `Expect: 100-continue` (RFC 9110, section 10.1.1): the same request once more, without the expectation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from adieu.messages.request import Request
    from adieu.messages.response_head import ResponseHead

__all__ = ["EXPECTATION_FAILED", "has_failed", "without_expectation"]

EXPECTATION_FAILED = 417


def without_expectation(request: Request) -> Request | None:
    """The request to send after a 417. None: it had no expectation, or its content cannot be sent any more."""
    content = request.content
    if "expect" not in request.headers or content.length == 0 or not content.sendable:
        return None
    again = request.copy()
    del again.headers["expect"]
    return again


def has_failed(request: Request, earlier: Iterable[ResponseHead]) -> bool:
    """Whether the request has an expectation to which its origin has answered 417 before, in the same call.

    A 417 means that something on the way knows no expectations, and not that it dislikes this request.
    """
    if "expect" not in request.headers:
        return False
    origin = request.url.origin
    return any(
        response.status_code == EXPECTATION_FAILED and response.url.origin == origin
        for response in earlier
    )
