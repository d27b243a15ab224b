"""An auth flow over one connection, such as NTLM has, for any server."""

from __future__ import annotations

from typing import Any

import adieu

__all__ = ["ThreeRequestsAuth"]


class ThreeRequestsAuth(adieu.Auth):
    """Sends the request three times over one connection; with `error`, raises it after the second time."""

    same_connection = True

    def __init__(self, error: type[BaseException] | None = None) -> None:
        self.error = error

    def flow(self, request: adieu.Request) -> Any:
        response = yield request
        response = yield request
        if self.error is not None:
            yield response
            raise self.error
        yield request
