"""The lease for which a thread is inside of urllib3.

urllib3 makes connections and asks its queue without saying for which request. It does so in the thread that called
`urlopen`, so the lease waits there, by thread.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adieu_urllib3.lease import Urllib3Lease

__all__ = ["Sending", "sending"]

_present = threading.local()


class Sending:
    """The lease for which this thread is inside of urllib3. A block, for any depth: content may send requests, too."""

    __slots__ = ("_former", "_lease")

    def __init__(self, lease: Urllib3Lease) -> None:
        # Not the lease itself: an interrupt may leave it here.
        self._lease = weakref.ref(lease)
        self._former: Any = getattr(_present, "lease", None)

    def __enter__(self) -> None:
        _present.lease = self._lease

    def __exit__(self, *error: object) -> None:
        _present.lease = self._former


def sending() -> Urllib3Lease:
    """The lease of the request that this thread is sending."""
    found = getattr(_present, "lease", None)
    lease: Urllib3Lease | None = found() if found is not None else None
    if lease is None:
        raise RuntimeError(
            "the pools of an Urllib3Adapter serve that adapter alone: give it a manager of your own"
        )
    return lease
