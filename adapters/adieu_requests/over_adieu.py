"""`AdieuAdapter`: what a `requests.Session` sends goes over an adapter of adieu.

Redirects, cookies, authentication and the environment stay with requests, so everything of the client inside that would
do the same is off. The client is what owns each exchange, whatever raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import BaseAdapter
from requests.cookies import extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

import adieu
from adieu.lifecycle.exchange import skip_frames_of
from adieu_requests.errors import as_requests
from adieu_requests.raw import RawResponse
from adieu_requests.settings import proxy_for, timeout_of, tls_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import PreparedRequest
    from urllib3 import HTTPResponse

    from adieu import CleanupPolicy, Connect, Events, Limits
    from adieu.transport.adapter import Adapter

__all__ = ["AdieuAdapter"]

skip_frames_of("requests")


class AdieuAdapter(BaseAdapter):
    """Sends the requests of a session over an adapter of adieu.

    - `adapter`: the adapter, its name, or a function; "native" by default.
    - `cleanup`: the policy for how connections end. `limits`: for an adapter chosen by name. `connect`, `events`: as
      those of `adieu.Client`.
    - `pool_timeout`: seconds to wait while the pool is full (None: for ever). requests has no such limit, and its
      `timeout=None` is not one.

    Where requests takes a `timeout`, an `adieu.Timeout` may be given, too, also one of the whole call. Errors are those
    of requests, with adieu's as the cause. Closing the session closes every connection, also those in use, and it
    cannot be used again: `requests.ConnectionError`.

    ```python
    session.mount("https://", AdieuAdapter())
    ```
    """

    def __init__(
        self,
        adapter: Adapter | str | None = None,
        *,
        cleanup: CleanupPolicy | None = None,
        limits: Limits | None = None,
        connect: Connect | None = None,
        events: Events | None = None,
        pool_timeout: float | None = 60.0,
    ) -> None:
        super().__init__()
        self.client = adieu.Client(
            adapter=adapter,
            cleanup=cleanup,
            limits=limits,
            connect=connect,
            events=events,
            timeout=adieu.Timeout(pool=pool_timeout),
            cookies=False,
            follow_redirects=False,
            max_body=None,
            proxy=None,
        )

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str | None = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send a prepared request, and return its response: read, unless `stream` is True."""
        options: dict[str, Any] = {"timeout": timeout_of(timeout, self.client.timeout.pool)}
        url = request.url or ""
        if url.lower().startswith("https:"):
            options.update(tls_options(verify, cert))
        try:
            options["proxy"] = proxy = proxy_for(url, proxies)
            sent = _request_of(request, proxy)
            answer = self.client.send(sent, stream=stream, **options)
        except adieu.ContentError as error:
            if error.__cause__ is None:
                raise
            raise error.__cause__ from None  # The caller's own error, as requests lets it pass.
        except adieu.AdieuError as error:
            raise as_requests(error, request) from error
        return self.build_response(request, RawResponse(answer, request.method))

    def close(self) -> None:
        """Close every connection, also those in use."""
        self.client.close()

    def build_response(self, req: PreparedRequest, resp: HTTPResponse) -> requests.Response:
        """The response of requests around one of urllib3's: as that of `HTTPAdapter`, for subclasses."""
        response = requests.Response()
        response.status_code = resp.status
        response.headers = CaseInsensitiveDict(resp.headers)
        response.encoding = get_encoding_from_headers(response.headers)
        response.raw = resp
        response.reason = resp.reason or ""
        response.url = req.url or ""
        response.request = req
        response.connection = self  # type: ignore[assignment]  # HTTPDigestAuth sends again over it.
        extract_cookies_to_jar(response.cookies, req, resp)
        return response


def _request_of(request: PreparedRequest, proxy: adieu.Proxy | None) -> adieu.Request:
    headers = adieu.Headers(list((request.headers or {}).items()))
    if proxy is not None:
        # requests adds it when it follows a redirect; it is the proxy's alone, and adieu sends it.
        headers.pop("proxy-authorization", None)
    url = adieu.URL(request.url or "").without_userinfo()
    content: Any = request.body
    return adieu.Request(request.method or "GET", url, headers=headers, content=content)
