"""The one-shot functions: each call lives in a client of its own, so that when it has returned, no socket is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from adieu.client.call_settings import CALL_OPTIONS
from adieu.client.client import Client
from adieu.client.content_owner import end_refused
from adieu.client.option_help import lists_options
from adieu.client.unknown_options import refuse_unknown_in_call

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Unpack

    from adieu.client.option_types import CallOptions, ClientOptions, OneShotOptions
    from adieu.messages.response import Response
    from adieu.messages.url import URL

__all__ = ["delete", "get", "head", "options", "patch", "post", "put", "query", "request", "stream"]

_FOR_THE_CLIENT = frozenset(("adapter", "connect", "max_redirects", "events", "event_hooks"))
_KNOWN = CALL_OPTIONS | _FOR_THE_CLIENT


def _begun(options: OneShotOptions) -> tuple[Client, CallOptions]:
    """A client for one call, and the options of that call."""
    try:
        for_client, for_call = _divided(options)
        return Client(**for_client), for_call
    except BaseException:
        end_refused(options)
        raise


def _divided(options: OneShotOptions) -> tuple[ClientOptions, CallOptions]:
    """The options of the client, and those of its one call."""
    if not options:
        return {}, {}
    refuse_unknown_in_call(options, _KNOWN)
    client = {name: value for name, value in options.items() if name in _FOR_THE_CLIENT}
    call = {name: value for name, value in options.items() if name not in _FOR_THE_CLIENT}
    return cast("ClientOptions", client), cast("CallOptions", call)


@lists_options
def request(method: str, url: URL | str, **options: Unpack[OneShotOptions]) -> Response:
    """Send one request. Takes what `Client.request` takes, and what makes a client: `adapter`, `verify`, `cert` ...

    The response has been read; nothing stays open, whether this returns or raises.
    """
    if "cleanup" in options:
        end_refused(options)
        raise TypeError(
            "a one-shot always reads the body; for anything else use adieu.stream() or a Client"
        )
    client, for_call = _begun(options)
    with client:
        return client.request(method, url, **for_call)


@lists_options
def get(url: URL | str, **options: Unpack[OneShotOptions]) -> Response:
    """GET, in a client of its own: see `request`."""
    return request("GET", url, **options)


@lists_options
def head(url: URL | str, **options: Unpack[OneShotOptions]) -> Response:
    """HEAD, in a client of its own: see `request`."""
    return request("HEAD", url, **options)


@lists_options
def options(url: URL | str, **options: Unpack[OneShotOptions]) -> Response:
    """OPTIONS, in a client of its own: see `request`."""
    return request("OPTIONS", url, **options)


@lists_options
def post(url: URL | str, **options: Unpack[OneShotOptions]) -> Response:
    """POST, in a client of its own: see `request`."""
    return request("POST", url, **options)


@lists_options
def put(url: URL | str, **options: Unpack[OneShotOptions]) -> Response:
    """PUT, in a client of its own: see `request`."""
    return request("PUT", url, **options)


@lists_options
def patch(url: URL | str, **options: Unpack[OneShotOptions]) -> Response:
    """PATCH, in a client of its own: see `request`."""
    return request("PATCH", url, **options)


@lists_options
def delete(url: URL | str, **options: Unpack[OneShotOptions]) -> Response:
    """DELETE, in a client of its own: see `request`."""
    return request("DELETE", url, **options)


@lists_options
def query(url: URL | str, **options: Unpack[OneShotOptions]) -> Response:
    """QUERY, in a client of its own: see `request`."""
    return request("QUERY", url, **options)


@lists_options
def stream(method: str, url: URL | str, **options: Unpack[OneShotOptions]) -> _OneStream:
    """`with adieu.stream("GET", url) as response:` sends one request and hands out its body as a stream.

    When the block ends, no socket is open, however much of the body was read.
    """
    return _OneStream(method, url, options)


class _OneStream:
    def __init__(self, method: str, url: URL | str, options: OneShotOptions) -> None:
        self._client, self._call = _begun(options)
        self._method = method
        self._url = url
        self._response: Response | None = None

    def __enter__(self) -> Response:
        try:
            self._response = self._client.stream(self._method, self._url, **self._call)
        except BaseException:
            self._client.close()
            raise
        return self._response

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The client's end is the body's: there is no connection left for which draining would be worth anything, and
        # none may outlive the block, whatever a policy says of clients that close.
        response, self._response = self._response, None
        try:
            if response is not None and response.body is not None:
                response.body.cut_off()
        finally:
            self._client.close()
