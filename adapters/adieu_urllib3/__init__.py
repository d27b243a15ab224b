"""The default adapter: urllib3 makes the connections and their TLS, adieu owns, speaks on and ends them."""

from __future__ import annotations

from adieu_urllib3.adapter import Urllib3Adapter
from adieu_urllib3.wire import Urllib3Wire

__all__ = ["Urllib3Adapter", "Urllib3Wire"]
