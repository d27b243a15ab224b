"""The ways in which the body of a response of `support.site` can end, other than by being read whole.

Each is a function of a place, a client and a policy, after which the connection has to be free or closed.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from support.stage import drop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.site import Place

__all__ = ["ENDS", "closed", "cut", "dropped", "left", "unread", "user_raises"]


@contextlib.contextmanager
def reports() -> Iterator[list[str]]:
    """What is reported of bodies that were dropped."""
    texts: list[str] = []
    former = sys.unraisablehook
    sys.unraisablehook = lambda report: texts.append(str(report.exc_value))
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            yield texts
    finally:
        sys.unraisablehook = former
    texts += [str(line.message) for line in seen]


def left(place: Place, client: Any, policy: Any) -> None:
    with place.block(client.stream("GET", "/large", cleanup=policy)) as response:
        next(place.each(response.iter_bytes()))


def dropped(place: Place, client: Any, policy: Any) -> None:
    with reports() as texts:
        response = place.stream(client, "/large", cleanup=policy)
        pieces = place.each(response.iter_bytes())
        next(pieces)
        del response, pieces
        drop()
        place.runner.settle()
    assert len(texts) == 1
    assert "dropped unread" in texts[0]


def unread(place: Place, client: Any, policy: Any) -> None:
    with reports() as texts:
        response = place.stream(client, "/small", cleanup=policy)
        del response
        drop()
        place.runner.settle()
    assert all("dropped unread" in report for report in texts)


def closed(place: Place, client: Any, policy: Any) -> None:
    response = place.stream(client, "/chunked", cleanup=policy)
    place.run(response.close())
    with pytest.raises(adieu.BodyClosed):
        place.read(response)


def user_raises(place: Place, client: Any, policy: Any) -> None:
    def read() -> None:
        with place.block(client.stream("GET", "/gzip", cleanup=policy)) as response:
            next(place.each(response.iter_bytes()))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read()


def cut(place: Place, client: Any, policy: Any) -> None:
    for path, streaming in itertools.product(("/cut", "/cut-chunked"), (False, True)):
        with pytest.raises(adieu.TransportError):
            place.content(client, path, streaming, cleanup=policy)


ENDS = (left, dropped, unread, closed, user_raises, cut)
