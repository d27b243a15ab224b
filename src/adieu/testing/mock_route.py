"""The routes of a `MockAdapter`: which requests they answer, and with what; and the log of what was asked."""

from __future__ import annotations

import copy
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias, Union, cast
from urllib.parse import parse_qsl

from adieu.errors import AdieuError, InvalidRequest, TransportError
from adieu.messages.response_head import ResponseHead
from adieu.messages.url.form import encode_form
from adieu.testing.mock_faults import Fault, fault_for
from adieu.testing.route_pattern import RoutePattern
from adieu.testing.whole_content import bytes_of
from adieu.texts import show_url
from adieu.transport.functions import AsyncFunctionAdapter, FunctionAdapter, is_awaited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from adieu.messages.headers import Headers
    from adieu.messages.request import Request
    from adieu.messages.url import URL
    from adieu.messages.url.form import FormFields
    from adieu.transport.exchange import AnyExchange, AnyResponse
    from adieu.transport.functions import AnyAnswering

__all__ = ["Answer", "MockCall", "MockRoute"]

Answer: TypeAlias = Union[
    "AnyResponse", "AnyAnswering", Fault, BaseException, "type[BaseException]"
]
"""A response (copied for each call), a function, a `Fault`, or an error: an object, which is copied, or a class.

The class of an error that a network causes (`ReadTimeout`, say) is the `Fault` that raises it, with its facts.
"""


class MockCall:
    """One request that a `MockAdapter` got: for assertions.

    `request` has its content in memory. `route` is what answered it, None if nothing did. `status` is that of the
    answer, 0 if it was an error; `error` is the name of that error's class, "" if there was none.
    """

    __slots__ = ("error", "request", "route", "status")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.route: MockRoute | None = None
        self.status = 0
        self.error = ""

    @property
    def method(self) -> str:
        """The method, in upper case."""
        return self.request.method

    @property
    def url(self) -> URL:
        """The URL, with its query."""
        return self.request.url

    @property
    def headers(self) -> Headers:
        """The fields that were sent, those of the client included."""
        return self.request.headers

    @property
    def params(self) -> list[tuple[str, str]]:
        """The parameters in the query, in their order."""
        return parse_qsl(self.url.query or "", keep_blank_values=True)

    @property
    def content(self) -> bytes:
        """The whole content; empty if there was none."""
        return bytes_of(self.request.content)

    def json(self) -> Any:
        """The content as JSON; a `ValueError` if it is none."""
        import json

        return json.loads(self.content)

    def __repr__(self) -> str:
        outcome = self.error or self.status or "no answer yet"
        return f"<{self.method} {show_url(self.url)}: {outcome}>"


class MockRoute:
    """Answers the requests that match: made by `MockAdapter.on`. `calls` are those that it has answered."""

    def __init__(
        self,
        method: str,
        pattern: str,
        answers: Iterable[Answer],
        *,
        params: FormFields | None = None,
        where: Callable[[Request], object] | None = None,
    ) -> None:
        self.method = "*" if method == "*" else method.upper()
        self.pattern = RoutePattern(pattern)
        self.params = () if params is None else tuple(_pairs(encode_form(params)))
        self.where = where
        self.calls: list[MockCall] = []
        functions = [_function_of(answer) for answer in answers]
        self._answers = [(FunctionAdapter(f), AsyncFunctionAdapter(f), f) for f in functions]
        self._nth = count()

    def why_not(self, request: Request) -> str | None:
        """Why it does not answer this request, for people; None if it does."""
        if self.method not in ("*", request.method):
            return f"method {request.method} is not {self.method}"
        why = self.pattern.why_not(request.url)
        if why is not None:
            return why
        given = _pairs(request.url.query or "")
        for name, value in self.params:
            if (name, value) not in given:
                return show_url(f"the query has no ?{name}={value}")
        if self.where is not None and not self.where(request):
            return f"where={self.where!r} says no"
        return None

    def rank(self) -> tuple[object, ...]:
        """How specific it is; greater is more."""
        conditions = len(self.params) + (self.where is not None)
        return self.pattern.rank(), conditions, self.method != "*"

    def send(self, request: Request, exchange: AnyExchange, *, awaits: bool) -> Any:
        """The next answer, as an adapter of one function gives it; the last one again and again."""
        nth = min(next(self._nth), len(self._answers) - 1)
        plain, awaited, function = self._answers[nth]
        if awaits:
            return awaited.send(request, cast("Any", exchange))
        if is_awaited(function):
            raise InvalidRequest(f"{function!r} is an async function: it needs an AsyncClient")
        return plain.send(request, cast("Any", exchange))

    def __repr__(self) -> str:
        query = "&".join(f"{name}={value}" for name, value in self.params)
        shown = show_url(f"{self.pattern}{'?' if query else ''}{query}")
        return f"{self.method} {shown}{' (where)' if self.where else ''}"


def _pairs(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)


def _function_of(answer: Answer) -> Callable[..., Any]:
    if isinstance(answer, Fault):
        return answer.answer
    if isinstance(answer, ResponseHead):
        return lambda request: answer
    if isinstance(answer, type) and issubclass(answer, BaseException):
        fault = fault_for(answer)
        return _Raising(answer) if fault is None else fault.answer
    if isinstance(answer, BaseException):
        return _Raising(answer)
    if callable(answer):
        return answer
    raise InvalidRequest(
        f"a mock answers with a Response, a function, a Fault or an error, not with {answer!r}"
    )


class _Raising:
    """Raises an error, a new one for each call."""

    def __init__(self, error: BaseException | type[BaseException]) -> None:
        self._error = error

    def __call__(self, request: Request, exchange: AnyExchange) -> AnyResponse:
        given = self._error
        if isinstance(given, BaseException):
            error = copy.copy(given)
        else:
            error = given("a mocked error") if issubclass(given, AdieuError) else given()
        if isinstance(error, AdieuError) and error.method is None:
            error.method, error.url = exchange.method, str(exchange.url)
        if isinstance(error, TransportError) and error.elapsed is None:
            error.elapsed = exchange.deadline.elapsed()
        raise error
