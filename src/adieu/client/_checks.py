"""The check of each option of calls and clients.

A check returns the value ready for use, or raises `InvalidRequest` with what was given and what should be. The modules
of auth, TLS and retries are imported only when an option needs them: most clients never do.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from adieu.client.resembling import resembling
from adieu.errors import InvalidRequest
from adieu.lifecycle.cleanup import CleanupPolicy
from adieu.lifecycle.deadline import Timeout
from adieu.lifecycle.events import Events, Listeners
from adieu.lifecycle.limits import Limits
from adieu.messages.url.form import encode_form

if TYPE_CHECKING:
    from adieu.client.options import CookiesLike, CookieValues, Hook, Hooks, HooksLike
    from adieu.flow.auth import Auth, AuthLike
    from adieu.flow.retries import Retry
    from adieu.messages.url.form import FormFields
    from adieu.net.connect import Connect
    from adieu.net.tls.config import TLSConfig

# Options of other libraries that are methods here.
_INSTEAD = {
    "mounts": "client.mount(pattern, adapter)",
    "stream": "client.stream(method, url)",
}


def refuse_unknown(
    options: Mapping[str, object],
    known: frozenset[str],
    own: tuple[str, ...] = (),
    settings: frozenset[str] = frozenset(),
) -> None:
    """Raise `TypeError` for an option that is not known, and name those that are, and the one that is meant.

    `own`: what is known besides, as an argument. `settings`: what is known to the client alone.
    """
    if not options.keys() <= known:
        unknown = min(options.keys() - known)
        text = f"unknown option {unknown!r}; known are {', '.join([*own, *sorted(known)])}"
        if meant := _INSTEAD.get(unknown) or resembling(unknown, known.union(own)):
            raise TypeError(f"{text}. Did you mean {meant}?")
        if meant := resembling(unknown, settings):
            text += f". {meant} is a setting of the client: give it to Client() or AsyncClient()"
        raise TypeError(text)


def checked_auth(auth: AuthLike | None) -> Auth | None:
    if auth is None:
        return None
    from adieu.flow.auth import as_auth

    return as_auth(auth)


def checked_cleanup(policy: CleanupPolicy | None) -> CleanupPolicy | None:
    if policy is None or isinstance(policy, CleanupPolicy):
        return policy
    raise InvalidRequest(f"cleanup takes a CleanupPolicy, not {policy!r}{_instance(policy)}")


def checked_connect(connect: Connect | None) -> Connect | None:
    if connect is None:
        return None
    from adieu.net.connect import Connect

    if not isinstance(connect, Connect):
        raise InvalidRequest(f"connect= is an adieu.Connect, not {_shown(connect)}")
    return connect


def checked_cookies(cookies: CookiesLike | None) -> CookieValues | None:
    """The cookies, in a form that can be read for any number of requests."""
    if cookies is None:
        return None
    # First: that of requests is a mapping, too.
    if "http.cookiejar" in sys.modules:
        from adieu.messages.cookies.cookiejar import from_cookiejar, is_cookiejar

        if is_cookiejar(cookies):
            return tuple(from_cookiejar(cookies))
    if isinstance(cookies, Mapping):
        return cookies
    from adieu.messages.cookies.jar import Cookie, Cookies

    if isinstance(cookies, Cookies):
        return cookies
    if isinstance(cookies, Iterable) and not isinstance(cookies, (str, bytes)):
        several = tuple(cookies)
        values = tuple(cookie for cookie in several if isinstance(cookie, Cookie))
        if len(values) == len(several):
            return values
    raise InvalidRequest(
        f"cookies= takes a mapping of names to values, Cookies, or several Cookie, not {type(cookies).__name__}"
    )


def checked_events(events: Events | Iterable[Events] | None) -> Listeners:
    if events is None:
        return ()
    if isinstance(events, Events):
        return (events,)
    if isinstance(events, Iterable):
        listeners = tuple(events)
        if all(isinstance(listener, Events) for listener in listeners):
            return listeners
    raise InvalidRequest(f"events= is an adieu.Events, or a list of them, not {_shown(events)}")


def checked_extras(extras: Mapping[str, object] | None) -> Mapping[str, object] | None:
    if extras is None or (
        isinstance(extras, Mapping) and all(isinstance(name, str) for name in extras)
    ):
        return extras
    raise InvalidRequest(f"extras= maps names to values, and is not {extras!r:.80}")


def checked_flag(name: str, value: bool) -> bool:
    if isinstance(value, bool):
        return value
    raise InvalidRequest(f"{name} is True or False, not {value!r:.80}")


def checked_hooks(hooks: HooksLike | None) -> Hooks:
    """The hooks for requests, and those for responses."""
    if hooks is None:
        return (), ()
    if not isinstance(hooks, Mapping):
        raise InvalidRequest(
            f"event_hooks= maps 'request' and 'response' to lists of functions, and is not {hooks!r:.80}"
        )
    unknown = set(hooks) - {"request", "response"}
    if unknown:
        raise InvalidRequest(
            f"event_hooks knows 'request' and 'response', not {min(map(repr, unknown))}"
        )
    return _functions("request", hooks), _functions("response", hooks)


def _functions(name: str, hooks: HooksLike) -> tuple[Hook, ...]:
    given = hooks.get(name, ())
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise InvalidRequest(f"event_hooks[{name!r}] is a list of functions, not {given!r:.80}")
    functions = tuple(given)
    for function in functions:
        if not callable(function):
            raise InvalidRequest(
                f"event_hooks[{name!r}] is a list of functions; {function!r:.80} cannot be called"
            )
    return functions


def checked_limits(limits: Limits | None) -> Limits | None:
    if limits is None or isinstance(limits, Limits):
        return limits
    raise InvalidRequest(f"limits= is an adieu.Limits, not {_shown(limits)}")


def checked_max_body(max_body: int | None) -> int | None:
    if max_body is None or (type(max_body) is int and max_body >= 0):
        return max_body
    raise InvalidRequest(
        f"max_body is a number of bytes, or None for no bound at all, not {max_body!r}"
    )


def checked_max_redirects(number: int) -> int:
    if type(number) is int and number >= 0:
        return number
    raise InvalidRequest(
        f"max_redirects is how many redirects are followed at most, 0 or more, not {number!r:.80}"
    )


def checked_params(params: FormFields | None) -> FormFields | None:
    """The parameters, copied: the caller may change his own later."""
    if params is None:
        return None
    copied: FormFields
    if isinstance(params, Mapping):
        copied = {name: _frozen(value) for name, value in params.items()}
    elif isinstance(params, Iterable) and not isinstance(params, (str, bytes)):
        copied = tuple(_frozen(pair) for pair in params)
    else:
        copied = params
    try:
        encode_form(copied)
    except InvalidRequest as error:
        raise InvalidRequest(f"params: {error}") from None
    return copied


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def checked_retry(retry: Retry | int | None, own: Retry | None = None) -> Retry | None:
    """The setting for retries; a number changes how often `own`, the client's setting, sends again."""
    if retry is None:
        return None
    from adieu.flow.retries import Retry

    if own is not None and type(retry) is int and retry > 0:
        # The rest of the client's setting holds, and its budget is shared.
        return own.replace(limit=retry)
    return Retry.of(retry)


def checked_timeout(timeout: Timeout | float | None) -> Timeout:
    return _seconds(timeout) if type(timeout) in (int, float) else Timeout.of(timeout)


@lru_cache(maxsize=64, typed=True)
def _seconds(seconds: float) -> Timeout:
    """Cached, because most programs use the same few numbers in all of their calls."""
    return Timeout.of(seconds)


# -- TLS ---------------------------------------------------------------------------------------------------------------


def tls_of(options: Mapping[str, Any]) -> TLSConfig | None:
    """The TLS settings of a client's options `tls`, or `verify` and `cert`. None: the defaults."""
    tls = checked_tls(options.get("tls"))
    return changed_tls(tls, options) if tls is None else tls_alone(tls, options)


def tls_alone(tls: TLSConfig, options: Mapping[str, object]) -> TLSConfig:
    """These settings. Raises `InvalidRequest` if `verify` or `cert` are given too."""
    if options.get("verify", True) is not True or options.get("cert") is not None:
        raise InvalidRequest("tls= has all TLS settings: give verify and cert to its TLSConfig")
    return tls


def changed_tls(tls: TLSConfig | None, options: Mapping[str, object]) -> TLSConfig | None:
    """The settings, with the `verify` and `cert` of the options if they are given."""
    changes: dict[str, Any] = {}
    if "verify" in options:
        verify = options["verify"]
        given = _is_context(verify)
        changes.update(verify=True if given else verify, context=verify if given else None)
    if "cert" in options:
        changes["cert"] = options["cert"]
    if tls is not None:
        return tls.replace(**changes) if changes else tls
    if all(changes.get(name, default) is default for name, default in _PLAIN.items()):
        return None
    from adieu.net.tls.config import TLSConfig

    return TLSConfig(**changes)


_PLAIN: dict[str, object] = {"verify": True, "context": None, "cert": None}


def default_tls() -> TLSConfig:
    """The settings of a client that was given none."""
    from adieu.net.tls.config import TLSConfig

    return TLSConfig()


def _is_context(verify: object) -> bool:
    """Whether it is an `ssl.SSLContext`. Before `ssl` is imported there are none."""
    ssl = sys.modules.get("ssl")
    return ssl is not None and isinstance(verify, ssl.SSLContext)


def checked_tls(tls: TLSConfig | None) -> TLSConfig | None:
    if tls is None:
        return None
    from adieu.net.tls.config import TLSConfig

    if not isinstance(tls, TLSConfig):
        raise InvalidRequest(f"tls= is an adieu.TLSConfig, not {_shown(tls)}")
    return tls


# -- words -------------------------------------------------------------------------------------------------------------


def _instance(value: object) -> str:
    return " (an instance of it: write it with parentheses)" if isinstance(value, type) else ""


def _shown(value: object) -> str:
    """A wrong value for an error text: the name of its type, because the value may be a secret."""
    if isinstance(value, type):
        return f"the class {value.__name__}{_instance(value)}"
    return type(value).__name__
