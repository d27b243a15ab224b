"""From TLS settings to an `ssl.SSLContext`.

Invariant: a context is at least as strict as the one that Python's `create_default_context` makes. That function is not
used, because it obeys SSLKEYLOGFILE: setting a variable should not be enough to get the keys of every program.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from adieu.errors import InvalidRequest
from adieu.net.system_errors import reason

if TYPE_CHECKING:
    import ssl

    from adieu.net.tls._checks import Loaded

__all__ = ["build"]


def build(
    verify: bool | str | bytes,
    cert: Loaded | None,
    trust: str,
    minimum_version: str | None,
    ciphers: str | None,
    keylog: str | None,
    resumes: bool,
    authorities: tuple[tuple[str, str], ...] = (),
) -> ssl.SSLContext:
    """The context for these settings, each in the form that `TLSConfig` has checked.

    `resumes`: whether its connections resume sessions. `authorities`: files and directories to trust instead of
    certifi's, each with the variable that names it. Raises `InvalidRequest` for a file that cannot be used.
    """
    import ssl

    from adieu.net.tls.pypy_ssl import patched

    context: ssl.SSLContext
    if trust == "system":
        import truststore

        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    else:
        context = patched(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    if sys.version_info >= (3, 13):
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    # RFC 9110, section 4.3.4: the common name of a certificate is no identity.
    context.hostname_checks_common_name = False
    # RFC 8446, section 4.6.2: a server may ask for a certificate after it has seen the request. Without this, servers
    # refuse such requests (Apache answers 403), even where a certificate is optional.
    context.post_handshake_auth = True
    if not resumes:
        # In TLS 1.2 a ticket holds the connection's secret, under a key of the server's that may last (RFC 5077, 5.6).
        context.options |= ssl.OP_NO_TICKET
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif trust != "system":
        if authorities:
            for variable, path in authorities:
                _load_authorities(context, f"{variable}={path!r}", path)
        else:
            named = "<PEM>" if isinstance(verify, bytes) else repr(verify)
            _load_authorities(context, f"verify={named}", verify)
    lowest = ssl.TLSVersion.TLSv1_3 if minimum_version == "1.3" else ssl.TLSVersion.TLSv1_2
    # The system's configuration may ask for a later version.
    context.minimum_version = max(context.minimum_version, lowest)
    if ciphers is not None:
        context.set_ciphers(ciphers)
    context.set_alpn_protocols(["http/1.1"])
    if cert is not None:
        _load_cert(context, *cert)
    if keylog is not None:
        context.keylog_filename = keylog
    configured: ssl.SSLContext = context
    return configured


def _load_authorities(context: ssl.SSLContext, named: str, verify: bool | str | bytes) -> None:
    try:
        if isinstance(verify, bytes):
            context.load_verify_locations(cadata=verify.decode("ascii"))
        elif isinstance(verify, str):
            where = "capath" if os.path.isdir(verify) else "cafile"
            context.load_verify_locations(**{where: verify})
        else:
            import certifi

            context.load_verify_locations(cafile=certifi.where())
    except (OSError, ValueError) as error:  # An SSLError is an OSError.
        raise InvalidRequest(f"{named} holds no CA certificates in PEM: {error}") from error


def _load_cert(
    context: ssl.SSLContext, certificate: str, key: str | None, password: str | bytes | None
) -> None:
    import ssl

    named = repr(certificate) if key is None else f"({certificate!r}, {key!r})"

    def missing() -> str:
        # OpenSSL would ask on the terminal, where a server program would wait for ever.
        raise InvalidRequest(
            f"the key in cert={named} is encrypted: pass (certificate, key, password)"
        )

    try:
        context.load_cert_chain(certificate, key, missing if password is None else password)
    except (ssl.SSLError, OSError, ValueError) as error:
        if isinstance(error, InvalidRequest):
            raise
        why = (isinstance(error, ssl.SSLError) and error.reason) or reason(error)
        raise InvalidRequest(
            f"cert={named} cannot be used: {why}; it takes a certificate and its own key, in PEM, "
            "and the password if the key has one"
        ) from error
