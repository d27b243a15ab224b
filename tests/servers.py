"""Real servers for the tests: nginx and cheroot, and `FaultServer` over TLS.

Every server here listens on free loopback ports and adds them to `KNOWN_PORTS`. The fixture `census`
fails a test that leaves a client socket to one of these ports open.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adieu.net.tls.pypy_ssl import patched
from adieu.testing.faults import FaultServer
from adieu.testing.faults_net import BlackHole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import trustme

    from adieu.testing.socket_table import SocketRow

KNOWN_PORTS: set[int] = set()

OUTSIDE_PORTS: set[int] = set()
"""The ports of servers in other processes: no socket of this process tells whether they have ended."""


def forget_ended(rows: Iterable[SocketRow]) -> None:
    """Forget the ports on which no server listens any more; `rows` are the sockets of this process.

    A run starts thousands of servers. The system gives some of their ports to other programs, such as
    the workers of a cluster, and a socket connected to one of those is no leak.
    """
    here = {row.local[1] for row in rows if row.state == "LISTEN" and isinstance(row.local, tuple)}
    KNOWN_PORTS.intersection_update(here | OUTSIDE_PORTS)


NGINX_MISSING = (
    "nginx is neither on PATH nor in /usr/sbin; these tests need a real one: "
    "install Debian's package nginx-light, as .ci/run does by .ci/install"
)


class FullHole(BlackHole):
    """A listener to which no client can connect: sockets of its own fill its backlog.

    Another server may have had its port before.
    """

    def __init__(self) -> None:
        super().__init__(full=True)
        KNOWN_PORTS.discard(self.port)


ONE_MEGABYTE = bytes(range(256)) * 4096
SMALL = b"hello from nginx\n"
TEXT = b"adieu, adieu, remember me\n" * 4000


class Authority:
    """The certificate authority of the test run, and SSL contexts with its certificates.

    trustme makes it. On PyPy, which has no trustme, the folder ADIEU_TEST_CERTS contains one: the
    authority in ``client.pem``, and a certificate for loopback in ``server.pem`` and ``server.key``.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="adieu-ca-")
        given = os.environ.get("ADIEU_TEST_CERTS")
        self._authority: trustme.CA | None = None
        if given:
            self.path = Path(given, "client.pem")
            self.chain, self.key = Path(given, "server.pem"), Path(given, "server.key")
        else:
            import trustme

            self._authority = trustme.CA()
            folder = Path(self._folder.name)
            self.path, self.chain, self.key = (folder / name for name in ("ca", "chain", "key"))
            self._authority.cert_pem.write_to_path(str(self.path))
            loopback = self._authority.issue_cert("localhost", "127.0.0.1", "::1")
            loopback.private_key_pem.write_to_path(str(self.key))
            for nth, certificate in enumerate(loopback.cert_chain_pems):
                certificate.write_to_path(str(self.chain), append=nth > 0)
        self.pem = self.path.read_bytes()

    def close(self) -> None:
        self._folder.cleanup()

    def server_context(self, *names: str) -> ssl.SSLContext:
        """A server's context with a certificate for these names, or for all of loopback."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if names:
            assert self._authority is not None, "only trustme makes other certificates"
            self._authority.issue_cert(*names).configure_cert(context)
        else:
            context.load_cert_chain(self.chain, self.key)
        return patched(context)

    def client_context(self) -> ssl.SSLContext:
        """A client's context that trusts this authority only."""
        return ssl.create_default_context(cadata=self.pem.decode("ascii"))


class TLSServer:
    """A `FaultServer` over TLS, and the context and file with which a client trusts it."""

    def __init__(self, authority: Authority, *names: str) -> None:
        self.server = FaultServer(tls=authority.server_context(*names))
        self.url = self.server.url
        self.port = self.server.port
        self.ca_pem = authority.pem
        self.ca_path = authority.path
        self.client_context = authority.client_context()
        KNOWN_PORTS.add(self.port)


_NGINX_CONF = """
daemon off;
master_process off;
pid {prefix}/nginx.pid;
error_log {prefix}/error.log warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {prefix}/body;
    proxy_temp_path {prefix}/proxy;
    fastcgi_temp_path {prefix}/fastcgi;
    uwsgi_temp_path {prefix}/uwsgi;
    scgi_temp_path {prefix}/scgi;
    types {{ text/plain txt; application/octet-stream bin; }}
    gzip on;
    gzip_types text/plain;
    keepalive_timeout 60s;
    server {{
        listen 127.0.0.1:{http};
        listen 127.0.0.1:{https} ssl;
        ssl_certificate {chain};
        ssl_certificate_key {key};
        root {prefix}/files;
        location = /redirect {{ return 302 /small.txt; }}
        location = /close {{ keepalive_timeout 0; return 200 "the last one"; }}
        location = /counts {{ stub_status; }}
    }}
}}
"""


class Nginx:
    """A real nginx: keep-alive over HTTP and HTTPS, static files, gzip on text, a redirect.

    ``/small.txt``, ``/text.txt`` (gzip if accepted), ``/megabyte.bin``, ``/redirect`` (to the small
    one), ``/close``, ``/counts`` (nginx's own counters, such as active connections).
    """

    def __init__(self, authority: Authority) -> None:
        binary = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
        assert binary is not None, NGINX_MISSING
        self._folder = tempfile.TemporaryDirectory(prefix="adieu-nginx-")
        prefix = Path(self._folder.name)
        files = prefix / "files"
        files.mkdir()
        (files / "small.txt").write_bytes(SMALL)
        (files / "text.txt").write_bytes(TEXT)
        (files / "megabyte.bin").write_bytes(ONE_MEGABYTE)
        self.ca_pem, self.ca_path = authority.pem, authority.path
        self.port, self.https_port = free_ports(2)
        conf = prefix / "nginx.conf"
        conf.write_text(
            _NGINX_CONF.format(
                prefix=prefix,
                http=self.port,
                https=self.https_port,
                key=authority.key,
                chain=authority.chain,
            )
        )
        self._process = subprocess.Popen(
            [binary, "-p", str(prefix), "-c", str(conf)], stderr=subprocess.PIPE
        )
        try:
            wait_for_port(self.port, lambda: self._process.poll() is None)
        except BaseException as error:
            errors = self._end()
            raise RuntimeError(f"nginx does not start: {errors}") from error
        self.url = f"http://127.0.0.1:{self.port}"
        self.https_url = f"https://127.0.0.1:{self.https_port}"
        OUTSIDE_PORTS.update({self.port, self.https_port})
        KNOWN_PORTS.update({self.port, self.https_port})

    def _end(self) -> str:
        self._process.terminate()
        try:
            _, errors = self._process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            _, errors = self._process.communicate()
        self._folder.cleanup()
        return errors.decode(errors="replace")

    def close(self) -> None:
        self._end()


class CherootTen:
    """cheroot with exactly ten threads: a server that open connections can block.

    ``/small`` is 5 bytes, ``/large`` 100,000, ``/counts`` the number of requests. `requests` counts
    them too.
    """

    def __init__(self) -> None:
        from cheroot import wsgi

        self.requests = 0
        self._lock = threading.Lock()
        self.server: Any = wsgi.Server(
            ("127.0.0.1", 0), self._application, numthreads=10, max=10, shutdown_timeout=1
        )
        self.server.prepare()
        self.port: int = self.server.bind_addr[1]
        self.url = f"http://127.0.0.1:{self.port}"
        KNOWN_PORTS.add(self.port)
        self._thread = threading.Thread(target=self.server.serve, name="cheroot", daemon=True)
        self._thread.start()

    def _application(
        self, environ: dict[str, Any], start_response: Callable[..., object]
    ) -> Iterable[bytes]:
        with self._lock:
            self.requests += 1
            count = self.requests
        bodies = {"/small": b"hello", "/large": b"x" * 100_000, "/counts": str(count).encode()}
        body = bodies.get(environ["PATH_INFO"])
        status = "404 Not Found" if body is None else "200 OK"
        body = body or b""
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    @property
    def threads(self) -> int:
        """The worker threads, idle and busy."""
        return len(self.server.requests._threads)

    def close(self) -> None:
        self.server.stop()
        self._thread.join(30)
        assert not self._thread.is_alive()


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, for servers that cannot choose a port themselves."""
    held = [socket.socket() for _ in range(count)]
    try:
        for sock in held:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in held]
    finally:
        for sock in held:
            sock.close()


def wait_for_port(port: int, alive: Callable[[], bool], timeout: float = 30.0) -> None:
    """Wait until a server listens on the port; `alive` tells whether its process still runs."""
    until = time.monotonic() + timeout
    while not _answers(port):
        if not alive() or time.monotonic() > until:
            raise TimeoutError(f"no server listens on port {port}")
        time.sleep(0.01)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=30).close()
    except OSError:
        return False
    return True
