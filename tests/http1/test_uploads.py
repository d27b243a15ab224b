"""Uploads over the wire: multipart and streams, answered early or cut off, and in constant memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from email import message_from_bytes
from typing import TYPE_CHECKING, Any

import pytest

import adieu

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from adieu.testing.faults import Ending, Peer, Request
    from support.stage import Stage


def taken_apart(facts: dict[str, Any]) -> dict[str, bytes]:
    """The received parts, by name, read by the e-mail parser of the standard library."""
    headers = {name.lower(): value for name, value in facts["headers"]}
    raw = f"Content-Type: {headers['content-type']}\r\n\r\n".encode()
    message: Any = message_from_bytes(raw + facts["body"].encode("latin-1"))
    return {
        part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
        for part in message.get_payload()
    }


def headers_of(facts: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in facts["headers"]}


def test_a_form_with_files_arrives_with_its_length(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "large.bin"
    path.write_bytes(b"0123456789" * 30_000)
    with stage.block(stage.one()) as client, path.open("rb") as file:
        for _ in range(2):
            file.seek(5)
            files = {"large": file, "small": ("s.txt", "text")}
            facts = stage.get(client, "/echo", "POST", files=files, data={"a": "b"}).json()
            assert headers_of(facts)["content-length"] == str(facts["length"])
            found = taken_apart(facts)
            assert list(found) == ["a", "large", "small"]
            assert found["large"] == path.read_bytes()[5:]
            assert (found["a"], found["small"]) == (b"b", b"text")
        stage.next_works(client)


def test_parts_of_unknown_length_are_sent_in_chunks(stage: Stage) -> None:
    with stage.block(stage.one()) as client:
        pieces = (b"piece %d," % nth for nth in range(1000))
        facts = stage.get(client, "/echo", "POST", files={"f": pieces}).json()
        assert headers_of(facts)["transfer-encoding"] == "chunked"
        assert taken_apart(facts)["f"].endswith(b"piece 999,")
        stage.next_works(client)


def test_async_parts_are_for_async_clients(stage: Stage, is_async: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for nth in range(3):
            yield b"%d" % nth

    with stage.block(stage.one()) as client:
        if is_async:
            facts = stage.get(client, "/echo", "POST", files={"f": pieces()}).json()
            assert taken_apart(facts)["f"] == b"012"
        else:
            with pytest.raises(adieu.InvalidRequest, match=r"files\['f'\] is an async iterable"):
                stage.get(client, "/echo", "POST", files={"f": pieces()})
        stage.next_works(client)


def test_a_redirect_sends_the_form_again_if_it_can(stage: Stage) -> None:
    with stage.block(stage.one()) as client:
        url = "/redirect?status=307&to=/echo"
        facts = stage.get(client, url, "POST", files={"f": [b"a", b"b"]}).json()
        assert taken_apart(facts) == {"f": b"ab"}
        with pytest.raises(adieu.RedirectError, match="used up"):
            stage.get(client, url, "POST", files={"f": iter([b"a"])})
        stage.next_works(client)


def _contents() -> dict[str, dict[str, Any]]:
    block = b"x" * 65536

    def endless() -> Iterator[bytes]:
        while True:
            yield block

    return {
        "generator": {"content": endless()},
        "files": {"files": {"f": endless()}},
        "sized": {"files": {"f": block * 500}},
    }


@pytest.mark.parametrize("kind", list(_contents()))
def test_an_upload_that_is_answered_early_ends_with_the_answer(stage: Stage, kind: str) -> None:
    over = threading.Event()

    def early(peer: Peer, request: Request) -> Ending:
        peer.reply(413, b"too much")
        over.wait(30)  # The server reads nothing, so a client that only writes would wait for ever.
        return "drop"

    stage.server.on("/early-413", early, early=True)
    with stage.block(stage.one()) as client:
        try:
            response = stage.get(client, "/early-413", "POST", **_contents()[kind])
            assert (response.status_code, response.content) == (413, b"too much")
        finally:
            over.set()
        stage.next_works(client)


@pytest.mark.parametrize("ending", ["drop", "reset"])
@pytest.mark.parametrize("kind", list(_contents()))
def test_an_upload_that_is_cut_off_is_an_error(stage: Stage, kind: str, ending: Any) -> None:
    def cuts(peer: Peer, request: Request) -> Ending:
        peer.read_raw()
        end: Ending = ending
        return end

    stage.server.on("/cuts", cuts, early=True)
    with stage.block(stage.one()) as client:
        with pytest.raises(adieu.TransportError) as caught:
            stage.get(client, "/cuts", "POST", **_contents()[kind])
        assert caught.value.request_sent == "partly"
        stage.next_works(client)


@pytest.mark.parametrize("error", [ValueError("mine"), OSError("disk")])
def test_an_error_of_a_part_is_a_content_error(stage: Stage, error: Exception) -> None:
    def failing() -> Iterator[bytes]:
        yield b"x" * 10
        raise error

    with stage.block(stage.one()) as client:
        with pytest.raises(adieu.ContentError, match=r"mine|disk"):
            stage.get(client, "/echo", "POST", files={"f": failing()})
        stage.next_works(client)


def test_a_file_that_shrinks_while_it_is_sent_is_noticed(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 300_000)
    with stage.block(stage.one()) as client, path.open("rb", buffering=0) as file:
        request = client.build_request("POST", "/echo", files={"f": file})
        with path.open("r+b") as other:
            other.truncate(1000)
        with pytest.raises(adieu.InvalidRequest, match="299000 bytes shorter"):
            stage.run(client.send(request))
        stage.next_works(client)


_MEMORY = '''
import asyncio, io, resource, sys
import adieu
from adieu.testing.faults import FaultServer

SIZE, BLOCK = int(sys.argv[1]), bytes(1 << 18)

class Shaped(io.RawIOBase):
    """A file of so many zeros, of which none is stored."""
    def __init__(self, size): self.size, self.at = size, 0
    def readable(self): return True
    def seekable(self): return True
    def tell(self): return self.at
    def seek(self, to, whence=0):
        self.at = to + (0, self.at, self.size)[whence]
        return self.at
    def read(self, n=-1):
        n = min(n, self.size - self.at)
        self.at += n
        return bytes(n)

def peak():
    if sys.platform == "linux":
        # getrusage begins with the peak of the process that started this one, and would hide all that is below it.
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)

def sink(peer, request):
    peer.reply(200, str(request.body_length).encode())
    return "keep"

def source(peer, request):
    n = request.count("n", 0, 1 << 40)
    peer.start(200, [("content-length", str(n))])
    for _ in range(n // len(BLOCK)):
        peer.send(BLOCK)
    return "keep"

def check(size, length, got):
    assert size < length < size + 1000 and got == size, (size, length, got)

def both(client, size):
    up = client.post("/sink", files={"f": ("zeros", Shaped(size))})
    with client.stream("GET", f"/source?n={size}") as response:
        check(size, int(up.content), sum(map(len, response.iter_bytes())))

async def both_async(client, size):
    up = await client.post("/sink", files={"f": ("zeros", Shaped(size))})
    async with client.stream("GET", f"/source?n={size}") as response:
        check(size, int(up.content), sum([len(piece) async for piece in response.iter_bytes()]))

async def run_async(url):
    async with adieu.AsyncClient(url) as client:
        await both_async(client, 1 << 22)
        before = peak()
        await both_async(client, SIZE)
        return peak() - before

with FaultServer() as server:
    server.on("/sink", sink)
    server.on("/source", source)
    grown = []
    for adapter in ("urllib3", "native"):
        with adieu.Client(server.url, adapter=adapter) as client:
            both(client, 1 << 22)
            before = peak()
            both(client, SIZE)
            grown.append(peak() - before)
    grown.append(asyncio.run(run_async(server.url)))
before = peak()
noticed = bytearray(b"x") * (64 << 20)
assert peak() - before > 32 * 1024
print(*grown)
'''


@pytest.mark.skipif(sys.platform == "win32", reason="there is no resource.getrusage")
# ADIEU_TEST_TRANSFER_MIB=10240 makes it 10 GiB in each direction, in less than a minute: `pytest -s` shows the cost.
@pytest.mark.timeout(600)
def test_large_transfers_in_both_directions_take_constant_memory() -> None:
    mib = int(os.environ.get("ADIEU_TEST_TRANSFER_MIB", "150"))
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, str(mib << 20)],
        check=True,
        capture_output=True,
        text=True,
        timeout=max(50, mib // 20),
    )
    grown = dict(
        zip(("urllib3", "native", "native, async"), map(int, done.stdout.split()), strict=True)
    )
    print(f"{mib} MiB each way; the peak of the memory grew by (KiB): {grown}")
    assert max(grown.values()) < 8 * 1024, grown
