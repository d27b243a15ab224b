"""TLS handshakes, and sentences for those that fail: which check failed for which host, and how to repair it safely.

Invariants: nothing here makes a connection less safe, and no text advises it. The names in a certificate that was
refused are read for the text alone; nothing is decided by them.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from adieu.net.polling import READ, WRITE, milliseconds, poller
from adieu.net.tls.host_names import mismatch, names_of

if TYPE_CHECKING:
    import ssl

    from adieu.net.tls.config import TLSConfig

__all__ = ["describe_tls_error", "handshake"]

_OWN_CA = "If it is a CA of your own, or a proxy's that you trust, pass verify='/path/to/ca.pem'"

_RENEWED = (
    "Ask the server's owner, by another way than this one: if it was renewed, put the new SHA-256 "
    "fingerprint into fingerprints=, and if not, somebody is in between"
)

# By X509_V_ERR_*, the numbers of OpenSSL's checks: the fault and its remedy. For names, see `mismatch`.
_CHECKS = {
    9: ("its certificate is not valid yet", "Check this machine's clock first"),
    10: (
        "its certificate has expired",
        "Check this machine's clock first; if that is right, the server's owner has to renew it",
    ),
    18: (
        "its certificate is self-signed, so no authority vouches for it",
        "If the server is yours, fetch that certificate safely, and pass verify='/path/to/it.pem'",
    ),
    19: ("its certificate chain ends in a root that is not trusted here", _OWN_CA),
    20: (
        "its certificate is from a CA not trusted here, or an intermediate certificate is missing",
        f"{_OWN_CA}; else the server's owner has to configure the full chain",
    ),
    23: ("its certificate has been revoked", "Do not use this server until it has a new one"),
}
_CHECKS[2] = _CHECKS[21] = _CHECKS[20]
_MISMATCHES = (62, 64)  # The name, the address.

# By parts of OpenSSL's names for reasons, which differ between its releases; the first match counts.
_REASONS = (
    (
        ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO"),
        "the server on that port does not speak TLS, but plain HTTP, probably",
        "Check the port; if it is plain HTTP, and nothing private is sent, the URL is http://",
    ),
    (
        ("CERTIFICATE_REQUIRED", "PEER_DID_NOT_RETURN_A_CERTIFICATE"),
        "the server wants a client certificate",
        "Pass cert=('/path/to/cert.pem', '/path/to/key.pem'); to a mount, for a redirect's target or beside base_url",
    ),
    (
        ("ALERT_UNKNOWN_CA", "ALERT_BAD_CERT", "ALERT_CERTIFICATE", "ALERT_UNSUPPORTED_CERT"),
        "the server refused the client certificate, or wants one",
        "Check that cert= is valid, and issued by a CA that the server trusts",
    ),
    (
        ("PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW", "NO_PROTOCOLS_AVAILABLE"),
        "the server and this client have no TLS version in common; here it is 1.2 and later, or 1.3",
        "The server has to be updated; for one that cannot be, pass a TLSConfig(context=...)",
    ),
    (
        ("UNRECOGNIZED_NAME",),
        "the server does not know this host name",
        "Check the host in the URL, and where its DNS name points to",
    ),
    (
        ("NO_APPLICATION_PROTOCOL",),
        "the server does not speak HTTP/1.1 over TLS, perhaps HTTP/2 alone",
        "Check the port; adieu speaks HTTP/1.1",
    ),
    (
        ("HANDSHAKE_FAILURE", "NO_SHARED_CIPHER", "INSUFFICIENT_SECURITY"),
        "the server found nothing in common to agree on: a cipher, or a client certificate",
        "If it wants a client certificate, pass cert=; an old server has to be updated",
    ),
    (
        ("KEY_TOO_SMALL", "MD_TOO_WEAK", "LEGACY_RENEGOTIATION"),
        "the server offers only keys or algorithms that are too weak by now",
        "The server has to be updated; for one that cannot be, pass a TLSConfig(context=...)",
    ),
    (
        ("EOF",),
        "the server closed the connection in the handshake",
        "Check host and port, and whether it wants a client certificate (cert=) or a proxy",
    ),
)


def describe_tls_error(error: Exception, host: str) -> str:
    """A sentence about a failed handshake with `host`: what failed, and what to do about it.

    `error` is what `ssl` raised, or an exception that has that as an argument, reason or cause. If `handshake` raised
    it, the text also has the names that the certificate is for.
    """
    import ssl

    found = _cause(error, ssl.SSLError)
    if found is None:
        found = _cause(error, OSError) or error
    facts = vars(found)
    if (pins := facts.get("pins")) is not None:
        said = f"it has {pins[0]}, expected is {' or '.join(pins[1])}"
        fault, remedy = "its certificate is none of those that are pinned", _RENEWED
    elif code := facts.get("verify_code"):  # OpenSSL's, or truststore's.
        said = facts.get("verify_message") or str(found)
        if code in _MISMATCHES:
            checked = facts.get("checked_name") or host
            names = facts.get("certificate_names")
            fault, remedy = mismatch(checked, names, is_set=facts.get("name_is_set", False))
        else:
            fault, remedy = _CHECKS.get(code, ("its certificate did not pass a check", ""))
    else:
        reason = found.reason if isinstance(found, ssl.SSLError) else None
        said = reason or str(found) or type(found).__name__
        fault, remedy = _by_reason(found, said)
    return f"TLS with {host} failed: {fault} ({said.rstrip('.')}).{f' {remedy}.' if remedy else ''}"


def _by_reason(error: BaseException, said: str) -> tuple[str, str]:
    if isinstance(error, (ConnectionError, EOFError)):
        said = "EOF"
    # A reason that is newer than Python's table has a text instead of a name.
    name = said.upper().replace(" ", "_")
    for needles, fault, remedy in _REASONS:
        if any(needle in name for needle in needles):
            return fault, remedy
    return "the handshake did not succeed", ""


def _cause(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """The first error of a kind among those that an error wraps, in the ways of various libraries."""
    todo: list[object] = [error]
    seen: list[BaseException] = []
    while todo:
        item = todo.pop(0)
        if not isinstance(item, BaseException) or any(item is one for one in seen):
            continue
        if isinstance(item, kind):
            return item
        seen.append(item)
        todo += [*item.args, getattr(item, "reason", None), item.__cause__, item.__context__]
    return None


def handshake(sock: ssl.SSLSocket | ssl.SSLObject, config: TLSConfig | None = None) -> None:
    """Do the handshake of an `SSLSocket` or `SSLObject`, and check the pins of `config`, which OpenSSL does not.

    The names of a refused certificate, and the name that was checked, are kept in the error, for `describe_tls_error`:
    after the handshake the socket is gone, and the certificate with it. Raises what `do_handshake` raises.
    """
    import ssl

    try:
        system = config is not None and config.trust == "system"
        if system and isinstance(sock, ssl.SSLSocket) and sock.gettimeout() != 0:
            _without_blocking(sock)
        else:
            sock.do_handshake()
    except ssl.SSLCertVerificationError as error:
        vars(error).update(
            certificate_names=names_of(sock),
            checked_name=sock.server_hostname,
            name_is_set=config is not None and config.server_hostname is not None,
        )
        raise
    if config is not None and config.fingerprints:
        _check_pins(sock, config.fingerprints)


def _without_blocking(sock: ssl.SSLSocket) -> None:
    """Never wait inside `do_handshake`: truststore holds a lock of its context there.

    One silent server would make the handshakes with all the others wait.
    """
    import ssl

    timeout = sock.gettimeout()
    ends_at = None if timeout is None else monotonic() + timeout
    sock.settimeout(0.0)
    while True:
        try:
            sock.do_handshake()
            break
        except ssl.SSLWantReadError:
            events = READ
        except ssl.SSLWantWriteError:
            events = WRITE
        if sock.fileno() < 0:
            raise ConnectionAbortedError("the connection was closed")
        left = None if ends_at is None else max(ends_at - monotonic(), 0.0)
        if not poller(sock, events)(milliseconds(left)):
            raise TimeoutError("the handshake took too long")
    sock.settimeout(timeout)


def _check_pins(sock: ssl.SSLSocket | ssl.SSLObject, pins: tuple[str, ...]) -> None:
    import ssl
    from hashlib import sha256

    shown = sha256(sock.getpeercert(True) or b"").hexdigest()
    if shown not in pins:
        error = ssl.SSLCertVerificationError(1, "certificate is not pinned")
        vars(error)["pins"] = (_spelled(shown), tuple(map(_spelled, pins)))
        raise error


def _spelled(fingerprint: str) -> str:
    """A fingerprint as OpenSSL and browsers show it."""
    return ":".join(fingerprint[at : at + 2] for at in range(0, len(fingerprint), 2)).upper()
