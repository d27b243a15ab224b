"""What sync and async clients share: settings, mounts, how a request is built, what an error becomes. No waiting."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from weakref import WeakSet

from adieu.call import Call
from adieu.errors import ClientClosed, InvalidRequest, InvalidURL
from adieu.flow.cookies import for_one_call
from adieu.flow.identity import Identity
from adieu.lifecycle.cleanup import STREAM, CleanupPolicy, Prefetch
from adieu.lifecycle.deadline import Deadline, Timeout
from adieu.messages.headers import Headers, merge
from adieu.messages.request import NOT_GIVEN, Request
from adieu.messages.response import MAX_BODY
from adieu.messages.url import URL
from adieu.transport.mounts import Mount, Mounts, Pattern
from adieu.transport.registry import find_adapter
from adieu.transport.route import Routes

Hook = Callable[[Any], object]

if TYPE_CHECKING:
    import os
    import ssl

    from typing_extensions import TypedDict, Unpack

    from adieu.flow.auth import AuthLike
    from adieu.flow.retries import Retry
    from adieu.lifecycle.body import BodyCore
    from adieu.lifecycle.events import Events
    from adieu.lifecycle.exchange import Exchange
    from adieu.lifecycle.pool import ConnectionInfo, Limits
    from adieu.lifecycle.steps import Steps
    from adieu.messages.cookies import Cookie, Cookies
    from adieu.messages.multipart import FilesLike
    from adieu.messages.request import HeadersLike
    from adieu.messages.trailers import TrailersLike
    from adieu.transport.adapter import Adapter, AsyncAdapter
    from adieu.transport.connect import Connect
    from adieu.transport.route import ProxySetting
    from adieu.transport.tls import TLSConfig

    class CallOptions(TypedDict, total=False):
        """What every call takes. The nearest setting wins: the call's, the mount's, the client's."""

        params: Any
        headers: HeadersLike | None
        content: Any
        data: Any
        json: Any
        files: FilesLike | None
        trailers: TrailersLike | None
        timeout: Timeout | float | None
        cleanup: CleanupPolicy | None
        follow_redirects: bool | None
        extras: Mapping[str, object] | None
        auth: AuthLike | None
        cookies: Mapping[str, str] | Iterable[Cookie] | None
        max_body: int | None
        retry: Retry | int | None
        proxy: ProxySetting

    class ClientOptions(CallOptions, total=False):
        """What a one-shot takes besides."""

        adapter: Adapter | str
        verify: bool | str | os.PathLike[str] | ssl.SSLContext
        cert: Any
        tls: TLSConfig | None
        connect: Connect | None
        max_redirects: int
        events: Events | None
        event_hooks: Mapping[str, Iterable[Hook]] | None


__all__ = ["ClientBase", "CloseReport", "as_policy"]

_PREFETCH = Prefetch()
# Not any text with "://" in it: a path may hold a URL.
_WHOLE = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9+.-]*:)?//").match
_DEFAULT_TIMEOUT = Timeout()
_OPTIONS = frozenset(
    (
        "auth",
        "cleanup",
        "content",
        "cookies",
        "data",
        "extras",
        "files",
        "follow_redirects",
        "headers",
        "json",
        "max_body",
        "params",
        "proxy",
        "retry",
        "timeout",
        "trailers",
    )
)


class CloseReport(NamedTuple):
    """What `close()` found: how many connections were idle, how many in use, and who held those."""

    idle: int
    in_use: int
    holders: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Nothing was in use."""
        return not self.in_use and not self.holders

    def __str__(self) -> str:
        held = f": {'; '.join(self.holders)}" if self.holders else ""
        return f"closed {self.idle} idle connections and {self.in_use} in use{held}"


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
        self._base = _base(base_url)
        self._params = params
        # Refused here if they cannot be sent; merged when they are: what can be decoded is not cheap to find out.
        merge(Headers(), headers)
        copied = getattr(headers, "copy", None)
        self._own_headers: HeadersLike | None = copied() if copied is not None else headers
        self._headers: Headers | None = None
        self.cleanup = as_policy(cleanup) or _PREFETCH
        self._timeout = _DEFAULT_TIMEOUT if timeout is NOT_GIVEN else Timeout.of(timeout)  # type: ignore[arg-type]
        self._limits = limits
        self.tls = _tls(tls, verify, cert)
        self.connect = _checked_connect(connect)
        self._follow_redirects = follow_redirects
        self._max_redirects = max_redirects
        self.events = events
        self.hooks = _hooks(event_hooks)
        self.identity = Identity(self._base, self._own_headers, auth, cookies)
        self._max_body = _checked_bound(max_body)
        self._retry = None if retry is None else _checked_retry(retry, None)
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
            url = _joined(self._base, url)
        target = url if type(url) is URL else URL(url)
        if self._params is not None:
            target = target.with_params(self._params)
        if (defaults := self._headers) is None:
            self._headers = defaults = _default_headers(self._own_headers)
            defaults.get("host")  # It builds the index, which every copy carries along.
        headers = defaults.copy()
        if not options:
            request = Request(method, target, headers=headers)
        else:
            unknown = options.keys() - _OPTIONS
            if unknown:
                raise TypeError(
                    f"unknown option {min(unknown)!r}; known are {', '.join(sorted(_OPTIONS))}"
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
    ) -> Steps[Any]:
        if self._closed:
            raise ClientClosed("this client is closed")
        if request.content.is_async and not self.awaits:
            request.content.chunks()  # It raises, and says why.
        setting = self._timeout if timeout is NOT_GIVEN else Timeout.of(timeout)
        following = self._follow_redirects if follow_redirects is None else follow_redirects
        bound = self._max_body if max_body is NOT_GIVEN else _checked_bound(max_body)
        routes = self._routes if proxy is NOT_GIVEN else Routes(proxy)
        credentials = None
        own = self.identity.auth
        if auth is not NOT_GIVEN or own is not None or request.url.username is not None:
            from adieu.flow.auth import settled

            request, credentials = settled(request, auth, own)
        call = Call(
            self,
            Deadline(setting),
            as_policy(cleanup),
            stream,
            extras,
            bound,
            routes,
            credentials,
            None if cookies is None else for_one_call(request, cookies),
            self._retry if retry is NOT_GIVEN else _checked_retry(retry, self._retry),
            self._base or request.url,
        )
        return call.run(request, self._max_redirects if following else None)

    def watch(self, body: BodyCore) -> None:
        """A body is handed out open. Its client knows it, weakly, to be able to end it."""
        self._open.add(body)
        if self._closed:
            body.cut()  # The client was closed in the meantime, and did not see this one.

    def _closing(self) -> Steps[CloseReport]:
        self._closed = True
        holders = []
        failure: BaseException | None = None
        for body in self._watched():
            if body.state != "OPEN":
                continue
            try:
                holders.append(str(body.exchange.info()))
                lease = body.exchange.lease
                wish = body.exchange.policy.on_client_close(body.view())
                if wish is STREAM and hasattr(lease, "outlives"):
                    lease.outlives = True
                else:
                    body.cut()
            except BaseException as error:
                # The policy's own, or an interrupt: told when everything is closed.
                failure = error
                body.cut()
        idle = in_use = 0
        for adapter in self._adapters():
            try:
                counts = yield adapter.close()
            except GeneratorExit:
                raise
            except BaseException as error:
                failure = error
                continue
            if isinstance(counts, tuple):
                idle, in_use = idle + counts[0], in_use + counts[1]
        try:
            if failure is not None:
                raise failure
        finally:
            del failure  # Or the exception's traceback would refer to the exception: a cycle.
        return CloseReport(idle, in_use + len(holders), tuple(holders))

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
                _checked_tls(tls),
                _checked_connect(connect),
            )
        )

    def _chosen(self, adapter: Adapter | AsyncAdapter | str) -> Any:
        if isinstance(adapter, str):
            limits = {} if self._limits is None else {"limits": self._limits}
            return _Named(adapter, self.adapter_group, limits)
        if isinstance(adapter, type):
            raise InvalidRequest(
                f"{adapter!r} is a class; an adapter is an instance of it: write it with parentheses"
            )
        if not callable(getattr(adapter, "send", None)) or not callable(
            getattr(adapter, "close", None)
        ):
            raise InvalidRequest(
                f"an adapter is a name or has send(request, exchange) and close(); {adapter!r} has not"
            )
        return adapter

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

    @property
    def is_closed(self) -> bool:
        """`close()` was called."""
        return self._closed


class _Named:
    """Makes the adapter of a name when it is first used."""

    __slots__ = ("group", "limits", "name")

    def __init__(self, name: str, group: str, limits: dict[str, Limits]) -> None:
        self.name = name
        self.group = group
        self.limits = limits

    def __call__(self) -> Adapter:
        make = find_adapter(self.name, self.group)
        try:
            adapter: Adapter = make(**self.limits)
        except TypeError as error:
            if not self.limits:
                raise
            raise InvalidRequest(
                f"the adapter {self.name!r} cannot be made with limits=: {error}"
            ) from error
        return adapter


def as_policy(policy: Any) -> CleanupPolicy | None:
    """What `cleanup=` was given, checked."""
    if policy is None or isinstance(policy, CleanupPolicy):
        return policy
    hint = " (an instance of it: write it with parentheses)" if isinstance(policy, type) else ""
    raise InvalidRequest(f"cleanup takes a CleanupPolicy, not {policy!r}{hint}")


def _checked_bound(max_body: Any) -> int | None:
    if max_body is None or (type(max_body) is int and max_body >= 0):
        bound: int | None = max_body
        return bound
    raise InvalidRequest(
        f"max_body is a number of bytes, or None for no bound at all, not {max_body!r}"
    )


def _checked_retry(retry: Any, own: Retry | None) -> Retry | None:
    from adieu.flow.retries import Retry

    if own is not None and type(retry) is int and retry > 0:
        return own.replace(
            limit=retry
        )  # Another number changes neither the rest, nor whose budget it is.
    return Retry.of(retry)


def _base(url: URL | str | None) -> URL | None:
    if url is None:
        return None
    base = URL(url)
    if base.query is not None or base.fragment is not None:
        raise InvalidURL(f"a base_url has no query and no fragment: {base}")
    return base


def _joined(base: URL, url: str) -> str | URL:
    """A path below the base URL. Whole URLs stay as they are."""
    if not isinstance(url, str) or _WHOLE(url):
        return url
    if not url:
        return base
    path = base.path.rstrip("/")
    if url[0] in "?#":
        joined = URL(f"{base.scheme}://{base.authority}{base.path}{url}")
    else:
        joined = URL(f"{base.scheme}://{base.authority}{path}/{url.lstrip('/')}")
    if base.username is not None:
        joined = joined.replace(username=base.username, password=base.password)
    return joined


def _default_headers(own: HeadersLike | None) -> Headers:
    from adieu import __version__
    from adieu.messages.coding import accept_encoding

    defaults = Headers.from_wire(
        [
            ("User-Agent", f"adieu/{__version__}"),
            ("Accept", "*/*"),
            ("Accept-Encoding", accept_encoding()),
        ]
    )
    return merge(defaults, own)


def _tls(tls: Any, verify: Any, cert: Any) -> TLSConfig | None:
    if verify is True and cert is None:
        return _checked_tls(tls)
    if tls is not None:
        raise InvalidRequest("tls= says all there is to say: give verify and cert to its TLSConfig")
    from adieu.transport.tls import TLSConfig

    context: Any = verify if hasattr(verify, "wrap_socket") else None
    return TLSConfig(verify=True if context is not None else verify, cert=cert, context=context)


def _checked_tls(tls: Any) -> TLSConfig | None:
    if tls is not None and not hasattr(tls, "context_for"):
        raise InvalidRequest(f"tls= is an adieu.TLSConfig, not {type(tls).__name__}")
    checked: TLSConfig | None = tls
    return checked


def _checked_connect(connect: Any) -> Connect | None:
    if connect is not None and not hasattr(connect, "pinned"):
        raise InvalidRequest(f"connect= is an adieu.Connect, not {type(connect).__name__}")
    checked: Connect | None = connect
    return checked


def _hooks(hooks: Mapping[str, Iterable[Hook]] | None) -> tuple[list[Hook], list[Hook]]:
    hooks = hooks or {}
    unknown = set(hooks) - {"request", "response"}
    if unknown:
        raise InvalidRequest(f"event_hooks knows 'request' and 'response', not {min(unknown)!r}")
    return list(hooks.get("request", ())), list(hooks.get("response", ()))
