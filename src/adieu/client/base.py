"""What sync and async clients share: settings, mounts, how a request is built and its call begins. No waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakSet

from adieu.client.call import Call
from adieu.client.closing import closing
from adieu.client.defaults import as_base, default_headers, joined
from adieu.client.options import (
    CALL_OPTIONS,
    as_policy,
    checked_bound,
    checked_connect,
    checked_hooks,
    checked_retry,
    checked_tls,
    tls_setting,
)
from adieu.errors import ClientClosed
from adieu.flow.cookies import for_one_call
from adieu.flow.credentials import ClientCredentials
from adieu.lifecycle.cleanup import Prefetch
from adieu.lifecycle.deadline import Deadline, Timeout
from adieu.messages.headers import Headers, merge
from adieu.messages.request import NOT_GIVEN, Request
from adieu.messages.response import MAX_BODY
from adieu.messages.url import URL
from adieu.transport.mounts import Mount, Mounts, Pattern
from adieu.transport.registry import chosen
from adieu.transport.routes import Routes

if TYPE_CHECKING:
    import os
    import ssl

    from typing_extensions import Self, Unpack

    from adieu.client.closing import CloseReport
    from adieu.client.options import CallOptions, Hook
    from adieu.flow.auth import AuthLike
    from adieu.flow.retries import Retry
    from adieu.lifecycle.body import BodyCore
    from adieu.lifecycle.cleanup import CleanupPolicy
    from adieu.lifecycle.events import Events
    from adieu.lifecycle.exchange import Exchange
    from adieu.lifecycle.pool import ConnectionInfo, Limits
    from adieu.lifecycle.steps import Steps
    from adieu.messages.cookies.jar import Cookie, Cookies
    from adieu.messages.request import HeadersLike
    from adieu.net.connect import Connect
    from adieu.net.tls.config import TLSConfig
    from adieu.transport.adapter import Adapter, AsyncAdapter
    from adieu.transport.routes import ProxySetting

__all__ = ["ClientBase"]

_PREFETCH = Prefetch()
_DEFAULT_TIMEOUT = Timeout()


class ClientBase:
    """The settings of a client, and its calls as steps. Subclasses drive them."""

    body: Callable[[Exchange, int], BodyCore]
    awaits: bool
    default_adapter: str
    adapter_group: str

    def hooked(self, hook: Hook, subject: Any) -> Any:
        """Call one hook (async: an awaitable)."""
        raise NotImplementedError

    def pause(self, seconds: float) -> Any:
        """Wait, holding nothing (async: an awaitable)."""
        raise NotImplementedError

    def __init__(
        self,
        base_url: URL | str | None = None,
        *,
        adapter: Adapter | AsyncAdapter | str | None = None,
        cleanup: CleanupPolicy | None = None,
        timeout: Timeout | float | object | None = NOT_GIVEN,
        headers: HeadersLike | None = None,
        params: Any = None,
        limits: Limits | None = None,
        verify: bool | str | os.PathLike[str] | ssl.SSLContext = True,
        cert: Any = None,
        tls: TLSConfig | None = None,
        connect: Connect | None = None,
        follow_redirects: bool = True,
        max_redirects: int = 20,
        events: Events | None = None,
        event_hooks: Mapping[str, Iterable[Hook]] | None = None,
        auth: AuthLike | None = None,
        cookies: Mapping[str, str] | Iterable[Cookie] | Literal[False] | None = None,
        max_body: int | None = MAX_BODY,
        proxy: ProxySetting | object = NOT_GIVEN,
        retry: Retry | int | None = None,
    ) -> None:
        self._base = as_base(base_url)
        self._params = params
        # Refused here if they cannot be sent; merged when they are: what can be decoded is not cheap to find out.
        merge(Headers(), headers)
        copied = getattr(headers, "copy", None)
        self._own_headers: HeadersLike | None = copied() if copied is not None else headers
        self._headers: Headers | None = None
        self.cleanup = as_policy(cleanup) or _PREFETCH
        self._timeout = _DEFAULT_TIMEOUT if timeout is NOT_GIVEN else Timeout.of(timeout)  # type: ignore[arg-type]
        self._limits = limits
        self.tls = tls_setting(tls, verify, cert)
        self.connect = checked_connect(connect)
        self._follow_redirects = follow_redirects
        self._max_redirects = max_redirects
        self.events = events
        self.hooks = checked_hooks(event_hooks)
        self.identity = ClientCredentials(self._base, self._own_headers, auth, cookies)
        self._max_body = checked_bound(max_body)
        self._retry = None if retry is None else checked_retry(retry, None)
        self._routes = Routes(proxy)
        self._open: WeakSet[BodyCore] = WeakSet()
        self.mounts = Mounts(Mount(None, self._chosen(adapter or self.default_adapter), None))
        # Last: what was refused half way has nothing to close, and its finalizer nothing to report.
        self._closed = False

    def build_request(self, method: str, url: URL | str, **options: Unpack[CallOptions]) -> Request:
        """The request that `request()` would send: with the client's base URL, parameters and headers."""
        return self._build(method, url, options)

    def _build(self, method: str, url: URL | str, options: Any) -> Request:
        if self._closed:
            raise ClientClosed("this client is closed")
        if self._base is not None and type(url) is not URL:
            url = joined(self._base, url)
        target = url if type(url) is URL else URL(url)
        if self._params is not None:
            target = target.with_params(self._params)
        if (defaults := self._headers) is None:
            self._headers = defaults = default_headers(self._own_headers)
            defaults.get("host")  # It builds the index, which every copy carries along.
        headers = defaults.copy()
        if not options:
            request = Request(method, target, headers=headers)
        else:
            unknown = options.keys() - CALL_OPTIONS
            if unknown:
                raise TypeError(
                    f"unknown option {min(unknown)!r}; known are {', '.join(sorted(CALL_OPTIONS))}"
                )
            if (own := options.get("headers")) is not None:
                headers = merge(headers, own)
            request = Request(
                method,
                target,
                params=options.get("params"),
                headers=headers,
                content=options.get("content"),
                data=options.get("data"),
                json=options.get("json"),
                files=options.get("files"),
                trailers=options.get("trailers"),
            )
        return request

    @property
    def cookies(self) -> Cookies:
        """The jar: cookies that responses set, and those that you put in. Made when it is first needed."""
        return self.identity.cookies()

    # -- calls, as steps -----------------------------------------------------------------------------------------------

    def _beginning(self, method: str, url: URL | str, options: Any, stream: bool) -> Steps[Any]:
        request = self._build(method, url, options)
        if not options:
            return self._sending(request, stream)
        get = options.get
        return self._sending(
            request,
            stream,
            get("timeout", NOT_GIVEN),
            get("cleanup"),
            get("follow_redirects"),
            get("extras"),
            get("max_body", NOT_GIVEN),
            get("proxy", NOT_GIVEN),
            auth=get("auth", NOT_GIVEN),
            cookies=get("cookies"),
            retry=get("retry", NOT_GIVEN),
        )

    def _sending(
        self,
        request: Request,
        stream: bool,
        timeout: Any = NOT_GIVEN,
        cleanup: Any = None,
        follow_redirects: bool | None = None,
        extras: Mapping[str, object] | None = None,
        max_body: Any = NOT_GIVEN,
        proxy: Any = NOT_GIVEN,
        *,
        auth: Any = NOT_GIVEN,
        cookies: Any = None,
        retry: Any = NOT_GIVEN,
        call: Callable[..., Call] = Call,
    ) -> Steps[Any]:
        if self._closed:
            raise ClientClosed("this client is closed")
        if request.content.is_async and not self.awaits:
            request.content.chunks()  # It raises, and says why.
        setting = self._timeout if timeout is NOT_GIVEN else Timeout.of(timeout)
        following = self._follow_redirects if follow_redirects is None else follow_redirects
        bound = self._max_body if max_body is NOT_GIVEN else checked_bound(max_body)
        routes = self._routes if proxy is NOT_GIVEN else Routes(proxy)
        credentials = None
        own = self.identity.auth
        if auth is not NOT_GIVEN or own is not None or request.url.username is not None:
            from adieu.flow.auth import resolve_auth

            request, credentials = resolve_auth(request, auth, own)
        begun = call(
            self,
            Deadline(setting),
            as_policy(cleanup),
            stream,
            extras,
            bound,
            routes,
            credentials,
            None if cookies is None else for_one_call(request, cookies),
            self._retry if retry is NOT_GIVEN else checked_retry(retry, self._retry),
            self._base or request.url,
        )
        return begun.run(request, self._max_redirects if following else None)

    def watch(self, body: BodyCore) -> None:
        """A body is handed out open. Its client knows it, weakly, to be able to end it."""
        self._open.add(body)
        if self._closed:
            body.cut_off()  # The client was closed in the meantime, and did not see this one.

    def _closing(self) -> Steps[CloseReport]:
        self._closed = True
        return (yield from closing(self._watched(), self._adapters))

    def _watched(self) -> list[BodyCore]:
        while True:
            try:
                return list(self._open)
            except RuntimeError:
                pass  # Another thread added one meanwhile. What comes after `_closed` was set ends itself: see `watch`.

    # -- mounts ------------------------------------------------------------------------------------------------------

    def mount(
        self,
        pattern: str,
        adapter: Adapter | AsyncAdapter | str,
        *,
        cleanup: CleanupPolicy | None = None,
        tls: TLSConfig | None = None,
        connect: Connect | None = None,
    ) -> None:
        """Let an adapter serve every URL that matches the pattern, with settings of their own where some are given.

        Patterns: `https://api.example.org/v1/`, `https://*.example.org/`, `http://localhost:*/`, `mock://`. The most
        specific one wins, and every hop of a call selects again; `client.mounts.explain(url)` tells which, and why.
        Raises `MountError` if the pattern is not understood or mounted already.
        """
        if self._closed:
            raise ClientClosed("this client is closed, and would never close what is mounted now")
        self.mounts.add(
            Mount(
                Pattern.parse(pattern),
                self._chosen(adapter),
                as_policy(cleanup),
                checked_tls(tls),
                checked_connect(connect),
            )
        )

    def _chosen(self, adapter: Adapter | AsyncAdapter | str) -> Any:
        return chosen(adapter, self.adapter_group, self._limits, self.awaits)

    def connections(self) -> list[ConnectionInfo]:
        """What every connection is doing now: idle, or leased for which request, since when, opened where."""
        lines: list[ConnectionInfo] = []
        for adapter in self._adapters():
            listed = getattr(adapter, "connections", None)
            if listed is not None:
                lines += listed()
        return lines

    def _adapters(self) -> list[Adapter]:
        return list({id(a): a for mount in self.mounts if (a := mount.made) is not None}.values())

    # -- elsewhere -----------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        from adieu.client.pickling import what_travels

        return what_travels(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        from adieu.client.pickling import arrive

        arrive(self, state)

    def __copy__(self) -> Self:
        from adieu.client.pickling import twin

        copied: Self = twin(self)
        return copied

    def __deepcopy__(self, memo: object) -> Self:
        return self.__copy__()

    @property
    def is_closed(self) -> bool:
        """`close()` was called."""
        return self._closed

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self.connections())} connections"
        return f"<{type(self).__name__} {self._base or ''} {state}>".replace("  ", " ")
