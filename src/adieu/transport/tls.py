"""TLS settings as a value, and the context that they make.

Rules of the room: safe unless said otherwise, and then with a warning. Certificates and host names
are checked, TLS is 1.2 or later, and what Python checks by default stays checked. A path that does
not exist is an error where it is set, not at the first request. `ssl` and `certifi` are imported
when the first context is made; it takes 15 ms, so clients of equal settings share one.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any, TypeAlias

from adieu._value import Value
from adieu.errors import InvalidRequest
from adieu.transport._handshake import describe_tls_error, handshake

if TYPE_CHECKING:
    import ssl

__all__ = ["InsecureRequestWarning", "TLSConfig", "describe_tls_error", "handshake"]

Path: TypeAlias = "str | os.PathLike[str]"
Cert: TypeAlias = "Path | tuple[Path, Path | None] | tuple[Path, Path | None, str | bytes | None]"
_Loaded: TypeAlias = "tuple[str, str | None, str | bytes | None]"


class InsecureRequestWarning(UserWarning):
    """TLS certificates are not checked: whoever is on the way can read and change everything."""


class TLSConfig(Value):
    """How TLS is spoken: whom to trust, and what to show.

    - `verify`: True for the CAs that Mozilla trusts (`certifi`); the path of a PEM file of CAs, or
      of a directory of them as `openssl rehash` makes it; PEM as bytes; or False for no check at
      all, with an `InsecureRequestWarning`.
    - `cert`: the client's own certificate: the path of a PEM file that also has the key, or
      `(certificate, key)`, or `(certificate, key, password)`.
    - `context`: an `ssl.SSLContext` that says all of it. It is used as it is.

    Raises `InvalidRequest` for files that cannot be read, and for what makes no sense together.

    ```python
    adieu.TLSConfig(verify="/etc/company/ca.pem", cert=("client.pem", "client.key"))
    adieu.TLSConfig(context=ssl.create_default_context())  # the CAs of the system
    ```
    """

    __slots__ = ("cert", "context", "verify")

    verify: bool | str | bytes
    cert: _Loaded | None
    context: ssl.SSLContext | None

    def __init__(
        self,
        verify: bool | Path | bytes = True,
        cert: Cert | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        if context is not None:
            if not hasattr(context, "wrap_socket"):
                raise InvalidRequest(f"context= is {type(context).__name__}, not an SSLContext")
            if verify is not True or cert is not None:
                raise InvalidRequest(
                    "context= says all there is to say: set verify and cert on the context itself"
                )
        self._set(verify=_checked_verify(verify), cert=_checked_cert(cert), context=context)
        if verify is False:
            _warn(
                "verify=False: no certificate is checked, so whoever is on the way can read and "
                "change all that is sent, credentials too; to trust a CA of your own, pass "
                "verify='/path/to/ca.pem'"
            )

    def context_for(self) -> ssl.SSLContext:
        """The context for these settings: the same one for equal settings, as long as no file changes.

        It is shared, so it must not be changed. Raises `InvalidRequest` if a file, named in the
        text, does not hold what it should.
        """
        if self.context is not None:
            return self.context
        key = (self.verify, self.cert, self._stamps())
        context = _contexts.get(key)
        if context is None:
            with _lock:
                context = _contexts.get(key)
                if context is None:
                    context = _build(self.verify, self.cert)
                    while len(_contexts) >= _MOST:
                        del _contexts[next(iter(_contexts))]
                    _contexts[key] = context
        return context

    def _stamps(self) -> tuple[tuple[int, int, int], ...]:
        """What tells that a file was replaced: client certificates live for hours by now."""
        paths = [self.verify] if isinstance(self.verify, str) else []
        paths += [path for path in (self.cert or ())[:2] if isinstance(path, str)]
        stamps = []
        for path in paths:
            try:
                stat = os.stat(path)
            except OSError as error:
                raise _unreadable("TLSConfig", path, error) from error
            stamps.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return tuple(stamps)

    def __repr__(self) -> str:
        verify = "<PEM>" if isinstance(self.verify, bytes) else repr(self.verify)
        own = f", context={self.context!r}" if self.context is not None else ""
        if self.cert is None:
            return f"TLSConfig(verify={verify}{own})"
        certificate, key, password = self.cert
        hidden = "" if password is None else ", '***'"
        return f"TLSConfig(verify={verify}, cert=({certificate!r}, {key!r}{hidden}))"

    def __getstate__(self) -> dict[str, Any]:
        if self.context is not None:
            raise TypeError(
                "a TLSConfig with an SSLContext of its own cannot be pickled; "
                "one with verify= and cert= can"
            )
        return super().__getstate__()


# Oldest first. Bounded, for programs that make certificates as they go.
_contexts: dict[object, ssl.SSLContext] = {}
_MOST = 32
_lock = threading.Lock()


def _after_fork() -> None:
    # A thread of the parent may have held the lock, and there is no such thread here to give it back.
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _checked_verify(verify: object) -> bool | str | bytes:
    if isinstance(verify, bytes) and b"-----BEGIN" not in verify:
        # Of an empty text, Python would make a context that trusts the system's CAs.
        raise InvalidRequest("verify= was given bytes that hold no CA certificates in PEM")
    if isinstance(verify, (bool, bytes)):
        return verify
    path = _path("verify", verify, "True, False, a path, or PEM as bytes")
    if not os.path.isdir(path):
        return _checked_file("verify", path)
    try:
        names = os.listdir(path)
    except OSError as error:
        raise _unreadable("verify", path, error) from error
    # OpenSSL finds CAs by the hash of their names, and says nothing if there are none.
    if not any(map(re.compile(r"[0-9a-f]{8}\.[0-9]+").fullmatch, names)):
        raise InvalidRequest(
            f"verify={path!r} is a directory without CAs in it that OpenSSL could find: "
            "run `openssl rehash` on it, or pass one PEM file"
        )
    return path


def _checked_cert(cert: object) -> _Loaded | None:
    if cert is None:
        return None
    parts = cert if isinstance(cert, (tuple, list)) else (cert,)
    wanted = "a path, (certificate, key) or (certificate, key, password)"
    if not 1 <= len(parts) <= 3:
        raise InvalidRequest(f"cert= is {wanted}, not {len(parts)} things")
    certificate, key, password = (*parts, None, None)[:3]
    if password is not None and not isinstance(password, (str, bytes)):
        raise InvalidRequest(
            f"the password in cert= is text or bytes, not {type(password).__name__}"
        )
    return (
        _checked_file("cert", _path("cert", certificate, wanted)),
        None if key is None else _checked_file("cert", _path("cert", key, wanted)),
        password,
    )


def _path(name: str, value: object, wanted: str) -> str:
    path = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(path, str) or not path:
        raise InvalidRequest(f"{name}= is {wanted}, not {type(value).__name__} {value!r:.40}")
    if "-----BEGIN" in path:
        raise InvalidRequest(f"{name}= takes PEM as bytes (verify only) or the path of a PEM file")
    return os.path.abspath(path)  # The same file after os.chdir().


def _checked_file(name: str, path: str) -> str:
    try:
        open(path, "rb").close()
    except (OSError, ValueError) as error:
        raise _unreadable(name, path, error) from error
    return path


def _unreadable(name: str, path: str, error: Exception) -> InvalidRequest:
    return InvalidRequest(f"{name}={path!r}: {getattr(error, 'strerror', None) or error}")


def _build(verify: bool | str | bytes, cert: _Loaded | None) -> ssl.SSLContext:
    import ssl

    from adieu.transport._pypy_ssl import mended

    if verify is False:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context = _trusting(verify)
    # The system may ask for more than that, and is heard.
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    context.set_alpn_protocols(["http/1.1"])
    if cert is not None:
        _load_cert(context, *cert)
    return mended(context)


def _trusting(verify: bool | str | bytes) -> ssl.SSLContext:
    import ssl

    named = "<PEM>" if isinstance(verify, bytes) else repr(verify)
    try:
        if isinstance(verify, bytes):
            return ssl.create_default_context(cadata=verify.decode("ascii"))
        if isinstance(verify, str):
            if os.path.isdir(verify):
                return ssl.create_default_context(capath=verify)
            return ssl.create_default_context(cafile=verify)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise InvalidRequest(f"verify={named} holds no CA certificates in PEM: {error}") from error
    import certifi

    return ssl.create_default_context(cafile=certifi.where())


def _load_cert(
    context: ssl.SSLContext, certificate: str, key: str | None, password: str | bytes | None
) -> None:
    import ssl

    named = repr(certificate) if key is None else f"({certificate!r}, {key!r})"

    def missing() -> str:
        # OpenSSL would ask on the terminal, and a server would wait there for ever.
        raise InvalidRequest(
            f"the key in cert={named} is encrypted: pass (certificate, key, password)"
        )

    try:
        context.load_cert_chain(certificate, key, missing if password is None else password)
    except (ssl.SSLError, OSError, ValueError) as error:
        if isinstance(error, InvalidRequest):
            raise
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise InvalidRequest(
            f"cert={named} cannot be used: {why}; it takes a certificate and its own key, in PEM, "
            "and the password if the key has one"
        ) from error


def _warn(text: str) -> None:
    # At the line that asked for it, whichever of our rooms it came through.
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "adieu":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, InsecureRequestWarning, stacklevel=level)
