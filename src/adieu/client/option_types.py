"""The options of requests, calls and clients, as types to annotate one's own functions with.

Nothing imports this module while a program runs, unless the program asks for one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from adieu.client.options import CookiesLike, HooksLike, Verify
    from adieu.flow.auth import AuthLike
    from adieu.flow.retries import Retry
    from adieu.lifecycle.cleanup import CleanupPolicy
    from adieu.lifecycle.deadline import Timeout
    from adieu.lifecycle.events import Events
    from adieu.lifecycle.limits import Limits
    from adieu.messages.content.convert import ContentLike
    from adieu.messages.content.encode import DataLike
    from adieu.messages.content.multipart import FilesLike
    from adieu.messages.fields.trailers import TrailersLike
    from adieu.messages.headers import HeaderChanges
    from adieu.messages.url.form import FormFields
    from adieu.net.connect import Connect
    from adieu.net.tls._checks import Cert
    from adieu.net.tls.config import TLSConfig
    from adieu.transport.adapter import AdapterLike
    from adieu.transport.routes import ProxySetting

__all__ = [
    "CallOptions",
    "ClientOptions",
    "OneShotOptions",
    "RequestOptions",
    "SendOptions",
    "WebSocketOptions",
]


class RequestOptions(TypedDict, total=False):
    """The options of a request, in addition to its method and URL."""

    params: FormFields | None
    headers: HeaderChanges | None
    content: ContentLike | None
    data: DataLike | None
    json: object
    files: FilesLike | None
    trailers: TrailersLike | None


class SendOptions(TypedDict, total=False):
    """How a request is sent. The nearest setting wins: the call's, the mount's, the client's."""

    timeout: Timeout | float | None
    cleanup: CleanupPolicy | None
    follow_redirects: bool | None
    extras: Mapping[str, object] | None
    auth: AuthLike | None
    cookies: CookiesLike | None
    max_body: int | None
    retry: Retry | int | None
    proxy: ProxySetting
    verify: Verify
    cert: Cert | None
    tls: TLSConfig | None


class CallOptions(RequestOptions, SendOptions, total=False):
    """The options of every call."""


class WebSocketOptions(TypedDict, total=False):
    """The options of the request that opens a WebSocket."""

    params: FormFields | None
    headers: HeaderChanges | None
    timeout: Timeout | float | None
    cleanup: CleanupPolicy | None
    extras: Mapping[str, object] | None
    auth: AuthLike | None
    cookies: CookiesLike | None
    retry: Retry | int | None
    proxy: ProxySetting
    verify: Verify
    cert: Cert | None
    tls: TLSConfig | None


class _ClientOptions(TypedDict, total=False):
    connect: Connect | None
    max_redirects: int
    events: Events | Iterable[Events] | None
    event_hooks: HooksLike | None


class OneShotOptions(CallOptions, _ClientOptions, total=False):
    """The options of a one-shot function: those of a call, and most of a client's."""

    adapter: AdapterLike | str | None


class ClientOptions(_ClientOptions, total=False):
    """The options of a client, in addition to its base URL."""

    adapter: AdapterLike | str | None
    cleanup: CleanupPolicy | None
    timeout: Timeout | float | None
    headers: HeaderChanges | None
    params: FormFields | None
    limits: Limits | None
    verify: Verify
    cert: Cert | None
    tls: TLSConfig | None
    follow_redirects: bool
    auth: AuthLike | None
    cookies: CookiesLike | Literal[False] | None
    max_body: int | None
    proxy: ProxySetting
    retry: Retry | int | None
