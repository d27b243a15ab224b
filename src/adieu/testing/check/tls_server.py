"""A server whose certificate no authority has signed: for the scenarios of TLS settings.

The key is in this file, so it protects nothing: the certificate is for loopback names alone, and nothing trusts it but
a scenario that says so. It is written out because making one needs a package that adieu does not.
"""

from __future__ import annotations

import contextlib
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from adieu.testing.faults import FaultServer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["tls_server"]

# For localhost and 127.0.0.1, from 2020 to 2120, self-signed.
_CERTIFICATE = (
    "MIIBszCCAVmgAwIBAgIDCtHgMAoGCCqGSM49BAMCMB4xHDAaBgNVBAMME2FkaWV1IGNoZWNrLWFkYXB0ZXIwIBcN"
    "MjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMB4xHDAaBgNVBAMME2FkaWV1IGNoZWNrLWFkYXB0ZXIwWTAT"
    "BgcqhkjOPQIBBggqhkjOPQMBBwNCAASl8itBnQ0e+YnF7YmkjVDLSpS012umey6+5GThgYGCPDQSRpBGog6B2iTb"
    "gaZuv8pzZJadggxRQhCOrGkP4Lvxo4GDMIGAMBIGA1UdEwEB/wQIMAYBAf8CAQAwDgYDVR0PAQH/BAQDAgKEMBoG"
    "A1UdEQQTMBGCCWxvY2FsaG9zdIcEfwAAATAdBgNVHQ4EFgQU95Ij1SeO8T7T4NtXKf0h+lNfe5MwHwYDVR0jBBgw"
    "FoAU95Ij1SeO8T7T4NtXKf0h+lNfe5MwCgYIKoZIzj0EAwIDSAAwRQIgDpO083I3SXJYjFvwneEm/Rv9xw47VydN"
    "vCDGXlMn5VwCIQDpplxV0UOxqCQisyeDOtr/a5rwF0KAPvcnLUZqwg2mzg=="
)
_KEY = (
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQglWlS6yzaYq01W09syc2V347DIFQjgnJPM3DNaa83"
    "roGhRANCAASl8itBnQ0e+YnF7YmkjVDLSpS012umey6+5GThgYGCPDQSRpBGog6B2iTbgaZuv8pzZJadggxRQhCO"
    "rGkP4Lvx"
)


@contextlib.contextmanager
def tls_server() -> Iterator[tuple[FaultServer, Path]]:
    """The server, and the file with the certificate that a client has to trust."""
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "certificate.pem"), Path(folder, "key.pem")
        certificate.write_text(_pem("CERTIFICATE", _CERTIFICATE))
        key.write_text(_pem("PRIVATE KEY", _KEY))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        with FaultServer(tls=context) as server:
            yield server, certificate


def _pem(what: str, content: str) -> str:
    lines = [content[at : at + 64] for at in range(0, len(content), 64)]
    return "\n".join([f"-----BEGIN {what}-----", *lines, f"-----END {what}-----", ""])
