"""A 417 to `Expect: 100-continue` (RFC 9110, section 10.1.1): the same request once more, without the expectation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adieu.messages.request import Request

__all__ = ["EXPECTATION_FAILED", "without_expectation"]

EXPECTATION_FAILED = 417


def without_expectation(request: Request) -> Request | None:
    """The request to send after a 417. None: it had no expectation, or its content cannot be sent any more."""
    content = request.content
    if "expect" not in request.headers or content.length == 0 or not content.sendable:
        return None
    again = request.copy()
    del again.headers["expect"]
    return again
