"""What sync and async clients share: settings, mounts, how a request is built, what an error becomes. No waiting."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

from adieu.call import Call
from adieu.errors import ClientClosed, InvalidRequest, InvalidURL
from adieu.lifecycle.cleanup import STREAM, CleanupPolicy, Prefetch
from adieu.lifecycle.deadline import Deadline, Timeout
from adieu.messages.headers import Headers, merge
from adieu.messages.request import NOT_GIVEN, Request
from adieu.messages.url import URL
from adieu.transport.mounts import Mount, Mounts, Pattern
from adieu.transport.registry import find_adapter

Hook = Callable[[Any], object]

if TYPE_CHECKING:
    import os
    import ssl

    from typing_extensions import TypedDict, Unpack

    from adieu.lifecycle.body import BodyCore
    from adieu.lifecycle.events import Events
    from adieu.lifecycle.exchange import Exchange
    from adieu.lifecycle.pool import ConnectionInfo, Limits
    from adieu.lifecycle.steps import Steps
    from adieu.messages.request import HeadersLike
    from adieu.transport.adapter import Adapter, AsyncAdapter
    from adieu.transport.tls import TLSConfig

    class CallOptions(TypedDict, total=False):
        """What every call takes. The nearest setting wins: the call's, the mount's, the client's."""

        params: Any
        headers: HeadersLike | None
        content: Any
        data: Any
        json: Any
        timeout: Timeout | float | None
        cleanup: CleanupPolicy | None
        follow_redirects: bool | None
        extras: Mapping[str, object] | None

    class ClientOptions(CallOptions, total=False):
        """What a one-shot takes besides."""

        adapter: Adapter | str
        verify: bool | str | os.PathLike[str] | ssl.SSLContext
        cert: Any
        tls: TLSConfig | None
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
        "cleanup",
        "content",
        "data",
        "extras",
        "follow_redirects",
        "headers",
        "json",
        "params",
        "timeout",
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
    default_adapter: str
    adapter_group: str

    def hooked(self, hook: Hook, subject: Any) -> Any:
        """Call one hook (async: an awaitable)."""
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
        follow_redirects: bool = True,
        max_redirects: int = 20,
        events: Events | None = None,
        event_hooks: Mapping[str, Iterable[Hook]] | None = None,
    ) -> None:
        self._closed = False
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
        self.tls = tls if tls is not None else _tls(verify, cert)
        self._follow_redirects = follow_redirects
        self._max_redirects = max_redirects
        self.events = events
        self.hooks = _hooks(event_hooks)
        self._open: WeakSet[BodyCore] = WeakSet()
        self.mounts = Mounts(Mount(None, self._chosen(adapter or self.default_adapter), None))

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
            )
        if request.url.username is not None:
            _use_userinfo(request)
        return request

    # -- calls, as steps -----------------------------------------------------------------------------------------------

    def _beginning(self, method: str, url: URL | str, options: Any, stream: bool) -> Steps[Any]:
        request = self._build(method, url, options)
        get = options.get
        return self._sending(
            request,
            stream,
            get("timeout", NOT_GIVEN),
            get("cleanup"),
            get("follow_redirects"),
            get("extras"),
        )

    def _sending(
        self,
        request: Request,
        stream: bool,
        timeout: Any,
        cleanup: Any,
        follow_redirects: bool | None,
        extras: Mapping[str, object] | None,
    ) -> Steps[Any]:
        if self._closed:
            raise ClientClosed("this client is closed")
        setting = self._timeout if timeout is NOT_GIVEN else Timeout.of(timeout)
        following = self._follow_redirects if follow_redirects is None else follow_redirects
        call = Call(self, Deadline(setting), as_policy(cleanup), stream, extras)
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
    ) -> None:
        """Let an adapter (and a policy, if given) serve every URL that matches the pattern.

        Patterns: `https://api.example.org/v1/`, `https://*.example.org/`, `http://localhost:*/`, `mock://`. The most
        specific one wins, and every hop of a call selects again; `client.mounts.explain(url)` tells which, and why.
        Raises `MountError` if the pattern is not understood or mounted already.
        """
        if self._closed:
            raise ClientClosed("this client is closed, and would never close what is mounted now")
        self.mounts.add(Mount(Pattern.parse(pattern), self._chosen(adapter), as_policy(cleanup)))

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


def _use_userinfo(request: Request) -> None:
    """What stands before the @ of a URL is for Basic authentication (RFC 7617), and not a part of the address."""
    from base64 import b64encode

    url = request.url
    request.url = url.without_userinfo()
    if "authorization" not in request.headers:
        pair = f"{url.username or ''}:{url.password or ''}".encode()
        request.headers["Authorization"] = f"Basic {b64encode(pair).decode()}"


def _tls(verify: Any, cert: Any) -> TLSConfig | None:
    if verify is True and cert is None:
        return None
    from adieu.transport.tls import TLSConfig

    context: Any = verify if hasattr(verify, "wrap_socket") else None
    return TLSConfig(verify=True if context is not None else verify, cert=cert, context=context)


def _hooks(hooks: Mapping[str, Iterable[Hook]] | None) -> tuple[list[Hook], list[Hook]] | None:
    if not hooks:
        return None
    unknown = set(hooks) - {"request", "response"}
    if unknown:
        raise InvalidRequest(f"event_hooks knows 'request' and 'response', not {min(unknown)!r}")
    return list(hooks.get("request", ())), list(hooks.get("response", ()))
