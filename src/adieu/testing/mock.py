"""`MockAdapter`: an adapter that answers by routes instead of a network, and keeps a log of what was asked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from adieu.errors import AdieuError, InvalidRequest, MountError
from adieu.lifecycle.steps import adrive, drive
from adieu.messages.response import Response
from adieu.messages.response_head import ResponseHead
from adieu.testing.mock_route import Answer, MockCall, MockRoute
from adieu.testing.whole_content import with_whole_content
from adieu.texts import show_url
from adieu.transport.adapter import AdapterBase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from adieu.lifecycle.steps import Steps
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.headers import HeaderFields
    from adieu.messages.request import Request
    from adieu.messages.response import ResponseContent
    from adieu.messages.url.form import FormFields
    from adieu.transport.exchange import AnyExchange, AsyncExchange, Exchange

__all__ = ["MockAdapter", "UnexpectedRequest"]

_SHOWN = 20


class UnexpectedRequest(AdieuError, AssertionError):
    """A `MockAdapter` has no route for a request; the text says which routes there are, and why each does not match."""


class MockAdapter(AdapterBase):
    """Answers by routes, for `Client` and `AsyncClient`; a request without a route is an `UnexpectedRequest`.

    ```python
    mock = MockAdapter({"GET https://api.example.org/items": adieu.Response(200, json=["a"])})
    client = adieu.Client(adapter=mock)
    ```

    `routes`: a method (or "*") and a pattern, and an answer or a list of answers. `on` adds routes
    with more conditions. `calls` are all requests in their order. It holds nothing, so it may serve one client after
    the other, and several at once.
    """

    is_local = True

    def __init__(self, routes: Mapping[str, Answer | list[Answer]] | None = None) -> None:
        self.calls: list[MockCall] = []
        self._routes: list[MockRoute] = []
        for text, answer in (routes or {}).items():
            method, _, pattern = text.partition(" ")
            answers = answer if isinstance(answer, list) else [answer]
            self.on(method, pattern.strip(), *answers)

    def on(
        self,
        method: str,
        pattern: str,
        *answers: Answer,
        status: int = 200,
        headers: HeaderFields | None = None,
        body: ResponseContent | None = None,
        json: object = None,
        params: FormFields | None = None,
        where: Callable[[Request], object] | None = None,
    ) -> MockRoute:
        """Answer requests of this method (or "*") for URLs that match the pattern, and return the route.

        The origin of the pattern means what it means for `client.mount()`. Its path is the whole path: `*` stands for
        what is in a segment, a last `**` for any number of segments, and no path for any. The most specific route
        answers. `params`: the query has these parameters, among others. `where`: a function of the request that returns
        True.

        `answers` are given one after the other, and the last one again and again: responses, functions, errors and
        `Fault`s. Without them it is a new response for each call, with `status`, `headers`, and `body` or `json`; a
        list of bytes as `body` comes in these pieces.

        Raises `MountError` for a pattern that is not understood, or a second route for the same requests.
        """
        if not answers:
            answers = (_response_maker(status, headers, body, json),)
        elif status != 200 or any(given is not None for given in (headers, body, json)):
            raise InvalidRequest(
                "an answer has its own status, headers and content: give them there"
            )
        route = MockRoute(method, pattern, answers, params=params, where=where)
        for other in self._routes:
            if where is None is other.where and repr(other) == repr(route):
                raise MountError(f"{route!r} is mocked already: give it several answers instead")
        self._routes.append(route)
        self._routes.sort(key=MockRoute.rank, reverse=True)
        return route

    @property
    def routes(self) -> list[MockRoute]:
        """All routes, the most specific one first."""
        return list(self._routes)

    @property
    def unused(self) -> list[MockRoute]:
        """The routes that have answered nothing: `assert not mock.unused`."""
        return [route for route in self._routes if not route.calls]

    @property
    def unexpected(self) -> list[MockCall]:
        """The requests that had no route, also those whose error the code under test has caught."""
        return [call for call in self.calls if call.route is None]

    def send(self, request: Request, exchange: Exchange) -> Response:
        response: Response = drive(self._steps(request, exchange, awaits=False))
        return response

    def close(self) -> None:
        """Nothing: it holds nothing."""

    def for_async(self) -> _AsyncMock:
        return _AsyncMock(self)

    def _steps(self, request: Request, exchange: AnyExchange, *, awaits: bool) -> Steps[Any]:
        whole = yield from with_whole_content(request, exchange.deadline, awaits=awaits)
        call = MockCall(whole)
        self.calls.append(call)
        try:
            route = call.route = self._route_for(whole)
            route.calls.append(call)
            response = yield route.send(whole, exchange, awaits=awaits)
            if isinstance(response, ResponseHead):  # The client refuses anything else.
                call.status = response.status_code
        except BaseException as error:
            call.error = type(error).__name__
            raise
        return response

    def _route_for(self, request: Request) -> MockRoute:
        reasons: list[tuple[MockRoute, str]] = []
        for route in self._routes:
            why = route.why_not(request)
            if why is None:
                return route
            reasons.append((route, why))
        raise UnexpectedRequest(_nothing_for(request, reasons))

    def __repr__(self) -> str:
        return f"<MockAdapter {len(self._routes)} routes, {len(self.calls)} calls>"


class _AsyncMock(AdapterBase):
    """A `MockAdapter` as an `AsyncClient` calls it."""

    is_local = True

    def __init__(self, mock: MockAdapter) -> None:
        self._mock = mock

    async def send(self, request: Request, exchange: AsyncExchange) -> AsyncResponse:
        response: AsyncResponse = await adrive(self._mock._steps(request, exchange, awaits=True))
        return response

    async def close(self) -> None:
        """Nothing: see `MockAdapter`."""

    def __repr__(self) -> str:
        return repr(self._mock)


def _response_maker(
    status: int, headers: HeaderFields | None, body: ResponseContent | None, json: object
) -> Callable[[Request], Response]:
    if not isinstance(body, (bytes, bytearray, memoryview, str, list, tuple, type(None))):
        raise InvalidRequest(
            f"body={body!r} can be read once, and a route answers any number of calls: "
            "give bytes, text, a list of bytes, or a function that returns a response"
        )
    make = partial(Response, status, headers, body, json=json)
    make()  # What is wrong is said now.
    return lambda request: make()


def _nothing_for(request: Request, reasons: Iterable[tuple[MockRoute, str]]) -> str:
    lines = [f"  {route!r}: {why}" for route, why in reasons]
    asked = f"nothing is mocked for {request.method} {show_url(request.url)}"
    if not lines:
        return f"{asked}: there are no routes"
    more = [f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join([f"{asked}. There is:", *lines[:_SHOWN], *more])
