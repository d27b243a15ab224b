"""What a call and a client may be told: the options, and the check that each goes through before anything is sent.

Rules of the room: a check returns the setting, ready for use, or raises `InvalidRequest` with what was given and what
should be. What most people leave out costs them nothing: the rooms of auth, TLS and retries are not loaded for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from adieu.errors import InvalidRequest
from adieu.lifecycle.cleanup import CleanupPolicy

Hook = Callable[[Any], object]

if TYPE_CHECKING:
    import os
    import ssl

    from typing_extensions import TypedDict

    from adieu.flow.auth import AuthLike
    from adieu.flow.retries import Retry
    from adieu.lifecycle.deadline import Timeout
    from adieu.lifecycle.events import Events
    from adieu.messages.content.multipart import FilesLike
    from adieu.messages.cookies.jar import Cookie
    from adieu.messages.fields.trailers import TrailersLike
    from adieu.messages.request import HeadersLike
    from adieu.net.connect import Connect
    from adieu.net.tls.config import TLSConfig
    from adieu.transport.adapter import Adapter
    from adieu.transport.routes import ProxySetting

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


__all__ = [
    "CALL_OPTIONS",
    "Hook",
    "as_policy",
    "checked_bound",
    "checked_connect",
    "checked_hooks",
    "checked_retry",
    "checked_tls",
    "tls_setting",
]

CALL_OPTIONS = frozenset(
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


def as_policy(policy: Any) -> CleanupPolicy | None:
    """What `cleanup=` was given, checked."""
    if policy is None or isinstance(policy, CleanupPolicy):
        return policy
    hint = " (an instance of it: write it with parentheses)" if isinstance(policy, type) else ""
    raise InvalidRequest(f"cleanup takes a CleanupPolicy, not {policy!r}{hint}")


def checked_bound(max_body: Any) -> int | None:
    """What `max_body=` was given, checked."""
    if max_body is None or (type(max_body) is int and max_body >= 0):
        bound: int | None = max_body
        return bound
    raise InvalidRequest(
        f"max_body is a number of bytes, or None for no bound at all, not {max_body!r}"
    )


def checked_retry(retry: Any, own: Retry | None) -> Retry | None:
    """What `retry=` was given, checked, over the client's own setting."""
    from adieu.flow.retries import Retry

    if own is not None and type(retry) is int and retry > 0:
        # Another number changes neither the rest, nor whose budget it is.
        return own.replace(limit=retry)
    return Retry.of(retry)


def tls_setting(tls: Any, verify: Any, cert: Any) -> TLSConfig | None:
    """What a client was told about TLS, in whichever of its two ways."""
    if verify is True and cert is None:
        return checked_tls(tls)
    if tls is not None:
        raise InvalidRequest("tls= says all there is to say: give verify and cert to its TLSConfig")
    from adieu.net.tls.config import TLSConfig

    context: Any = verify if hasattr(verify, "wrap_socket") else None
    return TLSConfig(verify=True if context is not None else verify, cert=cert, context=context)


def checked_tls(tls: Any) -> TLSConfig | None:
    """What `tls=` was given, checked."""
    if tls is not None and not hasattr(tls, "context_for"):
        raise InvalidRequest(f"tls= is an adieu.TLSConfig, not {type(tls).__name__}")
    checked: TLSConfig | None = tls
    return checked


def checked_connect(connect: Any) -> Connect | None:
    """What `connect=` was given, checked."""
    if connect is not None and not hasattr(connect, "pinned"):
        raise InvalidRequest(f"connect= is an adieu.Connect, not {type(connect).__name__}")
    checked: Connect | None = connect
    return checked


def checked_hooks(hooks: Mapping[str, Iterable[Hook]] | None) -> tuple[list[Hook], list[Hook]]:
    """What `event_hooks=` was given, checked: those for requests, those for responses."""
    hooks = hooks or {}
    unknown = set(hooks) - {"request", "response"}
    if unknown:
        raise InvalidRequest(f"event_hooks knows 'request' and 'response', not {min(unknown)!r}")
    return list(hooks.get("request", ())), list(hooks.get("response", ()))
