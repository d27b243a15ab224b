"""What becomes of one of many requests: what `Client.map` and `AsyncClient.map` give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, Union

# typing's own cannot be generic before Python 3.11.
from typing_extensions import NamedTuple

if TYPE_CHECKING:
    from adieu.messages.request import Request
    from adieu.messages.response_head import ResponseHead
    from adieu.messages.url import URL

__all__ = ["Outcome", "Wanted", "discard"]

Wanted = Union["Request", "URL", str]
R = TypeVar("R", bound="ResponseHead")


class Outcome(NamedTuple, Generic[R]):
    """What became of one request: a response or an error, one of the two.

    `nth` is its place among the requests, from 0; `request` is what was given: a `Request`, or a URL for a GET.
    """

    nth: int
    request: Wanted
    response: R | None
    error: Exception | None

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
        """Nobody will take it: close what it has open."""
        discard(self.response)


def discard(response: ResponseHead | None) -> None:
    """Nobody will take this response: close what it has open."""
    if response is not None and response.body is not None:
        response.body.abort("map left")
