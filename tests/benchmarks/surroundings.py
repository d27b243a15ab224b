"""The environment: one core, and a server in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import server

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Origins", "Site", "pin", "serving", "without_surroundings"]


class Site(NamedTuple):
    """An origin as text, the file of the authority that signed its certificate, and a file of 64 MiB to upload."""

    url: str
    ca: str
    file: str

    @property
    def is_secure(self) -> bool:
        return self.url.startswith("https:")


class Origins(NamedTuple):
    """The origins of the server: connections are kept, or end with each answer. Those with TLS need trustme."""

    kept: Site
    last: Site
    tls: Site | None = None
    tls_last: Site | None = None


def pin() -> None:
    """Keep this process and its children on one core, where Python can say that; on PyPy use `taskset`."""
    if sys.platform == "linux" and sys.implementation.name == "cpython":
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def without_surroundings() -> None:
    """Remove the variables for proxies and authorities, which some peers read."""
    for name in list(os.environ):
        if name.lower().endswith(("_proxy", "_ca_bundle", "ssl_cert_file", "ssl_cert_dir")):
            del os.environ[name]


@contextmanager
def serving() -> Iterator[Origins]:
    """The server, as a child process, and its certificate."""
    with tempfile.TemporaryDirectory(prefix="adieu-bench-") as folder:
        ca, own, large = (Path(folder, name) for name in ("ca.pem", "own.pem", "large"))
        with large.open("wb") as file:
            file.truncate(server.SIZE)
        if secure := find_spec("trustme") is not None:
            import trustme

            authority = trustme.CA()
            authority.cert_pem.write_to_path(str(ca))
            certificate = authority.issue_cert("127.0.0.1")
            certificate.private_key_and_cert_chain_pem.write_to_path(str(own))
        command = [sys.executable, server.__file__, str(own) if secure else ""]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            try:
                assert child.stdout is not None
                ports = child.stdout.readline().split()
                schemes = ("http", "http", "https", "https")
                yield Origins(
                    *(
                        Site(f"{scheme}://127.0.0.1:{port.decode()}", str(ca), str(large))
                        for scheme, port in zip(schemes, ports, strict=False)
                    )
                )
            finally:
                child.kill()
