"""Which requests may be sent once more, because the kept-alive connection they were sent on turned out to be dead."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adieu.errors import TransportError
    from adieu.lifecycle.exchange_lease import ExchangeLease
    from adieu.lifecycle.pool import C
    from adieu.messages.request import Request

__all__ = ["is_safe_to_send_twice", "may_replay"]

# RFC 9110, section 9.2.2: sent twice, these have the effect of being sent once.
_IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"))


def is_safe_to_send_twice(request: Request) -> bool:
    """By its method, or because its user says so by an Idempotency-Key."""
    return request.method in _IDEMPOTENT or "idempotency-key" in request.headers


def may_replay(lease: ExchangeLease[C], request: Request, error: TransportError) -> bool:
    """Whether to replay a request: a kept-alive connection may die at the very moment it is used again.

    RFC 9110, section 9.2.2: replay once, only a request that is safe to send twice, and only if no byte of a
    response came.
    """
    return (
        lease.reused
        and not lease.started
        and not isinstance(error, TimeoutError)
        and request.content.sendable
        and is_safe_to_send_twice(request)
        and not lease.pool.closed
        and not lease.ended
    )
