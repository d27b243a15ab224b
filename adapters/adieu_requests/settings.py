"""Timeouts, TLS settings and proxies of requests as those of adieu, and the other way round."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from requests.exceptions import InvalidProxyURL
from requests.utils import prepend_scheme_if_needed, select_proxy
from urllib3.util import Timeout as Urllib3Timeout

import adieu

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["proxy_for", "requests_options", "timeout_of", "tls_options"]


def timeout_of(given: Any, pool: float | None) -> adieu.Timeout:
    """The limits for what requests takes as `timeout=`; None is no limit, but for the wait for a connection.

    Raises `ValueError`, with the texts of requests and urllib3.
    """
    if isinstance(given, adieu.Timeout):
        return given
    if not isinstance(given, Urllib3Timeout):
        pair = given if isinstance(given, tuple) else (given, given)
        try:
            connect, read = pair
        except ValueError:
            raise ValueError(
                f"Invalid timeout {given}. Pass a (connect, read) timeout tuple, or a single float to set both "
                "timeouts to the same value."
            ) from None
        given = Urllib3Timeout(connect=connect, read=read)
    connect, read, total = map(_seconds, (given.connect_timeout, given.read_timeout, given.total))
    return adieu.Timeout(connect=connect, read=read, write=read, pool=pool, total=total)


def _seconds(value: object) -> float | None:
    """A number; else None, and not the marker by which urllib3 asks for the default of the process."""
    return float(value) if isinstance(value, (int, float)) else None


def tls_options(verify: bool | str | None, cert: Any) -> dict[str, Any]:
    """`verify` and `cert` for a call of adieu's. Raises `OSError` for a path that does not exist, as requests does."""
    options: dict[str, Any] = {}
    if isinstance(verify, str) and not os.path.exists(verify):
        raise OSError(
            f"Could not find a suitable TLS CA certificate bundle, invalid path: {verify}"
        )
    if verify is not True:
        options["verify"] = verify or False
    if cert:
        parts = (cert,) if isinstance(cert, str) else cert
        for what, path in zip(("certificate", "key"), parts, strict=False):
            if not os.path.exists(path):
                raise OSError(f"Could not find the TLS {what} file, invalid path: {path}")
        options["cert"] = cert
    return options


def proxy_for(url: str, proxies: Mapping[str, str] | None) -> adieu.Proxy | None:
    """The proxy for this URL among those that requests has chosen; the environment is among them already."""
    chosen = select_proxy(url, dict(proxies) if proxies else None)
    if not chosen:
        return None
    try:
        return adieu.Proxy(prepend_scheme_if_needed(chosen, "http"))
    except adieu.InvalidRequest as error:
        raise InvalidProxyURL(f"Please check proxy URL. It is malformed: {error}") from error


def requests_options(exchange: adieu.Exchange) -> dict[str, Any]:
    """What requests' adapters are told beside the request: timeouts, TLS settings, the proxy."""
    deadline, connection = exchange.deadline, exchange.connection
    options: dict[str, Any] = {
        "timeout": (deadline.remaining("connect"), deadline.remaining("read")),
        "verify": True,
        "cert": None,
        "proxies": {},
    }
    if connection.tls is not None:
        options.update(_tls_of(connection.tls))
    if connection.route is not None:
        options["proxies"] = {"all": _proxy_url(connection.route)}
    return options


def _tls_of(tls: adieu.TLSConfig) -> dict[str, Any]:
    """`verify` and `cert` for requests. Raises `InvalidRequest` for settings that it does not know."""
    certificate, key, password = tls.cert or (None, None, None)
    unknown = {
        "context": tls.context,
        "trust": tls.trust != "certifi",
        "minimum_version": tls.minimum_version,
        "ciphers": tls.ciphers,
        "server_hostname": tls.server_hostname,
        "fingerprints": tls.fingerprints,
        "keylog": tls.keylog,
        "verify= with PEM": isinstance(tls.verify, bytes),
        "a password of cert": password,
    }
    if refused := [name for name, value in unknown.items() if value]:
        raise adieu.InvalidRequest(
            f"adapters of requests know verify and cert alone, not {', '.join(refused)}"
        )
    return {"verify": tls.verify, "cert": (certificate, key) if key else certificate}


def _proxy_url(proxy: adieu.Proxy) -> str:
    """The URL with its credentials. Raises `InvalidRequest` for settings that requests does not know."""
    if proxy.digest or proxy.headers or proxy.tls is not None:
        raise adieu.InvalidRequest(
            "adapters of requests know a proxy's URL, user name and password, not digest, headers or tls"
        )
    url = str(proxy.url)
    if proxy.auth is None:
        return url
    name, password = (quote(part, safe="") for part in proxy.auth)
    return url.replace("://", f"://{name}:{password}@", 1)
