"""urllib3's connection classes under adieu's pool and engine.

urllib3's own pool is left out, on purpose. Its queue is a `queue.LifoQueue`, whose Python lock an interrupt can leave
locked for good; its finalizer takes that same lock; and it would be a second place that knows who owns a connection.
The reasons and the figures are in docs/design.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.http1.adapter import HTTP1Adapter
from adieu_urllib3.wire import Urllib3Wire

if TYPE_CHECKING:
    from adieu.lifecycle.pool import Limits

__all__ = ["Urllib3Adapter"]


class Urllib3Adapter(HTTP1Adapter):
    """HTTP/1.1 over urllib3's connections.

    `limits` and `replay` are as in `HTTP1Adapter`. What urllib3's connections have options for is set on the client:
    fingerprints and host names by `adieu.TLSConfig`, source address and socket options by `adieu.Connect`.
    """

    def __init__(self, *, limits: Limits | None = None, replay: bool = True) -> None:
        super().__init__(Urllib3Wire(), limits=limits, replay=replay)
