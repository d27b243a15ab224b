"""The adapter over urllib3: its manager, pools, connections and responses, under adieu's promises."""

from __future__ import annotations

from adieu_urllib3.adapter import Urllib3Adapter

__all__ = ["Urllib3Adapter"]
