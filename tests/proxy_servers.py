"""Real proxies: tinyproxy, squid and dante, each as a child process on loopback.

In these tests they resolve names from /etc/hosts only and connect to loopback only.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from servers import KNOWN_PORTS, OUTSIDE_PORTS, free_ports, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Sequence

    from servers import Authority

__all__ = ["Dante", "Squid", "Tinyproxy"]

_PATH = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"


class _Process:
    """A proxy program, from its start until `close`."""

    command: str

    def __init__(self) -> None:
        found = shutil.which(self.command, path=_PATH)
        assert found is not None, (
            f"{self.command} is neither on PATH nor in /usr/sbin: "
            f"`bash .ci/install {self.command}` installs Debian's"
        )
        self.binary = found
        self._folder = tempfile.TemporaryDirectory(prefix=f"adieu-{self.command}-")
        self.folder = Path(self._folder.name)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, arguments: Sequence[str], *ports: int) -> None:
        log = (self.folder / "output").open("wb")
        with log:
            self._process = process = subprocess.Popen(
                [self.binary, *arguments], stdout=log, stderr=log, cwd=self.folder
            )
        try:
            for port in ports:
                wait_for_port(port, lambda: process.poll() is None)
        except BaseException as error:
            said = "\n".join(
                path.read_text(errors="replace")
                for path in (self.folder / "output", self.folder / "log")
                if path.exists()
            )
            self.close()
            raise RuntimeError(f"{self.command} does not start: {said}") from error
        OUTSIDE_PORTS.update(ports)
        KNOWN_PORTS.update(ports)

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._folder.cleanup()


class Tinyproxy(_Process):
    """tinyproxy: forwards and tunnels, with Basic authentication as "me", "s3cret"."""

    command = "tinyproxy"

    def __init__(self) -> None:
        super().__init__()
        (self.port,) = free_ports(1)
        conf = self.folder / "tinyproxy.conf"
        conf.write_text(
            f"Port {self.port}\nListen 127.0.0.1\nTimeout 20\nMaxClients 50\n"
            f'LogFile "{self.folder}/log"\nLogLevel Info\nBasicAuth me s3cret\n'
        )
        self.start(["-d", "-c", str(conf)], self.port)
        self.url = f"http://127.0.0.1:{self.port}"


class Squid(_Process):
    """squid: forwards and tunnels, over HTTP and over TLS, with Digest authentication as "me", "s3cret"."""

    command = "squid"

    def __init__(self, authority: Authority) -> None:
        super().__init__()
        self.port, self.tls_port = free_ports(2)
        # It changes from root to Debian's user for proxies, so the files of its helper must be readable for that user.
        self.folder.chmod(0o777)
        chain, key = (shutil.copy(path, self.folder) for path in (authority.chain, authority.key))
        (self.folder / "passwords").write_text("me:s3cret\n")
        user = "cache_effective_user proxy\n" if os.geteuid() == 0 else ""
        conf = self.folder / "squid.conf"
        conf.write_text(
            f"http_port 127.0.0.1:{self.port}\n"
            f"https_port 127.0.0.1:{self.tls_port} tls-cert={chain} tls-key={key}\n"
            f"auth_param digest program /usr/lib/squid/digest_file_auth {self.folder}/passwords\n"
            "auth_param digest children 1 startup=1 idle=1\n"
            "auth_param digest realm adieu\n"
            "acl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all\n"
            f"pid_filename {self.folder}/pid\ncoredump_dir {self.folder}\n"
            f"access_log stdio:{self.folder}/access\ncache_log {self.folder}/log\n"
            "cache deny all\nmemory_pools off\ncache_mem 8 MB\nshutdown_lifetime 0 seconds\n"
            "pinger_enable off\nvisible_hostname squid.invalid\nnetdb_filename none\n"
            f"{user}workers 1\n"
        )
        self.start(["-N", "-f", str(conf), "-n", f"adieu{self.port}"], self.port, self.tls_port)
        self.url = f"http://127.0.0.1:{self.port}"
        self.tls_url = f"https://127.0.0.1:{self.tls_port}"


class Dante(_Process):
    """dante: SOCKS 4 and 5, without authentication."""

    command = "danted"

    def __init__(self) -> None:
        super().__init__()
        (self.port,) = free_ports(1)
        conf = self.folder / "danted.conf"
        conf.write_text(
            f"logoutput: {self.folder}/log\n"
            f"internal: 127.0.0.1 port = {self.port}\nexternal: lo\n"
            f"user.privileged: {_me()}\nuser.unprivileged: {_me()}\n"
            "clientmethod: none\nsocksmethod: none\n"
            "client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }\n"
            "socks pass { from: 127.0.0.0/8 to: 127.0.0.0/8 protocol: tcp }\n"
        )
        self.start(["-f", str(conf), "-p", f"{self.folder}/pid", "-N", "1"], self.port)


def _me() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name
