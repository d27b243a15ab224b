"""Settings as values: `ClientSettings` is everything that a client is, `CallSettings` what holds for one call.

A client holds one `CallSettings`, the one for calls without options, and that refers to its `ClientSettings`. To change
a setting is to check it as at construction, and to put another `CallSettings` in its place with one store: a call uses
the same settings from its beginning to its end. Every setting is described once, in `SettingAttributes`.
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, overload

from adieu._portable import portable
from adieu._value import Value
from adieu.client import _checks as checks
from adieu.client.base_url import as_base
from adieu.client.live import ClientCookies, ClientHeaders
from adieu.client.options import REQUEST_OPTIONS
from adieu.errors import InvalidRequest
from adieu.lifecycle.cleanup import Prefetch
from adieu.lifecycle.deadline import Timeout
from adieu.lifecycle.lock import locked, process_lock
from adieu.messages.request import NOT_GIVEN
from adieu.messages.response import MAX_BODY
from adieu.transport.routes import Routes

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from typing import Literal

    from typing_extensions import Self

    from adieu.client.options import CookiesLike, Hook, Hooks, HooksLike, SendOptions, Verify
    from adieu.flow.auth import Auth, AuthLike, ScopedAuth
    from adieu.flow.retries import Retry
    from adieu.lifecycle.cleanup import CleanupPolicy
    from adieu.lifecycle.events import Events
    from adieu.lifecycle.pool import Limits
    from adieu.messages.cookies.jar import Cookies
    from adieu.messages.headers import HeaderChanges, Headers
    from adieu.messages.url import URL
    from adieu.messages.url.form import FormFields
    from adieu.net.connect import Connect
    from adieu.net.tls._checks import Cert
    from adieu.net.tls.config import TLSConfig
    from adieu.transport.adapter import Adapter, AsyncAdapter
    from adieu.transport.routes import ProxySetting

__all__ = ["CallSettings", "ClientSettings", "Setting", "SettingAttributes", "refuse_attribute"]

Given = TypeVar("Given")
Read = TypeVar("Read")

_DEFAULT_POLICY = Prefetch()
_DEFAULT_TIMEOUT = Timeout()
_CHANGING = process_lock()


class ClientSettings(Value):
    """What a client is: its settings, checked. Pickled, it is all of a client but its mounts."""

    __slots__ = (
        "adapter",
        "auth",
        "base_url",
        "cleanup",
        "connect",
        "cookies",
        "event_hooks",
        "events",
        "follow_redirects",
        "headers",
        "limits",
        "max_body",
        "max_redirects",
        "params",
        "proxy",
        "retry",
        "timeout",
        "tls",
    )

    adapter: Adapter | AsyncAdapter | str | None
    auth: Auth | None
    base_url: URL | None
    cleanup: CleanupPolicy
    connect: Connect | None
    cookies: ClientCookies
    event_hooks: Hooks
    events: Events | None
    follow_redirects: bool
    headers: ClientHeaders
    limits: Limits | None
    max_body: int | None
    max_redirects: int
    params: FormFields | None
    proxy: Routes
    retry: Retry | None
    timeout: Timeout
    tls: TLSConfig | None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """The settings that these options of a client make. Raises `InvalidRequest`, and `TypeError` for others."""
        checks.refuse_unknown(options, CLIENT_OPTIONS)
        fields: dict[str, Any] = {
            name: setting.check(options.get(name, setting.default))
            for name, setting in _SETTINGS.items()
        }
        base = fields["base_url"]
        fields["cookies"] = _cookies(options.get("cookies"), base)
        fields["tls"] = checks.tls_of(options)
        return cls._of(fields)

    @classmethod
    def _of(cls, fields: dict[str, Any]) -> Self:
        made = cls.__new__(cls)
        made._set(**fields)
        made._check_together()
        return made

    def _check_together(self) -> None:
        """Refuse settings that contradict each other."""
        if self.auth is not None:
            if "authorization" in self.headers:
                raise InvalidRequest(
                    "auth= and an Authorization header were given: which of the two is to be sent?"
                )
            if self.base_url is not None and self.base_url.username is not None:
                raise InvalidRequest(
                    "auth= and a user name in base_url were given: which of the two is to be sent?"
                )
        if self.limits is not None and not isinstance(self.adapter, (str, type(None))):
            raise InvalidRequest(
                f"limits= is for an adapter chosen by name; {self.adapter!r} has limits of its own: give them to it"
            )

    def replace(self, **changes: Any) -> Self:
        """The same settings with others, which were checked one by one."""
        return self._of({**self._fields(), **changes})

    def scoped_auth(self) -> ScopedAuth | Auth | None:
        """The client's credentials, bound to the origin of its base URL if it has one."""
        if self.auth is None or self.base_url is None:
            return self.auth
        from adieu.flow.auth import ScopedAuth

        return ScopedAuth(self.auth, self.base_url.origin)

    def __getstate__(self) -> dict[str, Any]:
        state = self._fields()
        for name, value in state.items():
            what = value.jar if isinstance(value, ClientCookies) else value
            portable(f"{name}= of a client", what, PORTABLE_INSTEAD)
        return state


PORTABLE_INSTEAD = "functions can be, if they stand at the top of a module"


class CallSettings:
    """What holds for one call: the client's settings with the call's options over them.

    `cleanup` and `tls` are the call's own, or None: then a mount's hold, or those of the `client`. It is made once, by
    `merged`, and never changed; calls without options share the one of their client.
    """

    __slots__ = (
        "auth",
        "cert_is_own",
        "cleanup",
        "client",
        "client_auth",
        "cookies",
        "default_tls",
        "extras",
        "max_body",
        "max_redirects",
        "retry",
        "routes",
        "timeout",
        "tls",
    )

    def __init__(self, client: ClientSettings) -> None:
        self.client = client
        # What the call was given; NOT_GIVEN: the client's credentials hold.
        self.auth: Auth | object | None = NOT_GIVEN
        self.client_auth = client.scoped_auth()
        self.cleanup: CleanupPolicy | None = None
        # Besides those of the client.
        self.cookies: CookiesLike | None = None
        self.extras: Mapping[str, object] | None = None
        self.max_body = client.max_body
        # None: redirects are not followed.
        self.max_redirects = client.max_redirects if client.follow_redirects else None
        self.retry = client.retry
        self.routes = client.proxy
        self.timeout = client.timeout
        self.tls: TLSConfig | None = None
        # The certificate in `tls` was given for this call, and so for the origin of its URL.
        self.cert_is_own = False
        # Neither the call nor the client has TLS settings: most have none.
        self.default_tls = client.tls is None

    def merged(self, options: Mapping[str, Any]) -> CallSettings:
        """These settings, of a client, with the options of one call over them."""
        call = CallSettings(self.client)
        for name in options:
            merge = _MERGES.get(name)
            if merge is not None:
                merge(call, options)
        return call


# Each takes one option over into the settings of a call.


def _merge_auth(call: CallSettings, options: SendOptions) -> None:
    call.auth = checks.checked_auth(options["auth"])


def _merge_cleanup(call: CallSettings, options: SendOptions) -> None:
    call.cleanup = checks.checked_cleanup(options["cleanup"])


def _merge_cookies(call: CallSettings, options: SendOptions) -> None:
    call.cookies = checks.checked_cookies(options["cookies"])


def _merge_extras(call: CallSettings, options: SendOptions) -> None:
    call.extras = checks.checked_extras(options["extras"])


def _merge_follow_redirects(call: CallSettings, options: SendOptions) -> None:
    given = options["follow_redirects"]
    if given is not None:
        following = checks.checked_flag("follow_redirects", given)
        call.max_redirects = call.client.max_redirects if following else None


def _merge_max_body(call: CallSettings, options: SendOptions) -> None:
    call.max_body = checks.checked_max_body(options["max_body"])


def _merge_proxy(call: CallSettings, options: SendOptions) -> None:
    call.routes = Routes(options["proxy"])


def _merge_retry(call: CallSettings, options: SendOptions) -> None:
    call.retry = checks.checked_retry(options["retry"], call.client.retry)


def _merge_timeout(call: CallSettings, options: SendOptions) -> None:
    call.timeout = checks.checked_timeout(options["timeout"])


def _merge_tls(call: CallSettings, options: SendOptions) -> None:
    """`tls`, `verify` and `cert` together, when the first of them is met."""
    if call.tls is not None:
        return
    own = checks.checked_tls(options.get("tls"))
    if own is not None:
        call.tls = checks.tls_alone(own, options)
    else:
        given: dict[str, object] = {}
        if "verify" in options:
            given["verify"] = options["verify"]
        if options.get("cert") is not None:
            given["cert"] = options.get("cert")
        call.tls = checks.changed_tls(call.client.tls, given)
    call.cert_is_own = own is not None or options.get("cert") is not None
    call.default_tls = call.tls is None and call.client.tls is None


_MERGES: dict[str, Callable[[CallSettings, Any], None]] = {
    "auth": _merge_auth,
    "cert": _merge_tls,
    "cleanup": _merge_cleanup,
    "cookies": _merge_cookies,
    "extras": _merge_extras,
    "follow_redirects": _merge_follow_redirects,
    "max_body": _merge_max_body,
    "proxy": _merge_proxy,
    "retry": _merge_retry,
    "timeout": _merge_timeout,
    "tls": _merge_tls,
    "verify": _merge_tls,
}
SEND_OPTIONS = frozenset(_MERGES)
CALL_OPTIONS = SEND_OPTIONS | REQUEST_OPTIONS


# -- as attributes of a client -----------------------------------------------------------------------------------------


class Setting(Generic[Given, Read]):
    """A setting as an attribute of a client: read, it is the current value; assigned, it holds from the next call on.

    `default`: what it is when it is left out; `check`: gives the value ready for use, or raises `InvalidRequest`;
    `read`: gives what is shown of that value.
    """

    def __init__(
        self,
        default: Given,
        check: Callable[[Given], object],
        read: Callable[[Any], object] | None = None,
    ) -> None:
        self.default = default
        self.check = check
        self._read = read
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: SettingAttributes, owner: type) -> Read: ...
    def __get__(self, client: SettingAttributes | None, owner: type) -> Any:
        if client is None:
            return self
        value = getattr(client._settings, self._name)
        return value if self._read is None else self._read(value)

    def __set__(self, client: SettingAttributes, given: Given) -> None:
        client._change(self._name, self.check(given))


class _FixedSetting(Setting[Given, Read]):
    """A setting that holds for the whole life of a client."""

    def __set__(self, client: SettingAttributes, given: Given) -> NoReturn:
        raise AttributeError(
            f"{self._name} cannot change after a client was made: make another client, or mount an adapter with "
            "limits of its own by client.mount(pattern, adapter)"
        )


def _cookies(cookies: CookiesLike | Literal[False] | None, base: URL | None) -> ClientCookies:
    return ClientCookies(cookies if cookies is False else checks.checked_cookies(cookies), base)


def _shown_hooks(hooks: Hooks) -> Mapping[str, tuple[Hook, ...]]:
    return MappingProxyType({"request": hooks[0], "response": hooks[1]})


def _shown_params(params: Any) -> Any:
    return MappingProxyType(params) if isinstance(params, dict) else params


class SettingAttributes:
    """The settings of a client as its attributes: the one list of them, each with its default and its check."""

    _plain: CallSettings
    """For calls without options. Changing a setting replaces it."""

    @property
    def _settings(self) -> ClientSettings:
        """All settings of this client, as one value."""
        return self._plain.client

    def _change(self, name: str, checked: object) -> None:
        """Let the next call have this value."""
        # Under a lock, so that of two threads that change two settings none loses its change. Readers need none.
        locked(_CHANGING, self._replace, name, checked)

    def _replace(self, name: str, checked: object) -> None:
        self._plain = CallSettings(self._settings.replace(**{name: checked}))

    adapter: Setting[Adapter | AsyncAdapter | str | None, Adapter | AsyncAdapter | str | None] = (
        _FixedSetting(None, lambda given: given)
    )
    auth: Setting[AuthLike | None, Auth | None] = Setting(None, checks.checked_auth)
    base_url: Setting[URL | str | None, URL | None] = Setting(None, as_base)
    cleanup: Setting[CleanupPolicy | None, CleanupPolicy] = Setting(
        None, lambda given: checks.checked_cleanup(given) or _DEFAULT_POLICY
    )
    connect: Setting[Connect | None, Connect | None] = Setting(None, checks.checked_connect)
    event_hooks: Setting[HooksLike | None, Mapping[str, tuple[Hook, ...]]] = Setting(
        None, checks.checked_hooks, _shown_hooks
    )
    events: Setting[Events | None, Events | None] = Setting(None, checks.checked_events)
    follow_redirects: Setting[bool, bool] = Setting(
        True, lambda given: checks.checked_flag("follow_redirects", given)
    )
    headers: Setting[HeaderChanges | None, Headers] = Setting(
        None, ClientHeaders, lambda headers: headers.live
    )
    limits: Setting[Limits | None, Limits | None] = _FixedSetting(None, checks.checked_limits)
    max_body: Setting[int | None, int | None] = Setting(MAX_BODY, checks.checked_max_body)
    max_redirects: Setting[int, int] = Setting(20, checks.checked_max_redirects)
    params: Setting[FormFields | None, FormFields | None] = Setting(
        None, checks.checked_params, _shown_params
    )
    proxy: Setting[ProxySetting | object, ProxySetting | object] = Setting(
        NOT_GIVEN, Routes, lambda routes: routes.setting
    )
    retry: Setting[Retry | int | None, Retry | None] = Setting(None, checks.checked_retry)
    timeout: Setting[Timeout | float | None, Timeout] = Setting(
        _DEFAULT_TIMEOUT, checks.checked_timeout
    )

    # -- those that are read and assigned in another form --------------------------------------------------------------

    @property
    def cookies(self) -> Cookies:
        """The jar: cookies that responses set, and those that you put in. Made when it is first needed."""
        settings = self._settings
        return settings.cookies.jar_for(settings.base_url)

    @cookies.setter
    def cookies(self, given: CookiesLike | Literal[False] | None) -> None:
        self._change("cookies", _cookies(given, self._settings.base_url))

    @property
    def tls(self) -> TLSConfig | None:
        """The TLS settings; None: the defaults. `verify` and `cert` are two of them."""
        return self._settings.tls

    @tls.setter
    def tls(self, given: TLSConfig | None) -> None:
        self._change("tls", checks.checked_tls(given))

    @property
    def verify(self) -> bool | str | bytes | ssl.SSLContext:
        """Which servers are trusted. To assign it leaves the other TLS settings as they are."""
        tls = self._settings.tls
        return True if tls is None else tls.context or tls.verify

    @verify.setter
    def verify(self, given: Verify) -> None:
        self._change("tls", checks.changed_tls(self._settings.tls, {"verify": given}))

    @property
    def cert(self) -> Cert | None:
        """The client's own certificate. To assign it leaves the other TLS settings as they are."""
        tls = self._settings.tls
        return None if tls is None else tls.cert

    @cert.setter
    def cert(self, given: Cert | None) -> None:
        self._change("tls", checks.changed_tls(self._settings.tls, {"cert": given}))


_SETTINGS: dict[str, Setting[Any, Any]] = {
    name: setting
    for name, setting in vars(SettingAttributes).items()
    if isinstance(setting, Setting)
}
CLIENT_OPTIONS = frozenset((*_SETTINGS, "cookies", "tls", "verify", "cert"))
_CLIENTS = ("adieu.client.client", "adieu.client.async_client")
# As other clients call them.
_ELSEWHERE = {
    "allow_redirects": "follow_redirects",
    "hooks": "event_hooks",
    "max_retries": "retry",
    "mounts": "mount(pattern, adapter)",
    "proxies": "proxy",
    "retries": "retry",
    "transport": "adapter",
    "trust_env": "proxy",
}


def refuse_attribute(kind: type, name: str) -> None:
    """Raise `AttributeError`, naming the nearest setting, for an attribute that clients do not have.

    A subclass may have attributes of its own: there only what looks like a misspelt setting is refused. To have one of
    such a name, it gives it a value in its class body.
    """
    meant = _meant(name)
    own = kind.__module__ not in _CLIENTS
    if own and meant is None:
        return
    known = ", ".join(sorted(CLIENT_OPTIONS))
    text = f"{kind.__name__} has no setting {name!r}"
    text += f": did you mean {meant}?" if meant else f"; there are {known}"
    if own:
        text += f" (For an attribute of {kind.__name__} itself, give it a value in the class body.)"
    raise AttributeError(text)


@lru_cache(maxsize=256)
def _meant(name: str) -> str | None:
    """The setting that somebody may have meant by this name."""
    from difflib import get_close_matches

    return _ELSEWHERE.get(name) or next(
        iter(get_close_matches(name, CLIENT_OPTIONS, 1, 0.75)), None
    )
