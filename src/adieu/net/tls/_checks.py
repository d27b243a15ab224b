"""Checks of TLS settings: each returns the setting in its one form, or raises with what is wrong with it.

Whatever can be checked without a peer is checked here, when it is set.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from enum import Enum
from typing import TypeAlias

from adieu.errors import InvalidRequest, InvalidURL, MissingExtra
from adieu.net.system_errors import reason

__all__ = [
    "Cert",
    "Loaded",
    "Path",
    "checked_cert",
    "checked_ciphers",
    "checked_fingerprints",
    "checked_flag",
    "checked_hostname",
    "checked_keylog",
    "checked_trust",
    "checked_verify",
    "checked_version",
    "environment_authorities",
    "unreadable",
]

Path: TypeAlias = str | os.PathLike[str]
Cert: TypeAlias = Path | tuple[Path, Path | None] | tuple[Path, Path | None, str | bytes | None]
Loaded: TypeAlias = tuple[str, str | None, str | bytes | None]

_VERSIONS = {"TLSv1_2": "1.2", "TLSv1_3": "1.3"}
_HEX = re.compile(r"[0-9a-fA-F]{2}(:?[0-9a-fA-F]{2})*")
_NOT_IN_HOST = re.compile(r"[/\\?#@]")
_DIGESTS = {16: "an MD5", 20: "a SHA-1"}


def checked_verify(verify: object) -> bool | str | bytes:
    if isinstance(verify, bytes) and b"-----BEGIN" not in verify:
        # From an empty text, Python would make a context that trusts the system's CAs.
        raise InvalidRequest("verify= was given bytes that hold no CA certificates in PEM")
    if isinstance(verify, (bool, bytes)):
        return verify
    path = _path("verify", verify, "True, False, a path, or PEM as bytes")
    if not os.path.isdir(path):
        return _checked_file("verify", path)
    try:
        names = os.listdir(path)
    except OSError as error:
        raise unreadable("verify", path, error) from error
    # OpenSSL finds CAs by the hash of their names, and does not complain if there are none.
    if not any(map(re.compile(r"[0-9a-f]{8}\.[0-9]+").fullmatch, names)):
        raise InvalidRequest(
            f"verify={path!r} is a directory in which OpenSSL finds no CAs: "
            "run `openssl rehash` on it, or pass one PEM file"
        )
    return path


def checked_cert(cert: object) -> Loaded | None:
    if cert is None:
        return None
    parts = cert if isinstance(cert, (tuple, list)) else (cert,)
    wanted = "a path, (certificate, key) or (certificate, key, password)"
    if not 1 <= len(parts) <= 3:
        raise InvalidRequest(f"cert= is {wanted}, not {len(parts)} parts")
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
        raise unreadable(name, path, error) from error
    return path


def unreadable(name: str, path: str, error: Exception) -> InvalidRequest:
    return InvalidRequest(f"{name}={path!r}: {reason(error)}")


def checked_trust(trust: object, verify: object) -> str:
    if trust not in ("certifi", "system"):
        raise InvalidRequest(f"trust= is 'certifi' or 'system', not {trust!r:.40}")
    if trust == "system":
        if verify is not True:
            raise InvalidRequest(
                "verify= and trust='system' both choose the trusted CAs: leave one of them out"
            )
        from importlib.util import find_spec

        if find_spec("truststore") is None:
            raise MissingExtra("trust='system' needs truststore: pip install 'adieu[system-trust]'")
    return str(trust)


def checked_version(version: object) -> str | None:
    """A version as text, from that text or a member of `ssl.TLSVersion`."""
    if version is None:
        return None
    found = _VERSIONS.get(version.name, version) if isinstance(version, Enum) else version
    if found not in _VERSIONS.values():
        raise InvalidRequest(
            f"minimum_version= is '1.2' or '1.3', not {version!r:.40}; a server with an older version "
            "needs a context= of your own"
        )
    return str(found)


def checked_ciphers(ciphers: object) -> str | None:
    """A list in OpenSSL's syntax. OpenSSL must know some of the ciphers; all must encrypt and authenticate."""
    if ciphers is None:
        return None
    if not isinstance(ciphers, str):
        raise InvalidRequest(f"ciphers= is a text in OpenSSL's syntax, not {ciphers!r:.40}")
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.set_ciphers(ciphers)
    except (ssl.SSLError, ValueError) as error:
        raise InvalidRequest(f"ciphers={ciphers!r:.80} selects no cipher known here") from error
    for cipher in context.get_ciphers():
        # Without a certificate there is nothing to check, and OpenSSL connects all the same.
        if "Au=None " in cipher["description"] or "Enc=None " in cipher["description"]:
            raise InvalidRequest(
                f"ciphers={ciphers!r:.80} has {cipher['name']}, which does not authenticate the server "
                "or does not encrypt: exclude those with ':!aNULL:!eNULL'"
            )
    return ciphers


def checked_hostname(hostname: object) -> str | None:
    """A name or an address, as in a URL."""
    if hostname is None:
        return None
    from adieu.messages.url.host import bracketed, dns_host

    try:
        if not isinstance(hostname, str):
            raise InvalidURL(f"it is {type(hostname).__name__}")
        if not hostname:
            raise InvalidURL("it is empty")
        if _NOT_IN_HOST.search(hostname) or (hostname[0] != "[" and hostname.count(":") == 1):
            raise InvalidURL("leave out what is not the host: scheme, user, port, path")
        return dns_host(bracketed(hostname)).rstrip(".")
    except InvalidURL as error:
        raise InvalidRequest(
            f"server_hostname= is a host name, not {hostname!r:.80}: {error}"
        ) from error


def checked_fingerprints(given: object) -> tuple[str, ...]:
    """SHA-256 fingerprints as 64 hexadecimal digits each."""
    items = (given,) if isinstance(given, str) else given
    if not isinstance(items, Iterable) or isinstance(items, (bytes, bytearray)):
        raise InvalidRequest(f"fingerprints= are texts of hexadecimal digits, not {given!r:.80}")
    return tuple(sorted({_fingerprint(item) for item in items}))


def _fingerprint(text: object) -> str:
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise InvalidRequest(
            f"a fingerprint is 64 hexadecimal digits, with or without colons, not {text!r:.100}: "
            "`openssl x509 -noout -fingerprint -sha256 -in cert.pem` prints it"
        )
    digits = text.replace(":", "").lower()
    if len(digits) != 64:
        kind = _DIGESTS.get(len(digits) // 2)
        what = f"{kind} fingerprint, which can be forged" if kind else f"{len(digits)} digits"
        raise InvalidRequest(
            f"a fingerprint is SHA-256, 64 hexadecimal digits; {text!r:.100} is {what}"
        )
    return digits


def environment_authorities() -> tuple[tuple[str, str], ...]:
    """The files and directories of CAs that the environment names, each with its variable; as OpenSSL reads them."""
    found = []
    if path := os.environ.get("SSL_CERT_FILE"):
        found.append(("SSL_CERT_FILE", path))
    if paths := os.environ.get("SSL_CERT_DIR"):
        found += [("SSL_CERT_DIR", path) for path in paths.split(os.pathsep) if path]
    return tuple(found)


def checked_flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest(f"{name}= is True or False, not {value!r:.40}")
    return value


def checked_keylog(keylog: object) -> str | None:
    """A file that can be written to; True is the one that SSLKEYLOGFILE names, if it is set."""
    if keylog is None or keylog is False:
        return None
    path = os.environ.get("SSLKEYLOGFILE") or None if keylog is True else keylog
    if path is None:
        return None
    path = _path("keylog", path, "True or a path")
    import ssl

    if not hasattr(ssl.SSLContext, "keylog_filename"):
        raise InvalidRequest("keylog= does not work here: this Python's ssl cannot log keys")
    try:
        # Its keys decrypt what was recorded, so only its owner may read it.
        open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600)).close()
    except (OSError, ValueError) as error:
        raise unreadable("keylog", path, error) from error
    return path
