"""The part of a client that a download and an event stream need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from adieu.client.option_types import CallOptions, RequestOptions, SendOptions
    from adieu.messages.request import Request
    from adieu.messages.url import URL

__all__ = ["StreamsResponses"]


class StreamsResponses(Protocol):
    """A `Client` or an `AsyncClient`. `stream` and `send` give a response, or an awaitable of one."""

    def build_request(
        self, method: str, url: URL | str, **options: Unpack[RequestOptions]
    ) -> Request: ...

    def stream(self, method: str, url: URL | str, **options: Unpack[CallOptions]) -> object: ...

    def send(
        self, request: Request, *, stream: bool = False, **options: Unpack[SendOptions]
    ) -> object: ...
