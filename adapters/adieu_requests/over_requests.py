"""`RequestsAdapter`: an adapter that was written for requests, as an adapter of adieu.

requests' contract has no place for the owner of a connection: until `send` returns there is a connection, and only the
inner adapter knows of it. It ends it if it raises; if the client is closed meanwhile, the connection is closed, because
those of an `HTTPAdapter` are watched. From the head on the lease here owns the response.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.structures import CaseInsensitiveDict

import adieu
from adieu_requests.errors import as_adieu, without_secrets
from adieu_requests.lease import ResponseLease
from adieu_requests.settings import requests_options
from adieu_requests.watched import Progress, Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.transport.adapter import Honour

__all__ = ["RequestsAdapter"]


class RequestsAdapter(adieu.AdapterBase):
    """Sends over an adapter of requests: its own `HTTPAdapter`, or one for files, mocks, signatures ...

    `is_local`: it opens no connection to anything, so settings of connections mean nothing to it. By default, that is
    what every adapter but an `HTTPAdapter` does. Of the TLS settings, requests knows `verify` and a certificate without
    a password; a request with others, with `connect` or with a guard is refused.

    Redirects, cookies, authentication and cleanup policies are the client's. The inner adapter is closed with this one.

    ```python
    client.mount("file://", RequestsAdapter(requests_file.FileAdapter()))
    ```
    """

    def __init__(self, inner: BaseAdapter, *, is_local: bool | None = None) -> None:
        if not isinstance(inner, BaseAdapter):
            raise adieu.InvalidRequest(
                f"RequestsAdapter takes an instance of requests.adapters.BaseAdapter, not {inner!r}"
            )
        self.inner = inner
        self.is_local = not isinstance(inner, HTTPAdapter) if is_local is None else is_local
        self.honours: frozenset[Honour] = frozenset(() if self.is_local else ("tls", "route"))
        self._closed = False
        self._watch = Watch.over(inner) if isinstance(inner, HTTPAdapter) else None

    def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        if self._closed:
            raise adieu.ClientClosed("this adapter is closed")
        content = _Chunks(request)
        prepared = _prepared(request, exchange, content)
        options = requests_options(exchange)
        progress = Progress(exchange.deadline)
        try:
            answer = self._send(prepared, options, progress)
        except Exception as error:
            if content.error is not None:
                raise content.error from content.error.__cause__
            raise self._failed(error, exchange, progress) from without_secrets(error)
        lease = ResponseLease(answer, exchange)
        exchange.own(lease)
        _check_head(answer, exchange)
        return exchange.respond(answer.status_code, lease.fields(), reason=answer.reason or "")

    def _send(
        self, prepared: PreparedRequest, options: dict[str, Any], progress: Progress
    ) -> Response:
        watch = self._watch
        if watch is None:
            return self.inner.send(prepared, stream=True, **options)
        watch.progress = progress
        try:
            return self.inner.send(prepared, stream=True, **options)
        finally:
            watch.progress = None

    def _failed(self, error: Exception, exchange: adieu.Exchange, progress: Progress) -> Exception:
        """The error of adieu's for one that the inner adapter has raised before there was an answer."""
        if self._closed and not isinstance(error, adieu.AdieuError):
            return adieu.ClientClosed("this adapter was closed while it waited for an answer")
        subject = exchange.method, str(exchange.url)
        found = as_adieu(error, "head", *subject, exchange.deadline)
        if isinstance(progress.write_error, TimeoutError):
            found = exchange.deadline.exceeded("write")
            found.method, found.url = subject
        if progress.sent is not None and isinstance(found, adieu.TransportError):
            found.request_sent = progress.sent
        return found

    def close(self) -> None:
        self._closed = True
        if self._watch is not None:
            self._watch.shut()  # A thread that waits for an answer wakes up.
        self._empty_pools()
        self.inner.close()

    def after_fork(self) -> None:
        self._empty_pools()

    def _empty_pools(self) -> None:
        """Close idle connections. requests forgets its pools, and what is in them stays open while they are used."""
        if isinstance(self.inner, HTTPAdapter):
            for manager in (self.inner.poolmanager, *self.inner.proxy_manager.values()):
                for key in manager.pools.keys():  # noqa: SIM118 - it refuses to be iterated over
                    manager.pools[key].close()
                manager.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {"inner": self.inner, "is_local": self.is_local}

    def __setstate__(self, state: dict[str, Any]) -> None:
        type(self).__init__(self, state["inner"], is_local=state["is_local"])

    def __repr__(self) -> str:
        return f"RequestsAdapter({self.inner!r})"


def _prepared(
    request: adieu.Request, exchange: adieu.Exchange, content: _Chunks
) -> PreparedRequest:
    """The request with its parts as they are: they were checked, and requests would change the URL once more."""
    if request.content.trailers is not None:
        raise adieu.InvalidRequest("requests sends no trailers")
    prepared = PreparedRequest()
    prepared.method = request.method
    prepared.url = str(request.url.without_userinfo().without_fragment())
    prepared.headers = CaseInsensitiveDict(
        {name: ", ".join(request.headers.get_list(name)) for name in request.headers}
    )
    if not exchange.policy.keep_alive:
        prepared.headers.setdefault("Connection", "close")
    if request.content.is_given:
        body = request.content.body
        prepared.body = content if body is None else body
    return prepared


def _check_head(answer: Response, exchange: adieu.Exchange) -> None:
    """Refuse what `http.client` takes for an answer, and which would leave bytes for the next request."""
    wrong = None
    if 100 <= answer.status_code < 200 and answer.status_code != 101:
        wrong = f"requests takes the interim answer {answer.status_code} for the last one"
    elif "transfer-encoding" in answer.headers and "content-length" in answer.headers:
        wrong = "the answer has a Transfer-Encoding and a Content-Length (RFC 9112, section 6.3)"
    if wrong is not None:
        raise adieu.ProtocolError(
            wrong,
            request_sent="wholly",
            response_started=True,
            method=exchange.method,
            url=str(exchange.url),
        )


class _Chunks:
    """The content, for requests to iterate over. `error`: what reading it has failed with."""

    def __init__(self, request: adieu.Request) -> None:
        self._request = request
        self.error: adieu.AdieuError | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._request.content.chunks()
        except adieu.AdieuError as error:
            self.error = error
            raise
        except Exception as error:
            self.error = adieu.ContentError(
                f"the content of {self._request!r} could not be read: {error!r}"
            )
            raise self.error from error
