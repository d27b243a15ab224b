"""`adieu trace`: the timeline of requests, in a pipe, in a terminal, and interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest

from adieu.testing.faults_net import refused_port
from support.command_line import COMMAND, in_terminal

if TYPE_CHECKING:
    from pathlib import Path

    from adieu.testing import FaultServer
    from adieu.testing.faults import Ending, Peer, Request

posix = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal and signals")


def test_each_url_is_requested_over_one_client(adieu_: Any, fault_server: FaultServer) -> None:
    url = fault_server.url
    ran = adieu_("trace", f"{url}/ok", f"{url}/status/404", "--repeat", "2")
    assert (ran.status, ran.error) == (0, "")
    assert ran.out.startswith("4 requests over 1 connection in ")
    assert [line.split()[1:3] for line in ran.out.splitlines() if " GET " in line] == [
        ["/ok", "200"],
        ["/status/404", "404"],
    ] * 2
    assert "closed: client closed" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80


def test_requests_in_parallel_have_connections_of_their_own(
    adieu_: Any, fault_server: FaultServer
) -> None:
    both = threading.Barrier(2)

    def meet(peer: Peer, request: Request) -> Ending:
        both.wait(30)
        peer.reply(200, b"ok")
        return "keep"

    fault_server.on("/meet", meet)
    ran = adieu_("trace", f"{fault_server.url}/meet", "--repeat", "2", "--parallel", "2")
    assert ran.out.startswith("2 requests over 2 connections in ")


def test_method_fields_and_files(adieu_: Any, fault_server: FaultServer, tmp_path: Path) -> None:
    page, har = tmp_path / "page.html", tmp_path / "run.har"
    options = ["-X", "head", "--html", str(page), "--har", str(har), "-H", "X-A: 1"]
    assert adieu_("trace", *options, f"{fault_server.url}/ok").status == 0
    (request,) = fault_server.requests
    assert (request.method, request.header("x-a")) == ("HEAD", "1")
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert len(json.loads(har.read_text())["log"]["entries"]) == 1


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--timeout", "0.05"], 7, "Timeout"),
        (["--parallel", "2", "--timeout", "0.05"], 7, "Timeout"),
        (["--repeat", "0"], 2, "'0' is not a whole number from 1"),
        (["-H", "word"], 2, "-H 'word' is no header field"),
        (["--html", "/no/such/folder/page.html", "--timeout", "0.05"], 7, "No such file"),
    ],
)
def test_the_exit_status_is_that_of_the_first_failure(
    adieu_: Any, fault_server: FaultServer, options: list[str], status: int, said: str
) -> None:
    ran = adieu_("trace", f"{fault_server.url}/stall-head", *options)
    assert ran.status == status
    assert said in ran.out + ran.error
    assert "Traceback" not in ran.error


def test_without_a_connection_the_picture_says_why(adieu_: Any) -> None:
    with refused_port() as port:
        ran = adieu_("trace", f":{port}/", "--resolve", f"localhost:{port}:127.0.0.1")
    assert ran.status == 6
    assert "open" in ran.out
    assert re.search(r"GET / +ConnectError", ran.out)


@posix
def test_in_a_terminal_it_fits_80_columns_without_colour(fault_server: FaultServer) -> None:
    out = in_terminal("trace", f"{fault_server.url}/ok?{'x' * 200}")
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 80
    assert re.search(r"  GET /ok\?\.\.\. +200 +[0-9.]+ m?s \|", out)


@posix
def test_an_interrupt_shows_what_was_done(fault_server: FaultServer) -> None:
    reached = threading.Event()

    def silent(peer: Peer, request: Request) -> Ending:
        reached.set()
        peer.pause(60)
        return "drop"

    fault_server.on("/silent", silent)
    command = [*COMMAND, "trace", f"{fault_server.url}/ok", f"{fault_server.url}/silent"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert reached.wait(30)
        running.send_signal(signal.SIGINT)
        out, said = running.communicate(timeout=30)
    assert (running.returncode, said) == (130, b"\ninterrupted\n")
    assert b"2 requests over 1 connection" in out
    assert b"KeyboardInterrupt" in out
    fault_server.wait_until(lambda: fault_server.open == 0)
