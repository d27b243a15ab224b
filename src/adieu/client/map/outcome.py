"""The result of one of many requests, as `Client.map` and `AsyncClient.map` give it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

# typing's own cannot be generic before Python 3.11.
from typing_extensions import NamedTuple

from adieu.messages.request import Request
from adieu.messages.url import URL
from adieu.texts import show_reference

if TYPE_CHECKING:
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.response_head import ResponseHead

__all__ = ["Outcome", "Sending", "Wanted", "discard"]

Wanted: TypeAlias = Request | URL | str
R = TypeVar("R", bound="ResponseHead")


class Outcome(NamedTuple, Generic[R]):
    """The result of one request: a response or an error, one of the two.

    `nth` is its place among the requests, from 0; `request` is what was given: a `Request`, or a URL for a GET.
    """

    nth: int
    request: Wanted
    response: R | None
    error: Exception | None

    def __repr__(self) -> str:
        request = self.request
        shown = repr(show_reference(request)) if isinstance(request, str) else repr(request)
        return f"Outcome(nth={self.nth}, request={shown}, response={self.response!r}, error={self.error!r})"

    def result(self) -> R:
        """The response. Raises the error if there is none."""
        if self.response is None:
            assert self.error is not None
            try:
                raise self.error
            finally:
                del self  # Or the error's traceback would refer to the error: a cycle.
        return self.response

    def discard(self) -> None:
        """Close the response, which will not be taken."""
        discard(self.response)


Sending = Coroutine[object, None, Outcome["AsyncResponse"]]
"""A coroutine that sends one request of an async map."""


def discard(response: ResponseHead | None) -> None:
    """End the body of a response that will not be taken, and close its connection."""
    if response is not None and response.body is not None:
        response.body.abort("map left")
