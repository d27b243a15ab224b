"""The settings of a client: their values, their defaults, and their checks.

`ClientSettings` is all settings of a client as one value. `SettingAttributes` lists the settings as attributes of a
client. The same check runs when a client is made and when the attribute is assigned. A new option of a client is an
entry in `ClientOptions`, and here a field and a line in the list.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, overload

from adieu._not_given import NOT_GIVEN, NotGiven
from adieu._portable import portable
from adieu._value import Value
from adieu.client import _checks as checks
from adieu.client.base_url import as_base
from adieu.client.live import ClientCookies, ClientHeaders
from adieu.errors import InvalidRequest
from adieu.lifecycle.cleanup import Prefetch
from adieu.lifecycle.deadline import Timeout
from adieu.messages.response import MAX_BODY
from adieu.transport.routes import Routes

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Mapping
    from typing import Literal

    from typing_extensions import Self

    from adieu.client.options import CookiesLike, Hook, Hooks, HooksLike, Verify
    from adieu.flow.auth import Auth, AuthLike, ScopedAuth
    from adieu.flow.retries import Retry
    from adieu.lifecycle.cleanup import CleanupPolicy
    from adieu.lifecycle.events import Events, Listeners
    from adieu.lifecycle.limits import Limits
    from adieu.messages.cookies.jar import Cookies
    from adieu.messages.headers import HeaderChanges, Headers
    from adieu.messages.url import URL
    from adieu.messages.url.form import FormFields
    from adieu.net.connect import Connect
    from adieu.net.tls._checks import Cert
    from adieu.net.tls.config import TLSConfig
    from adieu.transport.adapter import AdapterLike
    from adieu.transport.routes import ProxySetting

__all__ = [
    "CLIENT_OPTIONS",
    "PORTABLE_INSTEAD",
    "ClientSettings",
    "Setting",
    "SettingAttributes",
    "adapt_by_default",
    "listen_by_default",
    "settings_of",
]

Given = TypeVar("Given")
Checked = TypeVar("Checked")
Read = TypeVar("Read")

_DEFAULT_POLICY = Prefetch()
_DEFAULT_TIMEOUT = Timeout()


PORTABLE_INSTEAD = "functions can be, if they stand at the top of a module"


class ClientSettings(Value):
    """The settings of a client, checked. A pickled client is these settings and its mounts."""

    adapter: AdapterLike | str
    auth: Auth | None
    base_url: URL | None
    cleanup: CleanupPolicy
    connect: Connect | None
    cookies: ClientCookies
    event_hooks: Hooks
    events: Listeners
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
    def of(cls, fields: dict[str, object]) -> Self:
        """Settings around this dict of all of them, each as its check returned it."""
        made = cls.__new__(cls)
        object.__setattr__(made, "__dict__", fields)
        return made

    def _fields(self) -> dict[str, object]:
        return vars(self).copy()

    def replace(self, **changes: object) -> Self:
        """The same settings with others, which were checked one by one."""
        other = self.of({**vars(self), **changes})
        other.check_together()
        return other

    def check_together(self) -> None:
        """Raise `InvalidRequest` for settings that contradict each other."""
        if self.auth is not None:
            if "authorization" in self.headers:
                raise InvalidRequest(
                    "auth= and an Authorization header were given: which of the two is to be sent?"
                )
            if self.base_url is not None and self.base_url.username is not None:
                raise InvalidRequest(
                    "auth= and a user name in base_url were given: which of the two is to be sent?"
                )
        if self.limits is not None and not isinstance(self.adapter, str):
            raise InvalidRequest(
                f"limits= is for an adapter chosen by name; {self.adapter!r} has limits of its own: give them to it"
            )

    def scoped_auth(self) -> ScopedAuth | Auth | None:
        """The client's credentials, bound to the origin of its base URL if it has one."""
        if self.auth is None or self.base_url is None:
            return self.auth
        from adieu.flow.auth import ScopedAuth

        return ScopedAuth(self.auth, self.base_url.origin)

    def __getstate__(self) -> dict[str, object]:
        state = self._fields()
        for name, value in state.items():
            what = value.jar if isinstance(value, ClientCookies) else value
            portable(f"{name}= of a client", what, PORTABLE_INSTEAD)
        return state


PORTABLE_INSTEAD = "functions can be, if they stand at the top of a module"


class Setting(Generic[Given, Read]):
    """A setting as an attribute of a client. An assigned value applies from the next call on.

    `default`: the value if none is given. `check`: returns a value in the form in which it is used, or raises
    `InvalidRequest`. `read`: returns the value of the attribute from that form.
    """

    def __init__(
        self,
        default: Given,
        check: Callable[[Given], Checked],
        read: Callable[[Checked], Read] | None = None,
    ) -> None:
        self.default = default
        self.check: Callable[[Given], object] = check
        self._read: Callable[..., Read] | None = read
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: SettingAttributes, owner: type) -> Read: ...
    def __get__(self, client: SettingAttributes | None, owner: type) -> object:
        if client is None:
            return self
        value = getattr(client._settings, self._name)
        return value if self._read is None else self._read(value)

    def __set__(self, client: SettingAttributes, given: Given) -> None:
        client._change(self._name, self.check(given))


class _FixedSetting(Setting[Given, Read]):
    """A setting that cannot be assigned."""

    def __set__(self, client: SettingAttributes, given: Given) -> NoReturn:
        raise AttributeError(
            f"{self._name} cannot change after the client was made: make another client, or mount another adapter, "
            "with limits of its own, by client.mount(pattern, adapter)"
        )


def _cookies(cookies: CookiesLike | Literal[False] | None, base: URL | None) -> ClientCookies:
    return ClientCookies(cookies if cookies is False else checks.checked_cookies(cookies), base)


def _shown_hooks(hooks: Hooks) -> Mapping[str, tuple[Hook, ...]]:
    return MappingProxyType({"request": hooks[0], "response": hooks[1]})


def _shown_params(params: FormFields | None) -> FormFields | None:
    return MappingProxyType(params) if isinstance(params, dict) else params


class SettingAttributes:
    """The attributes of a client that are settings."""

    @property
    def _settings(self) -> ClientSettings:
        """All settings of this client, as one value."""
        raise NotImplementedError

    def _change(self, name: str, checked: object) -> None:
        """Replace one setting by a value that was checked. It applies from the next call on."""
        raise NotImplementedError

    adapter: Setting[AdapterLike | str | None, AdapterLike | str | None] = _FixedSetting(
        None, lambda given: given
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
    events: Setting[Events | Iterable[Events] | None, Listeners] = Setting(
        None, checks.checked_events
    )
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
    proxy: Setting[ProxySetting | NotGiven, ProxySetting | NotGiven] = Setting(
        NOT_GIVEN, Routes, lambda routes: routes.setting
    )
    retry: Setting[Retry | int | None, Retry | None] = Setting(None, checks.checked_retry)
    timeout: Setting[Timeout | float | None, Timeout] = Setting(
        _DEFAULT_TIMEOUT, checks.checked_timeout
    )

    # -- those that are read and assigned in another form --------------------------------------------------------------

    @property
    def cookies(self) -> Cookies:
        """The jar: the cookies that responses set, and those that you put in. Made when it is first needed."""
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
        """Which servers are trusted: one of the settings in `tls`. Assigning it keeps the others."""
        tls = self._settings.tls
        return True if tls is None else tls.context or tls.verify

    @verify.setter
    def verify(self, given: Verify) -> None:
        self._change("tls", checks.changed_tls(self._settings.tls, {"verify": given}))

    @property
    def cert(self) -> Cert | None:
        """The client certificate: one of the settings in `tls`. Assigning it keeps the others."""
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
_DEFAULTS: dict[str, object] = {
    name: setting.check(setting.default) for name, setting in _SETTINGS.items()
}
_DEFAULTS["tls"] = None
CLIENT_OPTIONS = frozenset((*_SETTINGS, "cookies", "tls", "verify", "cert"))


_for_all: Listeners = ()


def listen_by_default(*listeners: Events) -> None:
    """Let clients that are made from now on have these listeners, beside their own: for a check of all clients."""
    global _for_all
    _for_all = _DEFAULTS["events"] = listeners


_for_none: AdapterLike | None = None


def adapt_by_default(adapter: AdapterLike | None) -> AdapterLike | None:
    """Let clients that are made from now on without an adapter have this one; None: their own default. For tests.

    Returns what was set before.
    """
    global _for_none
    before, _for_none = _for_none, adapter
    return before


def settings_of(options: Mapping[str, Any], default_adapter: str) -> ClientSettings:
    """The settings of a client with these options. Raises `InvalidRequest`, and `TypeError` for an unknown option."""
    fields = _DEFAULTS.copy()
    stands_in = _for_none
    fields["adapter"] = default_adapter if stands_in is None else stands_in
    # These can change, so each client has its own.
    fields["cookies"] = ClientCookies()
    fields["headers"] = ClientHeaders()
    fields["proxy"] = Routes()
    if not options:
        return ClientSettings.of(fields)
    checks.refuse_unknown(options, CLIENT_OPTIONS)
    for name, value in options.items():
        if name in _SETTINGS:
            fields[name] = _SETTINGS[name].check(value)
    if fields["adapter"] is None:
        fields["adapter"] = default_adapter if stands_in is None else stands_in
    if stands_in is not None and fields["adapter"] is stands_in:
        fields["limits"] = None  # Those of the adapter that it stands in for.
    if _for_all and "events" in options:
        fields["events"] = (*_for_all, *checks.checked_events(options["events"]))
    fields["tls"] = checks.tls_of(options)
    settings = ClientSettings.of(fields)
    if "cookies" in options:
        fields["cookies"] = _cookies(options["cookies"], settings.base_url)
    settings.check_together()
    return settings
