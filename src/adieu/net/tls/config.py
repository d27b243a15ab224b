"""TLS settings as a value, and the context that is made from them.

Invariants: the defaults are safe, and turning a check off gives a warning. Certificates and host names are
checked, TLS is 1.2 or later, and everything that Python checks by default stays checked. A path that does not exist is
an error when it is set, not at the first request. `ssl` and `certifi` are imported when the first context is made; that
takes 15 ms, so clients with equal settings share one.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, TypeAlias

from adieu._value import Value
from adieu.errors import InvalidRequest
from adieu.lifecycle.lock import locked, new_lock
from adieu.net.tls import _checks as checks
from adieu.net.tls.context import build as _build

if TYPE_CHECKING:
    import ssl

    from adieu.net.tls._checks import Cert, Loaded, Path

    _Authorities: TypeAlias = tuple[tuple[str, str], ...]
    _ForContext: TypeAlias = tuple[
        bool | str | bytes,
        Loaded | None,
        str,
        str | None,
        str | None,
        str | None,
        bool,
        _Authorities,
    ]

__all__ = ["InsecureRequestWarning", "TLSConfig"]


class InsecureRequestWarning(UserWarning):
    """TLS certificates are not checked: anybody on the network path can read and change everything."""


class TLSConfig(Value):
    """How TLS is spoken: which authorities to trust, and which certificate to show.

    - `verify`: True for the CAs that `trust` names, or, with the default `trust`, those that the
      variables SSL_CERT_FILE and SSL_CERT_DIR name, if one of them is set; the path of a PEM file of
      CAs, or of a directory of them as `openssl rehash` makes it; PEM as bytes; or False for no check
      at all, with an `InsecureRequestWarning`.
    - `cert`: the client's own certificate: the path of a PEM file that also has the key, or
      `(certificate, key)`, or `(certificate, key, password)`. As `auth` does, it belongs to one
      origin: that of the client's `base_url`, or else of the URL that is called; or to a mount.
    - `context`: an `ssl.SSLContext`, which is used as it is and replaces the other settings. Only
      `server_hostname`, `fingerprints` and `resume_sessions` can be set beside it.
    - `trust`: "certifi", the CAs that Mozilla trusts, or "system", those of the operating system
      (needs the extra `system-trust`).
    - `minimum_version`: "1.2" (the default) or "1.3".
    - `ciphers`: for TLS 1.2, in OpenSSL's syntax. Those of TLS 1.3 are OpenSSL's choice.
    - `server_hostname`: the name that is sent (SNI) and that the certificate must have, instead of
      the URL's host: for servers that are asked by address. It holds for every host, so mount it.
    - `fingerprints`: the SHA-256 fingerprints of the certificates that the server may show, in
      hexadecimal. They are checked in addition to the CAs; with `verify=False` they alone are checked
      (for self-signed certificates), and there is no warning.
    - `keylog`: a file to which the keys of each connection are written, for Wireshark. True: the
      one that the variable SSLKEYLOGFILE names, if it is set. By default that variable is ignored.
    - `resume_sessions`: whether a new connection to an origin resumes the TLS session of an earlier one with
      equal settings (RFC 8446, section 2.2), which saves a third of the handshake or more. What was checked
      then, the name and the certificate, holds for an hour; fingerprints are checked each time. Not with
      `trust="system"`, where the operating system checks the certificates of each connection.

    Raises `InvalidRequest` for files that cannot be read and for settings that contradict each other;
    `MissingExtra`.

    ```python
    adieu.TLSConfig(verify="/etc/company/ca.pem", cert=("client.pem", "client.key"))
    adieu.TLSConfig(trust="system", minimum_version="1.3")
    ```
    """

    __slots__ = (
        "cert",
        "ciphers",
        "context",
        "fingerprints",
        "keylog",
        "minimum_version",
        "resume_sessions",
        "server_hostname",
        "trust",
        "verify",
    )

    verify: bool | str | bytes
    cert: Loaded | None
    context: ssl.SSLContext | None
    trust: str
    minimum_version: str | None
    ciphers: str | None
    server_hostname: str | None
    fingerprints: tuple[str, ...]
    keylog: str | None
    resume_sessions: bool

    def __init__(
        self,
        verify: bool | Path | bytes = True,
        cert: Cert | None = None,
        context: ssl.SSLContext | None = None,
        *,
        trust: Literal["certifi", "system"] = "certifi",
        minimum_version: Literal["1.2", "1.3"] | ssl.TLSVersion | None = None,
        ciphers: str | None = None,
        server_hostname: str | None = None,
        fingerprints: str | Iterable[str] = (),
        keylog: bool | Path | None = None,
        resume_sessions: bool = True,
    ) -> None:
        if context is not None:
            if not hasattr(context, "wrap_socket"):
                raise InvalidRequest(f"context= is {type(context).__name__}, not an SSLContext")
            if verify is not True or (cert, minimum_version, ciphers, keylog, trust) != (
                *(None,) * 4,
                "certifi",
            ):
                raise InvalidRequest(
                    "context= replaces all settings but server_hostname, fingerprints and "
                    "resume_sessions: set verify and cert on the context itself"
                )
            from adieu.net.tls.pypy_ssl import patched

            context = patched(context)
        self._set(
            verify=checks.checked_verify(verify),
            cert=checks.checked_cert(cert),
            context=context,
            trust=checks.checked_trust(trust, verify),
            minimum_version=checks.checked_version(minimum_version),
            ciphers=checks.checked_ciphers(ciphers),
            server_hostname=checks.checked_hostname(server_hostname),
            fingerprints=checks.checked_fingerprints(fingerprints),
            keylog=checks.checked_keylog(keylog),
            resume_sessions=checks.checked_flag("resume_sessions", resume_sessions),
        )
        if verify is False and not self.fingerprints:
            _warn(
                "verify=False: no certificate is checked, so anybody on the network path can read and "
                "change everything that is sent, credentials too; to trust a CA of your own, pass "
                "verify='/path/to/ca.pem'"
            )

    def __hash__(self) -> int:
        # Computed for each request, as a part of the pool's key, so of few fields. Equality compares them all.
        return hash((self.verify, self.cert, self.context, self.server_hostname))

    def context_for(self) -> ssl.SSLContext:
        """The context for these settings: the same one for equal settings, as long as no file changes.

        It is shared, so it must not be changed. Raises `InvalidRequest`, with the name of a file that
        cannot be used.
        """
        if self.context is not None:
            return self.context
        is_default = self.verify is True and self.trust == "certifi"
        authorities = checks.environment_authorities() if is_default else ()
        settings = (
            self.verify,
            self.cert,
            self.trust,
            self.minimum_version,
            self.ciphers,
            self.keylog,
            self.resume_sessions and self.trust != "system",
            authorities,
        )
        key = (settings, self._stamps(authorities))
        context = _contexts.get(key)
        if context is None:
            context = locked(_lock, _cached, key, settings)
        return context

    def name_for(self, host: str) -> str:
        """The name to send for a URL's host, which the certificate must have."""
        return self.server_hostname or host

    def for_proxy(self) -> TLSConfig:
        """The settings that hold for a proxy too: all those that are not about the server itself.

        No client certificate, no fingerprints and no host name; and no context, which may contain
        any of them. Where fingerprints replaced the CAs, the proxy needs a certificate from a CA.
        """
        verify = self.verify or bool(self.fingerprints)
        return self._with(
            verify=verify, cert=None, context=None, fingerprints=(), server_hostname=None
        )

    def without_client_cert(self) -> TLSConfig:
        """The same settings without the client's certificate, which identifies the user."""
        return self._with(cert=None)

    def _with(self, **changes: object) -> TLSConfig:
        other = object.__new__(TLSConfig)
        other._set(**{**self._fields(), **changes})  # Checked before, when the warning was given.
        return other

    def _stamps(self, authorities: _Authorities) -> tuple[tuple[int, int, int], ...]:
        """Values that change when a file is replaced: some client certificates are valid for hours only."""
        files = [*authorities]
        if isinstance(self.verify, str):
            files.append(("TLSConfig", self.verify))
        files += [("TLSConfig", path) for path in (self.cert or ())[:2] if isinstance(path, str)]
        stamps = []
        for named, path in files:
            try:
                stat = os.stat(path)
            except OSError as error:
                raise checks.unreadable(named, path, error) from error
            stamps.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return tuple(stamps)

    def __repr__(self) -> str:
        shown = {
            name: value for name, value in self._fields().items() if name not in ("verify", "cert")
        }
        parts = [f"verify={'<PEM>' if isinstance(self.verify, bytes) else repr(self.verify)}"]
        if self.cert is not None:
            certificate, key, password = self.cert
            hidden = "" if password is None else ", '***'"
            parts.append(f"cert=({certificate!r}, {key!r}{hidden})")
        parts += [
            f"{name}={value!r}"
            for name, value in shown.items()
            if value not in (None, (), "certifi", True)
        ]
        return f"TLSConfig({', '.join(parts)})"

    def __getstate__(self) -> dict[str, object]:
        if self.context is not None:
            raise TypeError(
                "a TLSConfig with an SSLContext of its own cannot be pickled; "
                "one with verify= and cert= can"
            )
        return super().__getstate__()


# The oldest first. Bounded, for programs that make new certificates all the time.
_contexts: dict[object, ssl.SSLContext] = {}
_MAX_CONTEXTS = 32
_lock = new_lock()


def _cached(key: object, settings: _ForContext) -> ssl.SSLContext:
    context = _contexts.get(key)
    if context is None:
        context = _build(*settings)
        while len(_contexts) >= _MAX_CONTEXTS:
            del _contexts[next(iter(_contexts))]
        _contexts[key] = context
    return context


def _warn(text: str) -> None:
    # Shown at the first line outside adieu that led here.
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "adieu":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, InsecureRequestWarning, stacklevel=level)
