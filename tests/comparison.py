"""Measures how HTTP clients behave when something goes wrong: the marked rows of docs/features.md.

    PYTHONPATH=src:adapters:tests python tests/comparison.py adieu requests httpx httpx2 aiohttp urllib3
    PYTHONPATH=src:adapters:tests python tests/comparison.py requests requests/adieu httpx2 httpx2/adieu

Each case runs in a process of its own, against a `FaultServer` in that process, with a pool of one connection and
timeouts of one second where the client has them. A case that has not ended after twelve seconds counts as hanging.
niquests needs an environment of its own, because it replaces urllib3.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import os
import pickle
import select
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from typing import TYPE_CHECKING, Any

from adieu.testing.faults import FaultServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adieu.testing.faults import Ending, Peer
    from adieu.testing.request import Request

PATIENCE = 12


# The clients, with one interface


class Adieu:
    patience: float = 1

    def __init__(self, verify: Any = True, **options: Any) -> None:
        import adieu

        waits = dict.fromkeys(("connect", "read", "write"), self.patience)
        self.client = adieu.Client(
            verify=verify,
            limits=adieu.Limits(connections=1),
            timeout=adieu.Timeout(pool=1, **waits, **options),
        )

    def call(self, method: str, url: str, **options: Any) -> tuple[int, bytes]:
        response = self.client.request(method, url, **options)
        return response.status_code, response.content

    def stream(self, url: str) -> Any:
        import adieu

        return self.client.get(url, cleanup=adieu.ReleaseOnRead())

    def some(self, response: Any) -> bytes:
        piece: bytes = next(response.iter_bytes(1000))
        return piece

    def close(self) -> None:
        self.client.close()


class Requests:
    module = "requests"

    def __init__(self, verify: Any = True, total: float | None = None) -> None:
        import importlib

        self.lib: Any = importlib.import_module(self.module)
        self.client = self.lib.Session()
        self.client.verify = verify
        self.timeout: Any = 1
        adapter = self.adapter(total)
        self.client.mount("http://", adapter)
        self.client.mount("https://", adapter)

    def adapter(self, total: float | None) -> Any:
        return self.lib.adapters.HTTPAdapter(pool_maxsize=1, pool_block=True)

    def call(self, method: str, url: str, content: Any = None, **options: Any) -> tuple[int, bytes]:
        response = self.client.request(method, url, data=content, timeout=self.timeout, **options)
        return response.status_code, response.content

    def stream(self, url: str) -> Any:
        return self.client.get(url, stream=True, timeout=self.timeout)

    def some(self, response: Any) -> bytes:
        piece: bytes = next(response.iter_content(1000))
        return piece

    def close(self) -> None:
        self.client.close()


class Niquests(Requests):
    module = "niquests"


class RequestsOverAdieu(Requests):
    def adapter(self, total: float | None) -> Any:
        import adieu
        from adieu_requests import AdieuAdapter

        if total is not None:
            self.timeout = adieu.Timeout(total=total)
        return AdieuAdapter(limits=adieu.Limits(connections=1), pool_timeout=1)


class Httpx:
    module = "httpx"

    def __init__(self, verify: Any = True, total: float | None = None) -> None:
        import importlib

        self.lib: Any = importlib.import_module(self.module)
        self.client = self.lib.Client(
            timeout=1, follow_redirects=True, **self.options(verify, total)
        )

    def options(self, verify: Any, total: float | None) -> dict[str, Any]:
        if isinstance(verify, str):
            verify = ssl.create_default_context(cafile=verify)
        return {"limits": self.lib.Limits(max_connections=1), "verify": verify}

    def call(self, method: str, url: str, **options: Any) -> tuple[int, bytes]:
        response = self.client.request(method, url, **options)
        return response.status_code, response.content

    def stream(self, url: str) -> Any:
        return self.client.send(self.client.build_request("GET", url), stream=True)

    def some(self, response: Any) -> bytes:
        if not hasattr(self, "pieces"):
            self.pieces = response.iter_raw(1000)
        piece: bytes = next(self.pieces)
        return piece

    def close(self) -> None:
        self.client.close()


class Httpx2(Httpx):
    module = "httpx2"


class Httpx2OverAdieu(Httpx2):
    def options(self, verify: Any, total: float | None) -> dict[str, Any]:
        import adieu
        from adieu_httpx.httpx2 import AdieuTransport

        limits = adieu.Limits(connections=1)
        transport = AdieuTransport(limits=limits, verify=verify, total=total)
        return {"transport": transport}


class Urllib3:
    def __init__(self, verify: Any = True, total: float | None = None) -> None:
        import urllib3

        trust: Any = {"ca_certs": verify} if isinstance(verify, str) else {}
        timeout = urllib3.Timeout(connect=1, read=1, total=total)
        self.client = urllib3.PoolManager(maxsize=1, block=True, timeout=timeout, **trust)

    def call(self, method: str, url: str, content: Any = None, **options: Any) -> tuple[int, bytes]:
        response = self.client.request(method, url, body=content, **options)
        return response.status, response.data

    def stream(self, url: str) -> Any:
        return self.client.request("GET", url, preload_content=False)

    def some(self, response: Any) -> bytes:
        piece: bytes = response.read(1000)
        return piece

    def close(self) -> None:
        self.client.clear()


class Aiohttp:
    def __init__(self, verify: Any = True, total: float | None = None) -> None:
        import aiohttp

        self.loop = asyncio.new_event_loop()
        context = ssl.create_default_context(cafile=verify) if isinstance(verify, str) else True

        async def made() -> Any:
            timeout = aiohttp.ClientTimeout(total=total, connect=1, sock_connect=1, sock_read=1)
            connector = aiohttp.TCPConnector(limit=1, ssl=context)
            return aiohttp.ClientSession(connector=connector, timeout=timeout)

        self.client = self.loop.run_until_complete(made())

    def call(self, method: str, url: str, content: Any = None, **options: Any) -> tuple[int, bytes]:
        if hasattr(content, "__next__"):
            content = _awaited(content)

        async def call() -> tuple[int, bytes]:
            async with self.client.request(method, url, data=content, **options) as response:
                return response.status, await response.read()

        return self.loop.run_until_complete(call())

    def stream(self, url: str) -> Any:
        async def begun() -> Any:
            return await self.client.get(url)

        return self.loop.run_until_complete(begun())

    def some(self, response: Any) -> bytes:
        piece: bytes = self.loop.run_until_complete(response.content.read(1000))
        return piece

    def close(self) -> None:
        self.loop.run_until_complete(self.client.close())


async def _awaited(pieces: Iterator[bytes]) -> Any:
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)


CLIENTS: dict[str, type[Any]] = {
    "adieu": Adieu,
    "requests": Requests,
    "requests/adieu": RequestsOverAdieu,
    "httpx": Httpx,
    "httpx2": Httpx2,
    "httpx2/adieu": Httpx2OverAdieu,
    "aiohttp": Aiohttp,
    "urllib3": Urllib3,
    "niquests": Niquests,
}


# The cases


def outcome(call: Callable[[], Any]) -> str:
    """The result of a call as a short text."""
    begun = time.monotonic()
    try:
        result = call()
        text = f"gave {result[0]}, {len(result[1])} bytes" if isinstance(result, tuple) else result
    except BaseException as error:
        text = f"{type(error).__name__}: {str(error)[:160] or '(no text)'}"
    seconds = time.monotonic() - begun
    return f"{text} [{seconds:.1f} s]" if seconds > 0.3 else str(text)


def fetched(path: str, again: bool = False, **options: Any) -> Callable[[Any, FaultServer], str]:
    def case(make: Any, server: FaultServer) -> str:
        client = make(**options)
        text = outcome(lambda: client.call("GET", server.url + path))
        if again:
            text += f" / then {outcome(lambda: client.call('GET', server.url + '/ok'))}"
        client.close()
        return text

    return case


def dropped_unread(make: Any, server: FaultServer) -> str:
    client = make()
    gc.disable()
    held = [client.stream(server.url + "/bytes?n=900000")]
    held.append(held)  # A cycle, such as a traceback also makes.
    del held
    return outcome(lambda: client.call("GET", server.url + "/ok"))


def held_unread(make: Any, server: FaultServer) -> str:
    client = make()
    response = client.stream(server.url + "/bytes?n=900000")
    return outcome(lambda: client.call("GET", server.url + "/ok")) + f" {response is None or ''}"


def closed_early(make: Any, server: FaultServer) -> str:
    client = make()
    response = client.stream(server.url + "/bytes?n=900000")
    client.some(response)
    response.close()
    return outcome(lambda: client.call("GET", server.url + "/ok"))


def after_close(make: Any, server: FaultServer) -> str:
    client = make()
    client.close()
    return outcome(lambda: client.call("GET", server.url + "/ok"))


def stream_after_close(make: Any, server: FaultServer) -> str:
    client = make()
    response = client.stream(server.url + "/bytes?n=90000000")
    client.some(response)
    client.close()

    def read() -> str:
        left = 0
        while piece := client.some(response):
            left += len(piece)
            if left > 20_000_000:
                return "20 MB more could be read"
        return f"{left} bytes more could be read"

    return outcome(read)


def big_redirect(make: Any, server: FaultServer) -> str:
    sent = []

    def flood(peer: Peer, request: Request) -> Ending:
        peer.start(302, [("location", "/ok"), ("content-length", str(50 << 20))])
        sent.append(0)
        with contextlib.suppress(OSError):
            for _ in range(50):
                peer.send(bytes(1 << 20))
                sent[0] += 1
        return "drop"

    server.on("/flood", flood)
    client = make()
    text = outcome(lambda: client.call("GET", server.url + "/flood"))
    time.sleep(0.2)
    return f"{text}; {'read all' if sent[0] == 50 else 'left'} ({sent[0]} of 50 MiB)"


def race(method: str) -> Callable[[Any, FaultServer], str]:
    def case(make: Any, server: FaultServer) -> str:
        client = make()
        client.call("GET", server.url + "/ok")
        text = outcome(lambda: client.call(method, server.url + "/race"))
        return f"{text}; {sum(one.path == '/race' for one in server.requests)} sent"

    return case


def script(server: FaultServer) -> None:
    """Add the routes that the server does not have by default."""
    packed = gzip.compress(os.urandom(100_000))[:5000]
    server.on("/cut-gzip", lambda peer, request: _reply(peer, packed, ("content-encoding", "gzip")))

    def endless(peer: Peer, request: Request) -> Ending:
        while True:
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            peer.pause(0.001)

    server.on("/endless", endless)


def bomb(make: Any, server: FaultServer) -> str:
    coder = zlib.compressobj(9, wbits=31)
    packed = b"".join(coder.compress(bytes(1 << 20)) for _ in range(200)) + coder.flush()
    server.on("/bomb", lambda peer, request: _reply(peer, packed, ("content-encoding", "gzip")))
    client = make()
    return outcome(lambda: client.call("GET", server.url + "/bomb"))


def _reply(peer: Peer, body: bytes, *fields: tuple[str, str]) -> Ending:
    peer.reply(200, body, list(fields))
    return "keep"


def secrets_abroad(make: Any, server: FaultServer) -> str:
    names = ("Authorization", "Cookie", "X-Api-Key")
    with FaultServer() as other:

        def away(peer: Peer, request: Request) -> Ending:
            peer.reply(302, b"", [("location", f"{other.url}/ok")])
            return "keep"

        server.on("/away", away)
        client = make()
        client.call("GET", server.url + "/away", headers=dict.fromkeys(names, "secret"))
        sent = [name for name in names if other.requests[0].header(name)]
    return f"sends {' and '.join(sent) or 'no secret'} to another origin"


def https_to_http(make: Any, server: FaultServer) -> str:
    with secured() as (secure, path):

        def down(peer: Peer, request: Request) -> Ending:
            peer.reply(302, b"", [("location", f"{server.url}/ok")])
            return "keep"

        secure.on("/down", down)
        return outcome(lambda: make(verify=path).call("GET", secure.url + "/down"))


def tls_cut(make: Any, server: FaultServer) -> str:
    with secured() as (secure, path):
        url = secure.url + "/until-close?n=1000&abrupt=1"
        return outcome(lambda: make(verify=path).call("GET", url))


@contextlib.contextmanager
def secured() -> Iterator[tuple[FaultServer, str]]:
    import trustme

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with tempfile.TemporaryDirectory() as folder, FaultServer(tls=context) as server:
        path = os.path.join(folder, "ca.pem")
        authority.cert_pem.write_to_path(path)
        yield server, path


def early_answer(make: Any, server: FaultServer) -> str:
    over = threading.Event()

    def early(peer: Peer, request: Request) -> Ending:
        peer.reply(413, b"too much")
        over.wait(PATIENCE)
        return "drop"

    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(65_536)

    server.on("/early", early, early=True)
    try:
        return outcome(lambda: make().call("POST", server.url + "/early", content=endless()))
    finally:
        over.set()


def expecting(make: Any, server: FaultServer) -> str:
    """Whether the content waits for a 100."""
    seen = []

    def silent(peer: Peer, request: Request) -> Ending:
        if peer._buffer or select.select([peer.sock], [], [], 0.3)[0]:
            seen.append(peer.read_raw())
        peer.reply(413, b"")  # Not 417, after which a client asks again without the expectation.
        return "drop"

    server.on("/expect", silent, early=True)
    headers = {"Expect": "100-continue"}
    client = make()
    text = outcome(
        lambda: client.call("POST", server.url + "/expect", content=b"x" * 5000, headers=headers)
    )
    return f"{text}; {'sent it at once' if seen else 'waited'}"


def expectation_failed(make: Any, server: FaultServer) -> str:
    """What comes of a 417, of a server that knows no expectations."""

    def picky(peer: Peer, request: Request) -> Ending:
        if request.header("expect"):
            peer.reply(417, b"")
        else:
            peer.read_body(request)
            peer.reply(200, request.body)
        return "keep"

    server.on("/picky", picky, early=True)
    headers = {"Expect": "100-continue"}
    client = make()
    return outcome(
        lambda: client.call("POST", server.url + "/picky", content=b"x" * 5000, headers=headers)
    )


def pickled(make: Any, server: FaultServer) -> str:
    if make is Aiohttp:
        things = {"client": make().client, "response": make().stream(server.url + "/ok")}
    else:
        client = make()
        lazy = make is Urllib3
        response = client.client.request("GET", server.url + "/status/404")
        things = {"client": client.client, "response": response}
        if not lazy:
            try:
                response.raise_for_status()
            except Exception as error:
                things["status error"] = error
    said = []
    for name, thing in things.items():
        try:
            pickle.loads(pickle.dumps(thing))
            said.append(f"{name} yes")
        except Exception as error:
            said.append(f"{name} no ({type(error).__name__})")
    return ", ".join(said)


CASES: dict[str, Callable[[Any, FaultServer], str]] = {
    "a body with 5 of 500 bytes": fetched("/truncated?n=500&sent=5"),
    "a gzip body cut short": fetched("/cut-gzip"),
    "a chunked body cut short": fetched("/truncated-chunked"),
    "a TLS body cut without close_notify": tls_cut,
    "endless 1xx": fetched("/endless"),
    "a surplus response": fetched("/second-response", again=True),
    "100 bytes dripped over 5 s, total 0.5 s": fetched("/drip?n=100&seconds=5", total=0.5),
    "a stream dropped unread, in a cycle": dropped_unread,
    "a stream held unread": held_unread,
    "a stream closed early": closed_early,
    "use after close": after_close,
    "reading on after the client was closed": stream_after_close,
    "a redirect with 50 MiB": big_redirect,
    "GET on a connection that dies": race("GET"),
    "POST on a connection that dies": race("POST"),
    "204 kB of gzip that are 200 MiB": bomb,
    "a redirect to another origin": secrets_abroad,
    "a redirect from https to http": https_to_http,
    "an answer before the upload is over": early_answer,
    "Expect: 100-continue": expecting,
    "a 417 to Expect: 100-continue": expectation_failed,
    "pickle": pickled,
}


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--one"]:
        _, name, case = arguments
        for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
            os.environ.pop(variable, None)  # In some clients they override the settings.
        with FaultServer() as server:
            script(server)
            print(CASES[case](CLIENTS[name], server), flush=True)
            os._exit(0)  # Without the finalizers of objects that the client left behind.
    for case in CASES:
        print(f"\n{case}", flush=True)
        for name in arguments or list(CLIENTS):
            try:
                done = subprocess.run(
                    [sys.executable, "-W", "ignore", __file__, "--one", name, case],
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE,
                    check=False,
                )
                said = done.stdout.strip() or done.stderr.strip().splitlines()[-1]
            except subprocess.TimeoutExpired:
                said = "HANGS"
            print(f"  {name:14} {said}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
