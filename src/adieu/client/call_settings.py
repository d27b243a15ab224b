"""The settings of one call: those of its client, with the options of the call over them.

A client has one `CallSettings`, for calls without options. Changing a setting of the client replaces it with one store,
so a call has the same settings from its beginning to its end. A new option of a call is an entry in `SendOptions`, and
here a field, its check and its line in `_MERGES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adieu._not_given import NOT_GIVEN, NotGiven
from adieu.client import _checks as checks
from adieu.client.options import REQUEST_OPTIONS
from adieu.transport.routes import Routes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from adieu.client.option_types import SendOptions
    from adieu.client.options import CookiesLike, CookieValues
    from adieu.client.settings import ClientSettings
    from adieu.flow.auth import Auth, AuthLike
    from adieu.flow.retries import Retry
    from adieu.lifecycle.cleanup import CleanupPolicy
    from adieu.lifecycle.deadline import Timeout
    from adieu.messages.url import Origin
    from adieu.net.connection_settings import ConnectionSettings
    from adieu.net.tls.config import TLSConfig
    from adieu.transport.mounts import Mount
    from adieu.transport.routes import ProxySetting

__all__ = ["CALL_OPTIONS", "SEND_OPTIONS", "CallSettings"]

_MOST_CONNECTIONS = 1024


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
        "connections",
        "cookies",
        "default_connection",
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
        # Those of the call, in addition to those of the client.
        self.cookies: CookieValues | None = None
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
        # The same of all settings of a connection but the proxy.
        self.default_connection = self.default_tls and client.connect is None
        # What the connections to an origin are made with, over a mount: found out at the first request.
        self.connections: dict[tuple[Mount, Origin], ConnectionSettings] = {}

    def remember_connection(
        self, mount: Mount, origin: Origin, connection: ConnectionSettings
    ) -> None:
        """For the next calls that have these settings, or others in what is not about connections."""
        if len(self.connections) >= _MOST_CONNECTIONS:
            self.connections.clear()
        self.connections[mount, origin] = connection

    def merged(self, options: SendOptions) -> CallSettings:
        """These settings, of a client, with the options of one call over them."""
        call = CallSettings(self.client)
        for name, value in options.items():
            merge = _MERGES.get(name)
            if merge is not None:
                merge(call, value)
        if "tls" in options or "verify" in options or "cert" in options:
            call._merge_tls(options)
        elif "proxy" not in options:
            call.connections = self.connections
        return call

    def _merge_tls(self, options: SendOptions) -> None:
        own = checks.checked_tls(options.get("tls"))
        cert = options.get("cert")
        changes: dict[str, object] = {} if cert is None else {"cert": cert}
        if "verify" in options:
            changes["verify"] = options["verify"]
        if own is not None:
            self.tls = checks.tls_alone(own, options)
        elif changes:
            # Never None, because then a mount's settings would apply.
            self.tls = checks.changed_tls(self.client.tls or checks.default_tls(), changes)
        self.cert_is_own = own is not None or cert is not None
        self.default_tls = self.tls is None and self.client.tls is None
        self.default_connection = self.default_tls and self.client.connect is None


# Each of these checks one option and puts it into the settings of a call.


def _merge_auth(call: CallSettings, given: AuthLike | None) -> None:
    call.auth = checks.checked_auth(given)


def _merge_cleanup(call: CallSettings, given: CleanupPolicy | None) -> None:
    call.cleanup = checks.checked_cleanup(given)


def _merge_cookies(call: CallSettings, given: CookiesLike | None) -> None:
    call.cookies = checks.checked_cookies(given)


def _merge_extras(call: CallSettings, given: Mapping[str, object] | None) -> None:
    call.extras = checks.checked_extras(given)


def _merge_follow_redirects(call: CallSettings, given: bool | None) -> None:
    if given is not None:
        following = checks.checked_flag("follow_redirects", given)
        call.max_redirects = call.client.max_redirects if following else None


def _merge_max_body(call: CallSettings, given: int | None) -> None:
    call.max_body = checks.checked_max_body(given)


def _merge_proxy(call: CallSettings, given: ProxySetting) -> None:
    call.routes = Routes(given)


def _merge_retry(call: CallSettings, given: Retry | int | None) -> None:
    call.retry = checks.checked_retry(given, call.client.retry)


def _merge_timeout(call: CallSettings, given: Timeout | float | None) -> None:
    call.timeout = checks.checked_timeout(given)


_MERGES: dict[str, Callable[[CallSettings, Any], None]] = {
    "auth": _merge_auth,
    "cleanup": _merge_cleanup,
    "cookies": _merge_cookies,
    "extras": _merge_extras,
    "follow_redirects": _merge_follow_redirects,
    "max_body": _merge_max_body,
    "proxy": _merge_proxy,
    "retry": _merge_retry,
    "timeout": _merge_timeout,
}
SEND_OPTIONS = frozenset((*_MERGES, "tls", "verify", "cert"))
CALL_OPTIONS = SEND_OPTIONS | REQUEST_OPTIONS
