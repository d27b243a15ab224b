"""Settings as values: `ClientSettings` are all settings of a client, `CallSettings` those of one call.

A client has one `CallSettings`, for calls without options, which refers to the `ClientSettings`. Changing a setting
replaces it with one store, so a call has the same settings from its beginning to its end. A new option of a call is an
entry in `SendOptions`, and here a field, its check and its line in `_MERGES`. `adieu.client.attributes` lists the
settings of a client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu._not_given import NOT_GIVEN, NotGiven
from adieu._portable import portable
from adieu._value import Value
from adieu.client import _checks as checks
from adieu.client.live import ClientCookies, ClientHeaders
from adieu.client.options import REQUEST_OPTIONS
from adieu.errors import InvalidRequest
from adieu.transport.routes import Routes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Self

    from adieu.client.options import CookiesLike, Hooks, SendOptions
    from adieu.flow.auth import Auth, ScopedAuth
    from adieu.flow.retries import Retry
    from adieu.lifecycle.cleanup import CleanupPolicy
    from adieu.lifecycle.deadline import Timeout
    from adieu.lifecycle.events import Events
    from adieu.lifecycle.pool import Limits
    from adieu.messages.url import URL
    from adieu.messages.url.form import FormFields
    from adieu.net.connect import Connect
    from adieu.net.tls.config import TLSConfig
    from adieu.transport.adapter import Adapter, AsyncAdapter

__all__ = ["CALL_OPTIONS", "PORTABLE_INSTEAD", "SEND_OPTIONS", "CallSettings", "ClientSettings"]


class ClientSettings(Value):
    """The settings of a client, checked. A pickled client is these settings and its mounts."""

    adapter: Adapter | AsyncAdapter | str
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


class CallSettings:
    """The settings of one call: the client's, with the call's options over them.

    `cleanup` and `tls` are those of the call; where they are None, the mount's apply, or those of the `client`. Made
    once, by `merged`, and never changed; calls without options share the one of their client.
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
        # The call's `auth=`; NOT_GIVEN: `client_auth` applies.
        self.auth: Auth | NotGiven | None = NOT_GIVEN
        self.client_auth = None if client.auth is None else client.scoped_auth()
        self.cleanup: CleanupPolicy | None = None
        # The call's own, besides those of the client.
        self.cookies: CookiesLike | None = None
        self.extras: Mapping[str, object] | None = None
        self.max_body = client.max_body
        # None: redirects are not followed.
        self.max_redirects = client.max_redirects if client.follow_redirects else None
        self.retry = client.retry
        self.routes = client.proxy
        self.timeout = client.timeout
        self.tls: TLSConfig | None = None
        # The certificate in `tls` was given to this call, so it is for the origin of the call's URL.
        self.cert_is_own = False
        # Neither the call nor the client has TLS settings.
        self.default_tls = client.tls is None

    def merged(self, options: SendOptions) -> CallSettings:
        """These settings, of a client, with the options of one call over them."""
        call = CallSettings(self.client)
        for name in options:
            merge = _MERGES.get(name)
            if merge is not None:
                merge(call, options)
        return call


# Each of these checks one option and puts it into the settings of a call.


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


_MERGES: dict[str, Callable[[CallSettings, SendOptions], None]] = {
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
