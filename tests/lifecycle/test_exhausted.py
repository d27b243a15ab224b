"""The system has no descriptor, no thread or no memory left: an error of adieu's, nothing lost, and then it goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.net.socket_stream import SocketStream
from adieu.testing import payload
from adieu.transport.thread_pool import Threads
from support.steering import LOOPS, run

if TYPE_CHECKING:
    from pathlib import Path

    from adieu.testing import FaultServer
    from support.stage import Stage

pytestmark = pytest.mark.lifecycle


# Descriptors

_BEGIN = """
import asyncio, os, resource, sys
import adieu
url, adapter = sys.argv[1:]

class Exhausted:
    def __enter__(self):
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        self.held = []
        try:
            while True:
                self.held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
    def __exit__(self, *error):
        for descriptor in self.held:
            os.close(descriptor)

def check(error):
    assert isinstance(error, adieu.TransportError), repr(error)
    assert isinstance(error.__cause__, OSError), repr(error.__cause__)
    assert error.retry_safe and error.phase in ("send", "dns", "connect"), error.phase
"""

_SYNC = """
with adieu.Client(url, adapter=adapter, proxy=None, cleanup=adieu.CloseOnExit()) as client:
    for begun in range(2):
        with Exhausted():
            try:
                client.get("/ok")
            except Exception as error:
                check(error)
            else:
                raise AssertionError("there was a descriptor")
            try:
                for outcome in client.map(["/ok"] * 3, limit=2):
                    check(outcome.error)
            except adieu.TransportError as error:
                check(error)
        assert client.connections() == []
        assert client.get("/connection-close").status_code == 200
        assert [o.result().status_code for o in client.map(["/connection-close"] * 3)] == [200] * 3
"""

_ASYNC = """
async def main():
    async with adieu.AsyncClient(url, adapter=adapter, proxy=None) as client:
        for begun in range(2):
            with Exhausted():
                try:
                    await client.get("/ok")
                except Exception as error:
                    check(error)
                else:
                    raise AssertionError("there was a descriptor")
                try:
                    async for outcome in client.map(["/ok"] * 3, limit=2):
                        check(outcome.error)
                except adieu.TransportError as error:
                    check(error)
            assert client.connections() == []
            assert (await client.get("/connection-close")).status_code == 200
            outcomes = [outcome async for outcome in client.map(["/connection-close"] * 3)]
            assert [outcome.result().status_code for outcome in outcomes] == [200] * 3
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this platform has no such limit")
@pytest.mark.parametrize("adapter", ["native", "urllib3", "h11", "close"])
@pytest.mark.parametrize("program", [_SYNC, _ASYNC], ids=["sync", "async"])
def test_without_a_descriptor_every_call_has_an_error_with_its_cause(
    fault_server: FaultServer, program: str, adapter: str
) -> None:
    if program is _ASYNC and adapter == "urllib3":
        pytest.skip("urllib3 is a sync adapter")
    done = subprocess.run(
        [sys.executable, "-c", _BEGIN + program, fault_server.url, adapter],
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr


# Threads


class _ThreadLimit:
    """The system gives no more than so many threads."""

    def __init__(self, threads: int) -> None:
        self.left = threads

    def __call__(self, *args: Any) -> int:
        if not self.left:
            raise RuntimeError("can't start new thread")
        self.left -= 1
        started: int = _start_new_thread(*args)
        return started


_start_new_thread: Any = __import__("_thread").start_new_thread


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> _ThreadLimit:
    """No thread at all, until the test allows some."""
    limit = _ThreadLimit(0)
    monkeypatch.setattr("adieu.lifecycle.threads.start_new_thread", limit)
    return limit


def test_without_a_thread_each_request_of_a_map_has_an_error_and_the_client_goes_on(
    bare: Stage, threads: _ThreadLimit
) -> None:
    with bare.block(bare.client()) as client:
        outcomes = list(client.map(["/ok"] * 3, limit=2))
        for outcome in outcomes:
            assert type(outcome.error) is adieu.TransportError
            assert "no thread could be started for this request" in str(outcome.error)
            assert type(outcome.error.__cause__) is RuntimeError
            assert outcome.error.retry_safe
        threads.left = 1
        assert [outcome.result().status_code for outcome in client.map(["/ok"] * 5)] == [200] * 5
    assert bare.nothing_open()


def test_without_a_thread_a_name_cannot_be_looked_up(
    fault_server: FaultServer, threads: _ThreadLimit
) -> None:
    with adieu.Client(proxy=None) as client:
        url = f"http://localhost:{fault_server.port}/ok"
        with pytest.raises(adieu.DNSError, match="can't start new thread") as refused:
            client.get(url)
        assert type(refused.value.__cause__) is RuntimeError
        assert refused.value.phase == "dns"
        threads.left = 1
        assert client.get(url).status_code == 200


@pytest.mark.parametrize("loop", LOOPS)
def test_without_a_thread_a_download_is_an_error_with_its_cause_and_loses_nothing(
    fault_server: FaultServer,
    threads: _ThreadLimit,
    tmp_path: Path,
    loop: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = Threads(4)
    monkeypatch.setattr("adieu.client.download.FILES", files)
    target = tmp_path / "file"
    url = f"{fault_server.url}/bytes?n=900000"

    async def main() -> None:
        async with adieu.AsyncClient(proxy=None) as client:
            # With `resume` a file is looked at before anything is sent.
            for resume, phase in ((True, "send"), (False, "body")):
                with pytest.raises(
                    adieu.TransportError, match="no thread could be started for GET"
                ) as refused:
                    await client.download(url, target, resume=resume)
                assert refused.value.phase == phase
                assert type(refused.value.__cause__) is RuntimeError
                assert client.connections() == []
                assert os.listdir(tmp_path) == []
            threads.left = 1
            assert (await client.download(url, target)).size == 900_000

    run(main(), LOOPS[loop])
    assert target.read_bytes() == payload(900_000)
    assert threads.left == 0
    files.stop(AssertionError)


# Memory


@pytest.mark.parametrize("phase", ["head", "body"])
def test_without_memory_the_exchange_fails_with_an_error_and_its_connection_is_closed(
    bare: Stage, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = SocketStream.recv

    def recv(stream: SocketStream, max_bytes: int, limit: adieu.TimeLimit) -> bytes:
        reads.append(max_bytes)
        if len(reads) == (1 if phase == "head" else 2):
            raise MemoryError
        return received(stream, max_bytes, limit)

    reads: list[int] = []
    with bare.block(bare.client()) as client:
        monkeypatch.setattr(SocketStream, "recv", recv)
        with pytest.raises(adieu.TransportError) as failed:
            bare.get(client, "/bytes?n=2000000")
        assert isinstance(failed.value.__cause__, MemoryError)
        assert client.connections() == []
        assert bare.get(client, "/ok").status_code == 200
    assert bare.nothing_open()
