"""`adieu fault-server`, as a process of its own."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import adieu
from adieu.testing.routing import ROUTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import Authority

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="interrupted by POSIX signals")


@contextlib.contextmanager
def running(*options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", "adieu", "fault-server", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip()


def url_in(text: str) -> str:
    return text.rpartition(" ")[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_prints_every_request_and_ends_by_a_signal(number: signal.Signals) -> None:
    with running() as process:
        url = url_in(line(process))
        with adieu.Client(url) as client:
            assert client.get("/ok?header=X-A:1").headers["x-a"] == "1"
            with pytest.raises(adieu.ReadError):
                client.post("/reset", json=1)
        assert line(process) == "GET /ok?header=X-A:1 (connection 1, request 1)"
        assert line(process) == "POST /reset (connection 1, request 2)"
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("", "", 0)


def test_the_peers_fail_before_http_begins() -> None:
    with running("--peers", "--quiet") as process:
        assert re.fullmatch(r"serving at http://127\.0\.0\.1:\d+", line(process))
        refused, silent, *tls = [line(process) for _ in range(8)]
        with pytest.raises(adieu.ConnectError, match="refused"):
            adieu.get(url_in(refused))
        with pytest.raises(adieu.ReadTimeout):
            adieu.get(url_in(silent), timeout=adieu.Timeout(read=0.1))
        assert len(tls) == 6
        (alert,) = [each for each in tls if "(alert)" in each]
        with pytest.raises(adieu.TLSError):
            adieu.get(url_in(alert))


def test_it_serves_tls_with_a_certificate(authority: Authority) -> None:
    with running("--cert", str(authority.chain), "--key", str(authority.key)) as process:
        url = url_in(line(process))
        assert url.startswith("https://")
        assert adieu.get(f"{url}/ok", verify=str(authority.path)).ok


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "adieu", "fault-server", *options]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)


def test_the_list_of_routes_has_every_route() -> None:
    done = run("--routes")
    assert done.returncode == 0
    listed = done.stdout.splitlines()
    for entry in ROUTES.values():
        for usage in entry.usages:
            assert usage in listed
    assert max(map(len, listed)) <= 98


def test_what_cannot_be_served_is_said_with_a_status() -> None:
    with running() as process:
        port = line(process).rpartition(":")[2]
        taken = run("--port", port)
    assert taken.returncode == 1
    assert re.match("cannot serve: .*in use", taken.stderr)
    missing = run("--cert", "/nowhere.pem")
    assert missing.returncode == 1
    assert "No such file" in missing.stderr
    wrong = run("--key", "key.pem")
    assert wrong.returncode == 2
    assert "--key needs --cert" in wrong.stderr
