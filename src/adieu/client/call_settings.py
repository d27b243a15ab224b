"""The settings of one call: those of its client, with the options of the call over them.

A client has one `CallSettings`, for calls without options. Changing a setting of the client replaces it with one store,
so a call has the same settings from its beginning to its end. A new option of a call is an entry in `SendOptions`, and
here a field, its check and its line in `_MERGES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu._not_given import NOT_GIVEN, NotGiven
from adieu.client import _checks as checks
from adieu.client.options import REQUEST_OPTIONS
from adieu.transport.routes import Routes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from adieu.client.options import CookiesLike, SendOptions
    from adieu.client.settings import ClientSettings
    from adieu.flow.auth import Auth
    from adieu.lifecycle.cleanup import CleanupPolicy
    from adieu.net.tls.config import TLSConfig

__all__ = ["CALL_OPTIONS", "SEND_OPTIONS", "CallSettings"]


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
        # Those of the call, in addition to those of the client.
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
