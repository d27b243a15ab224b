"""The base of sync and async clients: settings, mounts, and how a call begins. Nothing here waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import ref

from adieu._elsewhere import NamesElsewhere
from adieu._not_given import NOT_GIVEN
from adieu._portable import portable
from adieu.client._checks import (
    checked_cleanup,
    checked_connect,
    checked_flag,
    checked_params,
    checked_tls,
)
from adieu.client.base_url import joined
from adieu.client.call import Call
from adieu.client.call_settings import CALL_OPTIONS, SEND_OPTIONS, CallSettings
from adieu.client.closing import closing
from adieu.client.content_owner import end_refused, owning_content
from adieu.client.options import REQUEST_OPTIONS
from adieu.client.settings import PORTABLE_INSTEAD, ClientSettings, SettingAttributes, settings_of
from adieu.client.unknown_attributes import refuse_attribute
from adieu.client.unknown_options import refuse_unknown_in_call
from adieu.errors import ClientClosed, InvalidRequest
from adieu.flow.cookies import for_one_call
from adieu.lifecycle.lock import locked, new_lock
from adieu.messages.request import Request
from adieu.messages.url import URL, parse_url
from adieu.messages.url.form import defaults_left
from adieu.transport.adapter import base_of
from adieu.transport.functions import is_awaited
from adieu.transport.mount_pattern import Pattern
from adieu.transport.mounts import Mount, Mounts
from adieu.transport.registry import chosen

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from adieu.client.closing import CloseReport, EndsWithClient
    from adieu.client.option_types import CallOptions, ClientOptions, RequestOptions, SendOptions
    from adieu.client.options import Hook
    from adieu.lifecycle.cleanup import CleanupPolicy
    from adieu.lifecycle.limits import ConnectionInfo, Limits
    from adieu.lifecycle.steps import Steps
    from adieu.net.connect import Connect
    from adieu.net.tls.config import TLSConfig
    from adieu.transport.adapter import Adapter, AdapterLike
    from adieu.transport.exchange import AnyExchange, AsyncPinnedExchange, PinnedExchange
    from adieu.transport.registry import NamedAdapter

__all__ = ["ClientBase"]

# The attributes of every client that are not pickled under their names.
_STATE = ("_closed", "_mounts", "_open", "_plain")

_CHANGING = new_lock()


class ClientBase(NamesElsewhere, SettingAttributes):
    """The settings of a client, and its calls as steps. `Client` and `AsyncClient` drive the steps."""

    exchange: type[AnyExchange]
    pinned_exchange: type[PinnedExchange | AsyncPinnedExchange]
    awaits: bool
    default_adapter: str
    adapter_group: str

    # True until the constructor ends: a client whose settings were refused has nothing to close.
    _closed = True
    # The settings of calls without options. A change of a setting replaces it.
    _plain: CallSettings
    _mounts: Mounts
    # The bodies and WebSockets that were returned open. A plain dictionary, because adding to a `WeakSet` takes five
    # times as long.
    _open: dict[ref[EndsWithClient], None]

    def hooked(self, hook: Hook, subject: object) -> object:
        """Call one hook (async: an awaitable)."""
        raise NotImplementedError

    def pause(self, seconds: float) -> object:
        """Wait, holding nothing (async: an awaitable)."""
        raise NotImplementedError

    def __init__(self, base_url: URL | str | None = None, **options: Unpack[ClientOptions]) -> None:
        given: dict[str, object] = dict(options)
        if base_url is not None:
            given["base_url"] = base_url
        settings = settings_of(given, self.default_adapter)
        if given:
            self._check_kind(settings)
        self._begin_with(settings)

    def _begin_with(self, settings: ClientSettings) -> None:
        """Make this an open client with these settings."""
        default = Mount(None, self._chosen(settings.adapter, settings.limits), None)
        store = object.__setattr__
        store(self, "_plain", CallSettings(settings))
        store(self, "_mounts", Mounts(default))
        store(self, "_open", {})
        store(self, "_closed", False)

    def _check_kind(self, settings: ClientSettings) -> None:
        """Raise `InvalidRequest` for settings that this kind of client, sync or async, cannot use."""
        before, after = settings.event_hooks
        for hook in () if self.awaits else before + after:
            if is_awaited(hook):
                raise InvalidRequest(
                    f"event_hooks: {hook!r} has to be awaited: it needs an AsyncClient"
                )

    @property
    def _settings(self) -> ClientSettings:
        return self._plain.client

    def _change(self, name: str, checked: object) -> None:
        # The lock keeps two threads that change two settings from undoing each other's change. Readers need no lock.
        locked(_CHANGING, self._replace, name, checked)

    def _replace(self, name: str, checked: object) -> None:
        settings = self._settings.replace(**{name: checked})
        self._check_kind(settings)
        self._plain = CallSettings(settings)
        if name == "base_url":
            settings.cookies.move(settings.base_url)

    if not TYPE_CHECKING:  # A type checker would take it to allow every name.

        def __setattr__(self, name: str, value: object) -> None:
            if not (name in vars(self) or hasattr(type(self), name)):
                refuse_attribute(type(self), name)
            object.__setattr__(self, name, value)

    def build_request(
        self, method: str, url: URL | str, **options: Unpack[RequestOptions]
    ) -> Request:
        """The request that `request()` would send: with the client's base URL, parameters and headers."""
        refuse_unknown_in_call(options, REQUEST_OPTIONS)
        return self._build(self._settings, method, url, options)

    def _build(
        self, settings: ClientSettings, method: str, url: URL | str, options: RequestOptions
    ) -> Request:
        if self._closed:
            raise ClientClosed("this client is closed")
        if settings.base_url is not None and type(url) is not URL:
            url = joined(settings.base_url, url)
        target = url if type(url) is URL else parse_url(url)
        params = options.get("params")
        if settings.params is not None:
            # As with headers, what a call says replaces a default of the same name: by params=, or by its URL, because
            # a link that a server gives often has the client's parameters in it.
            params = checked_params(params)
            target = target.with_params(defaults_left(settings.params, target.query, params))
        if not options:
            return Request(method, target, headers=settings.headers.copy())
        own = options.get("headers")
        headers = settings.headers.copy() if own is None else settings.headers.merged(own)
        return Request(
            method,
            target,
            params=params,
            headers=headers,
            content=options.get("content"),
            data=options.get("data"),
            json=options.get("json"),
            files=options.get("files"),
            trailers=options.get("trailers"),
        )

    # -- calls, as steps -----------------------------------------------------------------------------------------------

    def _merged(
        self, options: SendOptions, method: Callable[..., object] | None = None
    ) -> CallSettings:
        """The settings for one call that has these options, and a request that is built already."""
        if not options:
            return self._plain
        refuse_unknown_in_call(options, SEND_OPTIONS, method)
        return self._plain.merged(options)

    def _check_options(self, options: CallOptions, method: Callable[..., object]) -> None:
        """Refuse, before the first of several calls of a method, options that each of them would refuse."""
        refuse_unknown_in_call(options, CALL_OPTIONS, method)
        checked_params(options.get("params"))
        self._plain.merged(options)

    def _beginning(
        self,
        method: str,
        url: URL | str,
        options: CallOptions,
        stream: bool,
        call: Callable[..., Call] = Call,
    ) -> Steps[Any]:
        settings = self._plain
        try:
            if options:
                refuse_unknown_in_call(options, CALL_OPTIONS)
                if not SEND_OPTIONS.isdisjoint(options):
                    settings = settings.merged(options)
            request = self._build(settings.client, method, url, options)
        except BaseException:
            end_refused(options)
            raise
        return self._sending(request, stream, settings, call)

    def _sending_with(self, request: Request, stream: bool, options: SendOptions) -> Steps[Any]:
        try:
            settings = self._merged(options)
        except BaseException:
            if isinstance(request, Request):
                request.content.end_now()
            raise
        return self._sending(request, stream, settings)

    def _sending(
        self,
        request: Request,
        stream: bool,
        settings: CallSettings,
        call: Callable[..., Call] = Call,
    ) -> Steps[Any]:
        if not isinstance(request, Request):
            raise InvalidRequest(
                f"send() takes a Request, as client.build_request(method, url) makes it, not {request!r}"
            )
        content = request.content
        if content.body is None:
            if content.needs_owner:
                return owning_content(
                    request,
                    self.awaits,
                    lambda owning: self._sending(owning, stream, settings, call),
                )
            if content.is_async and not self.awaits:
                content.chunks()  # Raises the error that explains it.
        if self._closed:
            raise ClientClosed("this client is closed")
        home = request.url if settings.cert_is_own else settings.client.base_url or request.url
        credentials = None
        if (
            settings.client_auth is not None
            or settings.auth is not NOT_GIVEN
            or request.url.username is not None
        ):
            from adieu.flow.auth import resolve_auth

            request, credentials = resolve_auth(request, settings.auth, settings.client_auth)
        own = settings.cookies
        cookies = None if own is None else for_one_call(request, own)
        begun = call(self, settings, stream, credentials, cookies, home)
        if settings.client.events:
            return begun.reported(request, settings.client.events)
        return begun.run(request)

    def watch(self, held: EndsWithClient) -> None:
        """Remember, weakly, what is returned open, so that `close` can end it."""
        self._open[ref(held, self._open.pop)] = None
        if self._closed:
            held.cut_off()  # The client was closed in the meantime, and has not ended this one.

    def _closing(self) -> Steps[CloseReport]:
        object.__setattr__(self, "_closed", True)
        return (yield from closing(self.watched(), self._mounts.adapters))

    def watched(self) -> list[EndsWithClient]:
        """What was returned open and is still referred to."""
        while True:
            try:
                held = [known() for known in list(self._open)]
                return [each for each in held if each is not None]
            except RuntimeError:
                pass  # Another thread added one meanwhile. `watch` ends those that are added after `_closed` was set.

    # -- mounts ------------------------------------------------------------------------------------------------------

    def mount(
        self,
        pattern: str,
        adapter: AdapterLike | str,
        *,
        cleanup: CleanupPolicy | None = None,
        tls: TLSConfig | None = None,
        connect: Connect | None = None,
        from_network: bool = False,
    ) -> None:
        """Let an adapter serve every URL that matches the pattern, with the settings of the mount if some are given.

        Patterns: `https://api.example.org/v1/`, `https://*.example.org/`, `http://localhost:*/`, `mock://`. The most
        specific one wins, and every hop of a call selects again; `client.mounts.explain(url)` shows which, and why.

        `adapter`: an adapter, the name of one, or a function that takes a request and returns a response.

        `from_network`: whether a redirect by a server of the network may lead to this mount if it is a Unix socket, an
        app in this process, or something else that is not on the network. Otherwise it is a `RedirectError`.

        Raises `MountError` if the pattern is not understood or mounted already.
        """
        if self._closed:
            raise ClientClosed("this client is closed, and would never close the mounted adapter")
        self._mounts.add(
            Mount(
                Pattern.parse(pattern),
                self._chosen(adapter, self._settings.limits),
                checked_cleanup(cleanup),
                checked_tls(tls),
                checked_connect(connect),
                checked_flag("from_network", from_network),
            )
        )

    def _unmounting(self, pattern: str) -> Steps[CloseReport]:
        if self._closed:
            raise ClientClosed("this client is closed, and all its mounts with it")
        self._mounts.remove(Pattern.parse(pattern))
        return (yield from self._closing_removed())

    def _closing_removed(self) -> Steps[CloseReport]:
        """Close the adapters of mounts that were removed. If it is cut short, the next one goes on."""
        removed = self._mounts.removed()
        report = yield from closing((), lambda: self._mounts.without_use(removed))
        self._mounts.forget(removed)
        return report

    def _chosen(self, adapter: AdapterLike | str, limits: Limits | None) -> Adapter | NamedAdapter:
        return chosen(adapter, self.adapter_group, limits, self.awaits)

    @property
    def mounts(self) -> Mounts:
        """Which adapter serves which URLs: see `mount`."""
        return self._mounts

    def connections(self) -> list[ConnectionInfo]:
        """The state of every connection: idle, or leased for which request, since when, opened where."""
        lines: list[ConnectionInfo] = []
        for adapter in self._mounts.adapters():
            lines += base_of(adapter).connections()
        return lines

    def explain(self) -> str:
        """What this client's connections are doing, as one page to print: in use, idle, waited for, closed lately.

        Each line of a connection in use names its request, and, if its response was handed out unread, since when and
        by which line of your program; one that waits names the line that called; one that was closed, the reason.
        """
        from adieu.lifecycle.pool_report import page

        reports = [base_of(adapter).pool_report() for adapter in self._mounts.adapters()]
        held = [each.held_outside() for each in self.watched()]
        return page(repr(self), reports, [info for info in held if info is not None])

    # -- elsewhere -----------------------------------------------------------------------------------------------------

    def __getstate__(self) -> tuple[ClientSettings, list[Mount], dict[str, object]]:
        # The settings, with their secrets and the cookies in the jar, the mounts, and the attributes of a subclass.
        mounts = [mount for mount in self._mounts if mount.pattern]
        for mount in mounts:
            portable(
                f"the adapter mounted for {mount.pattern} of a client", mount, PORTABLE_INSTEAD
            )
        own = {name: value for name, value in vars(self).items() if name not in _STATE}
        for name, value in own.items():
            portable(f"{name}= of a client", value, PORTABLE_INSTEAD)
        return self._settings, mounts, own

    def __setstate__(self, state: tuple[ClientSettings, list[Mount], dict[str, object]]) -> None:
        settings, mounts, own = state
        vars(self).update(own)
        self._begin_with(settings)
        for mount in mounts:
            self._mounts.add(mount)

    def __copy__(self) -> Self:
        # Pickled and unpickled, the copy shares nothing that one of the two clients could close.
        import pickle

        copied: Self = pickle.loads(pickle.dumps(self))  # noqa: S301 - what was pickled in the same line
        return copied

    def __deepcopy__(self, memo: object) -> Self:
        return self.__copy__()

    @property
    def is_closed(self) -> bool:
        """`close()` was called."""
        return self._closed

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self.connections())} connections"
        return f"<{type(self).__name__} {self._settings.base_url or ''} {state}>".replace("  ", " ")
