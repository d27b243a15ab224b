"""`adieu run script.py`: what a script opened, reused and left open, by which lines, and an exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING, Any

import pytest

from support.command_line import COMMAND

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from adieu.testing import FaultServer
    from adieu.testing.faults import Ending, Peer, Request

    Run = Callable[..., subprocess.CompletedProcess[str]]

posix = pytest.mark.skipif(os.name != "posix", reason="needs signals")
# The command is run with warnings as errors, and these scripts leave things open.
RUN = [each for each in COMMAND if each not in ("-W", "error")]


@pytest.fixture
def run(tmp_path: Path, fault_server: FaultServer) -> Run:
    """Runs a script under `adieu run`, with the server's URL as its argument."""

    def run(script: str, *options: str, module: bool = False) -> subprocess.CompletedProcess[str]:
        (tmp_path / "script.py").write_text(textwrap.dedent(script), encoding="utf-8")
        named = ["-m", "script"] if module else ["script.py"]
        return subprocess.run(
            [*RUN, "run", *options, *named, fault_server.url, "--flag"],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=60,
        )

    return run


CLEAN = """
    import sys
    import adieu

    def load(client):
        return client.get("/ok")

    with adieu.Client(sys.argv[1], events=adieu.Events()) as client:
        for _ in range(3):
            load(client)
    adieu.get(sys.argv[1] + "/ok")
    print("argv", sys.argv[0].rpartition("script")[1:], sys.argv[2:], __name__)
"""


@pytest.mark.parametrize("module", [False, True])
def test_a_clean_script_has_its_output_and_a_page_of_what_it_used(
    run: Run, tmp_path: Path, module: bool
) -> None:
    pictures = ["--timeline", "--html", "page.html", "--har", "run.har"] if module else []
    done = run(CLEAN, *pictures, module=module)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "argv ('script', '.py') ['--flag'] __main__\n"
    page = done.stderr[done.stderr.index("\nadieu run: ") :]
    assert page.startswith("\nadieu run: 4 requests over 2 connections in ")
    assert "script.py:6 in load: 3 requests, 1 opened a connection, 2 reused one\n" in page
    assert "script.py:11 in <module>: 1 request, 1 opened a connection\n" in page
    assert page.endswith("clean: nothing was left open\n")
    if module:
        assert "GET /ok " in done.stderr
        assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
        assert len(json.loads((tmp_path / "run.har").read_text())["log"]["entries"]) == 4


def test_what_adieu_was_left_with_is_named_with_its_line(run: Run) -> None:
    done = run(
        """
        import sys
        import adieu

        client = adieu.Client(sys.argv[1], cleanup=adieu.ReleaseOnRead())
        client.get("/ok").read()
        client.send(client.build_request("GET", "/bytes?n=5000000"), stream=True)
        kept = client.send(client.build_request("GET", "/bytes?n=5000000"), stream=True)
        client.get("/ok").read()
        """
    )
    assert done.returncode == 9
    assert "left open, or to chance, by adieu's clients:\n" in done.stderr
    lines = done.stderr.splitlines()
    faults = [line for line in lines if ": LEAKED: dropped unread" in line or "STILL OPEN" in line]
    assert "script.py:7 in <module>: LEAKED" in faults[0]
    assert "script.py:8 in <module>: STILL OPEN" in faults[1]
    assert any(line.endswith(": idle, its client was not closed") for line in lines)
    assert lines[-1] == "NOT CLEAN: 3 faults"


def test_sockets_of_other_code_are_named_with_their_line(run: Run) -> None:
    done = run(
        """
        import sys
        import urllib3

        def fetch(pool):
            return pool.request("GET", sys.argv[1] + "/ok")

        pool = urllib3.PoolManager()
        fetch(pool)
        closed = urllib3.PoolManager()
        fetch(closed)
        closed.clear()
        """
    )
    assert done.returncode == 9
    assert "left open by other code:\n  tcp4 127.0.0.1:" in done.stderr
    assert "script.py:6 in fetch\n" in done.stderr
    assert done.stderr.endswith("NOT CLEAN: 1 fault\n")


def test_an_async_script_and_its_threads_are_waited_for(run: Run) -> None:
    done = run(
        """
        import asyncio, sys, threading, time
        import adieu

        async def main():
            async with adieu.AsyncClient(sys.argv[1]) as client:
                await client.get("/ok")

        def later():
            time.sleep(0.1)
            asyncio.run(main())

        threading.Thread(target=later).start()
        """
    )
    assert done.returncode == 0, done.stderr
    assert "adieu run: 1 request over 1 connection in " in done.stderr


@pytest.mark.parametrize(
    ("script", "status", "said"),
    [
        ("def f():\n    1 / 0\nf()", 1, "ZeroDivisionError: division by zero\n"),
        ("this is no Python", 1, "SyntaxError: invalid syntax\n"),
    ],
)
def test_the_status_of_the_script_is_kept(run: Run, script: str, status: int, said: str) -> None:
    done = run(script)
    assert done.returncode == status
    assert said in done.stderr
    assert "run_script.py" not in done.stderr
    assert "runpy" not in done.stderr
    assert done.stderr.endswith("clean: nothing was left open\n")


@pytest.mark.parametrize("name", ["-", pytest.param("/dev/stdin", marks=posix)])
def test_a_script_from_standard_input_is_run_as_python_runs_it(name: str, tmp_path: Path) -> None:
    script = """\
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
kept = socket.create_connection(server.getsockname())
print(__name__, sys.argv, sys.modules["__main__"].kept is kept)
def fail():
    1 / 0
fail()
"""
    python, adieu_run = (
        subprocess.run(
            [*command, name, "--flag"],
            check=False,
            input=script,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=60,
        )
        for command in ([sys.executable], [*RUN, "run"])
    )
    assert adieu_run.stdout == python.stdout != ""
    assert adieu_run.returncode == python.returncode == 1
    file = "<stdin>" if name == "-" else name
    assert f'File "{file}", line 6, in fail' in adieu_run.stderr
    assert "run_script.py" not in adieu_run.stderr
    assert adieu_run.stderr.count(f"connected at {file}:3 in <module>\n") == 1


def test_a_script_that_is_not_there_is_wrong_usage(adieu_: Any) -> None:
    ran = adieu_("run", "nothing.py")
    assert ran.status == 2
    assert "'nothing.py' is not there" in ran.error


@posix
def test_an_interrupted_script_has_its_page(tmp_path: Path, fault_server: FaultServer) -> None:
    reached = threading.Event()

    def silent(peer: Peer, request: Request) -> Ending:
        reached.set()
        peer.pause(60)
        return "drop"

    fault_server.on("/silent", silent)
    script = tmp_path / "script.py"
    script.write_text(f"import adieu\nadieu.get('{fault_server.url}/silent')\n")
    with subprocess.Popen([*RUN, "run", str(script)], stderr=subprocess.PIPE) as running:
        assert reached.wait(30)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert said.startswith(b"\ninterrupted\n")
    assert b"script.py:2 in <module>: 1 request" in said
    assert said.endswith(b"clean: nothing was left open\n")
