"""A cancellation at any wait affects only the connection of its own task.

Each scenario runs many times, cancelled at its first wait, at its second, and so on, until a run has fewer waits. After
each run the next request works on the client, which may have one connection. When the client is closed, no socket is
open and no task is left; there are no warnings; and the cancelled call did not wait after the cancellation.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import socket
import sys
import types
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import pytest

import adieu
from adieu.net import dial
from adieu.testing import refused_port
from adieu.testing.socket_table import established
from adieu_native import AsyncNativeAdapter
from servers import FullHole
from support.proxies import FaultProxy, SocksServer, digest_challenges
from support.stage import PATIENCE
from support.steering import (
    CANCELLATIONS,
    LOOPS,
    SCOPES,
    Cut,
    DelayedWire,
    NarrowWire,
    TwoAddresses,
    gather,
    later,
    limited,
    outcome,
    run,
    settle,
    sleep,
    spawn,
    wait,
)

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Generator,
        Iterable,
        Iterator,
    )

    from adieu.testing import FaultServer
    from servers import Authority, TLSServer
    from support.watch import Watch

pytestmark = pytest.mark.lifecycle

_MOST_WAITS = 400

if TYPE_CHECKING:
    Scenario = Callable[[adieu.AsyncClient], Awaitable[object]]

SCENARIOS: dict[str, Scenario] = {}


def scenario(play: Scenario) -> Scenario:
    SCENARIOS[play.__name__.removeprefix("_")] = play
    return play


@scenario
async def _plain(client: adieu.AsyncClient) -> None:
    response = await client.get("/bytes?n=1000")
    assert len(response.content) == 1000


@scenario
async def _twice_on_one_connection(client: adieu.AsyncClient) -> None:
    await client.get("/ok")
    await client.post("/echo", json={"name": "a"})


@scenario
async def _large(client: adieu.AsyncClient) -> None:
    response = await client.get("/bytes?n=700000")
    assert len(response.content) == 700_000


@scenario
async def _chunked(client: adieu.AsyncClient) -> None:
    response = await client.get("/chunked?n=20000&size=1000&trailers=1")
    assert len(response.content) == 20_000


@scenario
async def _gzip(client: adieu.AsyncClient) -> None:
    async with client.stream("GET", "/gzip?n=300000") as response:
        assert sum([len(piece) async for piece in response.iter_bytes(1000)]) == 300_000


async def _passed(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk


@scenario
async def _wrapped(client: adieu.AsyncClient) -> None:
    async with client.stream("GET", "/gzip?n=300000") as response:
        response.wrap(_passed, decoded=True).wrap(_passed)
        assert len(await response.read()) == 300_000


@scenario
async def _wrapped_and_partly_read(client: adieu.AsyncClient) -> None:
    async with client.stream("GET", "/chunked?n=20000&size=1000") as response:
        async for piece in response.wrap(_passed, decoded=True).wrap(_passed).iter_bytes():
            assert piece
            break


@scenario
async def _drip(client: adieu.AsyncClient) -> None:
    async with client.stream("GET", "/drip?n=5&seconds=0.01") as response:
        assert len(await response.read()) == 5


@scenario
async def _until_close(client: adieu.AsyncClient) -> None:
    assert len((await client.get("/until-close?n=5000")).content) == 5000


@scenario
async def _unread(client: adieu.AsyncClient) -> None:
    async with client.stream("GET", "/bytes?n=1000000"):
        pass


@scenario
async def _unread_and_drained(client: adieu.AsyncClient) -> None:
    async with client.stream("GET", "/stall-body?n=1000&sent=500&seconds=0.01"):
        pass


@scenario
async def _partly_read(client: adieu.AsyncClient) -> None:
    async with client.stream("GET", "/bytes?n=1000000") as response:
        async for piece in response.iter_bytes(1000):
            assert len(piece) == 1000
            break


@scenario
async def _awaited_instead_of_entered(client: adieu.AsyncClient) -> None:
    response = await client.stream("GET", "/bytes?n=300000")
    assert len(await response.read()) == 300_000


@scenario
async def _closed_by_hand(client: adieu.AsyncClient) -> None:
    response = await client.stream("GET", "/bytes?n=30000")
    await response.close()


@scenario
async def _redirect(client: adieu.AsyncClient) -> None:
    response = await client.get("/redirect?n=3&body=5000")
    assert len(response.history) == 3


@scenario
async def _redirect_whose_body_is_too_long(client: adieu.AsyncClient) -> None:
    response = await client.get("/redirect?n=2&body=300000")
    assert len(response.history) == 2


@scenario
async def _early_hints(client: adieu.AsyncClient) -> None:
    assert (await client.get("/early-hints?n=3")).status_code == 200


@scenario
async def _upload_to_a_slow_reader(client: adieu.AsyncClient) -> None:
    async def pieces() -> AsyncGenerator[bytes, None]:
        for _ in range(3):
            await sleep(0)
            yield bytes(30_000)

    target = "/slow-read?piece=65536&seconds=0.0005"
    # Under trio the caller has to close a generator; asyncio does it itself.
    async with contextlib.aclosing(pieces()) as content:
        assert (await client.post(target, content=content)).status_code == 200


@scenario
async def _upload_that_fills_the_socket(client: adieu.AsyncClient) -> None:
    target = "/slow-read?piece=65536&seconds=0.001"
    assert (await client.post(target, content=[bytes(300_000)])).status_code == 200


@scenario
async def _upload_that_is_answered_early(client: adieu.AsyncClient) -> None:
    assert (await client.post("/early", content=[bytes(1_000_000)])).status_code == 413


@scenario
async def _name_that_is_looked_up(client: adieu.AsyncClient) -> None:
    url = str(client.build_request("GET", "/ok").url).replace("127.0.0.1", "localhost")
    assert (await client.get(url)).status_code == 200


@scenario
async def _read_error(client: adieu.AsyncClient) -> None:
    with pytest.raises(adieu.ReadError):
        await client.get("/reset-body?n=100000&sent=50000")


@scenario
async def _truncated(client: adieu.AsyncClient) -> None:
    with pytest.raises(adieu.BodyTruncated):
        await client.get("/truncated")


@scenario
async def _read_timeout(client: adieu.AsyncClient) -> None:
    with pytest.raises(adieu.ReadTimeout):
        await client.get("/stall-head", timeout=adieu.Timeout(read=0.005))


@scenario
async def _replay(client: adieu.AsyncClient) -> None:
    for _ in range(2):
        assert (await client.get("/race")).status_code == 200


@scenario
async def _retry(client: adieu.AsyncClient) -> None:
    retry = adieu.Retry(2, backoff=0.002)
    assert (await client.get("/status/503?body=3000", retry=retry)).status_code == 503


@scenario
async def _auth(client: adieu.AsyncClient) -> None:
    """A challenge, the end of its body, and the answer to it on the same connection."""
    challenge = quote('www-authenticate: Digest realm="r", nonce="n", qop="auth"')
    path = f"/status/401?body=3000&header={challenge}"
    response = await client.get(path, auth=adieu.DigestAuth("me", "secret"))
    assert response.status_code == 401
    assert "nonce=" in response.request.headers["authorization"]


@scenario
async def _upgrade(client: adieu.AsyncClient) -> None:
    headers = {"upgrade": "shout", "connection": "upgrade"}
    response = await client.get("/upgrade", headers=headers)
    assert response.status_code == 101
    async with response.upgraded as stream:
        await stream.send(b"hello")
        assert await stream.recv() == b"HELLO"


@scenario
async def _no_keep_alive(client: adieu.AsyncClient) -> None:
    policy = adieu.NoKeepAlive()
    assert len((await client.get("/bytes?n=100000", cleanup=policy)).content) == 100_000


@scenario
async def _many(client: adieu.AsyncClient) -> None:
    async with client.map([f"/bytes?n={n}" for n in range(5)], limit=2) as outcomes:
        sizes = [len(done.result().content) async for done in outcomes]
    assert sorted(sizes) == list(range(5))


@scenario
async def _many_from_a_slow_source(client: adieu.AsyncClient) -> None:
    async def urls() -> AsyncIterator[str]:
        for n in range(3):
            await sleep(0)
            yield f"/bytes?n={n}"

    async with client.map(urls(), limit=2) as outcomes:
        async for done in outcomes:
            assert done.error is None


@scenario
async def _pool_that_is_full(client: adieu.AsyncClient) -> None:
    """Three calls wait for the one connection; the second is cancelled."""
    held = await client.stream("GET", "/bytes?n=1000000")

    async def neighbour() -> None:
        assert (await client.get("/ok")).status_code == 200

    # They are served whether or not this one is. Not awaited here, where a cancellation could hit the wait.
    _neighbours.extend(spawn(neighbour()) for _ in range(2))
    assert held.body is not None
    later(0.002, held.body.abort, "test")
    assert (await client.get("/ok")).status_code == 200


_neighbours: list[Any] = []


@scenario
async def _own_client_in_a_block(client: adieu.AsyncClient) -> None:
    own = adieu.AsyncClient(base_url=str(client.build_request("GET", "/").url))
    async with own:
        await own.get("/ok")
        async with own.stream("GET", "/bytes?n=100000"):
            await own.get("/ok")


# These wait after the cancellation themselves, because Python ends a group of tasks like that,
_WAITS_FOR_ITS_TASKS = {"many", "many_from_a_slow_source"}
# and these under trio, where waiting for one of two things takes a task for each.
_WAITS_UNDER_TRIO = {
    "upload_to_a_slow_reader",
    "upload_that_fills_the_socket",
    "upload_that_is_answered_early",
}


class Setting(NamedTuple):
    """The transport of the scenarios."""

    loop: str
    wire: type[NarrowWire]

    def __str__(self) -> str:
        return f"{self.loop}-{'delayed' if self.wire is DelayedWire else 'plain'}"


# One of each kind, for the long tests.
_TWO = [loop for loop in LOOPS if loop in {"asyncio", "trio"}]
SETTINGS = [Setting(loop, NarrowWire) for loop in LOOPS]
SETTINGS += [Setting("asyncio", DelayedWire)]


async def _cut_everywhere(
    play: Scenario,
    census: Watch,
    client: Callable[[], adieu.AsyncClient],
    may_wait: bool = False,
    ways: Iterable[str] = CANCELLATIONS,
) -> int:
    """Cancel it at every wait, in every way; return the number of waits of the last run."""
    waits = 0
    for how in ways:
        for nth in range(1, _MOST_WAITS):
            cut = Cut(_played(play, one := client()), nth, how)
            where = f"cancelled at wait {nth}, {how}"
            result = await outcome(cut)
            # At the very last wait, or if the timer was late, the call may already be complete.
            assert result is None or (cut.happened and result is asyncio.CancelledError), where
            assert may_wait or cut.after == 0, f"{where}: it waited {cut.after} times after that"
            assert (await one.get("/ok")).json()["request"], where
            await gather(*_neighbours)
            _neighbours.clear()
            await settle()
            assert not [line for line in one.connections() if line.state != "idle"], where
            await one.close()
            assert census.count() == 0, (where, census.rows())
            if not cut.happened:
                break
        else:
            raise AssertionError(f"more than {_MOST_WAITS} waits")
        waits = cut.waits
    return waits


async def _played(play: Scenario, client: adieu.AsyncClient) -> None:
    await play(client)


@pytest.fixture
def uncollected() -> Iterator[None]:
    """The cyclic collector is off, so reference cycles stay and are counted."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


every_setting = pytest.mark.parametrize("setting", SETTINGS, ids=str)
_ONE = adieu.Limits(connections=1)
_ALL_CANCELLATIONS = (*CANCELLATIONS, *SCOPES)


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("name", SCENARIOS)
@every_setting
def test_a_cancelled_call_affects_only_its_own_connection(
    setting: Setting, name: str, fault_server: FaultServer, census: Watch
) -> None:
    def client() -> adieu.AsyncClient:
        adapter = AsyncNativeAdapter(setting.wire(), limits=_ONE)
        return adieu.AsyncClient(fault_server.url, adapter=adapter, timeout=PATIENCE)

    cuts = _cut_everywhere(SCENARIOS[name], census, client, _may_wait(name, setting.loop))
    waits = run(cuts, LOOPS[setting.loop])
    assert waits > 0 or setting.wire is NarrowWire


def _may_wait(name: str, loop: str) -> bool:
    return name in _WAITS_FOR_ITS_TASKS or (loop == "trio" and name in _WAITS_UNDER_TRIO)


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("loop", _TWO)
def test_a_block_that_cancels_its_calls_affects_only_their_connections(
    loop: str, name: str, fault_server: FaultServer, census: Watch
) -> None:
    """`asyncio.timeout`, a trio deadline, and anyio cancel scopes, each at every wait."""

    def client() -> adieu.AsyncClient:
        adapter = AsyncNativeAdapter(NarrowWire(), limits=_ONE)
        return adieu.AsyncClient(fault_server.url, adapter=adapter, timeout=PATIENCE)

    may_wait = _may_wait(name, loop)
    run(_cut_everywhere(SCENARIOS[name], census, client, may_wait, SCOPES), LOOPS[loop])


_OVER_TLS = (
    "plain",
    "large",
    "unread",
    "partly_read",
    "redirect",
    "upload_to_a_slow_reader",
    "upload_that_fills_the_socket",
    "upload_that_is_answered_early",
    "read_error",
    "replay",
    "upgrade",
    "no_keep_alive",
)
# The steps of TLS are the same over every stream; the test above covers the differences between the loops.
_OVER_TLS_SETTINGS = [s for s in SETTINGS if str(s) in {"asyncio-delayed", "trio-plain"}]


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("name", _OVER_TLS)
@pytest.mark.parametrize("setting", _OVER_TLS_SETTINGS, ids=str)
def test_a_cancelled_call_over_tls_affects_only_its_own_connection(
    setting: Setting, name: str, tls_server: TLSServer, census: Watch
) -> None:
    def client() -> adieu.AsyncClient:
        adapter = AsyncNativeAdapter(setting.wire(), limits=_ONE)
        context = tls_server.client_context
        return adieu.AsyncClient(tls_server.url, adapter=adapter, timeout=PATIENCE, verify=context)

    ways = _ALL_CANCELLATIONS if name == "plain" else CANCELLATIONS
    cuts = _cut_everywhere(SCENARIOS[name], census, client, _may_wait(name, setting.loop), ways)
    run(cuts, LOOPS[setting.loop])


_PROXIES: dict[str, Callable[[Authority], tuple[FaultProxy | SocksServer, str, bool]]] = {
    "CONNECT": lambda authority: (FaultProxy(), "http", False),
    "Digest": lambda authority: (FaultProxy(auth=digest_challenges("me")), "http", True),
    "TLS in TLS": lambda authority: (FaultProxy(tls=authority.server_context()), "https", False),
    "SOCKS5": lambda authority: (SocksServer(auth=("me", "s3cret")), "socks5", False),
    "SOCKS4A": lambda authority: (SocksServer(), "socks4a", False),
}


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("kind", _PROXIES)
@pytest.mark.parametrize("loop", _TWO)
def test_a_call_cancelled_on_its_way_through_a_proxy_leaves_no_socket(
    loop: str,
    kind: str,
    tls_server: TLSServer,
    authority: Authority,
    census: Watch,
) -> None:
    server, scheme, digest = _PROXIES[kind](authority)
    auth = ("me", "" if scheme == "socks4a" else "s3cret")
    proxy = adieu.Proxy(f"{scheme}://127.0.0.1:{server.port}", auth=auth, digest=digest)

    class OwnEnds:
        """The proxy is in this process too: its connections to the origin do not belong to the client."""

        def count(self) -> int:
            return established(to_ports={server.port})

        rows = census.rows

    def client() -> adieu.AsyncClient:
        adapter = AsyncNativeAdapter(DelayedWire(), limits=_ONE)
        return adieu.AsyncClient(
            tls_server.url,
            adapter=adapter,
            timeout=PATIENCE,
            verify=str(tls_server.ca_path),
            proxy=proxy,
        )

    watch: Any = OwnEnds()
    with server:
        run(_cut_everywhere(_plain, watch, client, ways=_ALL_CANCELLATIONS), LOOPS[loop])


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("first", ["silent", "refused"])
def test_a_cancelled_race_between_two_addresses_leaves_no_socket(
    loop: str,
    first: str,
    fault_server: FaultServer,
    census: Watch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dial, "_HEAD_START", 0.005)
    peer: Any = FullHole() if first == "silent" else contextlib.nullcontext()
    with peer, refused_port() as nobody:
        port = peer.port if first == "silent" else nobody
        census.also(port)
        before = census.count()  # The sockets that fill the backlog look like the client's.

        class Counted:
            def count(self) -> int:
                return census.count() - before

            rows = census.rows

        def client() -> adieu.AsyncClient:
            addresses = [("127.0.0.1", number) for number in (port, fault_server.port)]
            wire = TwoAddresses(*((socket.AF_INET, address) for address in addresses))
            adapter = AsyncNativeAdapter(wire, limits=_ONE)
            return adieu.AsyncClient(fault_server.url, adapter=adapter, timeout=PATIENCE)

        watch: Any = Counted()
        # Under trio one task for each of the two sockets.
        run(_cut_everywhere(_plain, watch, client, loop == "trio"), LOOPS[loop])


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("loop", _TWO)
def test_a_call_cancelled_in_a_hook_affects_only_its_own_connection(
    loop: str, fault_server: FaultServer, census: Watch
) -> None:
    async def hook(_: object) -> None:
        await sleep(0)

    def client() -> adieu.AsyncClient:
        adapter = AsyncNativeAdapter(DelayedWire(), limits=_ONE)
        hooks: dict[str, list[Any]] = {"request": [hook], "response": [hook, hook]}
        return adieu.AsyncClient(
            fault_server.url, adapter=adapter, timeout=PATIENCE, event_hooks=hooks
        )

    for play in (_plain, _redirect, _unread):
        run(_cut_everywhere(play, census, client), LOOPS[loop])


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("loop", _TWO)
def test_a_call_cancelled_under_the_close_adapter_leaves_no_socket(
    loop: str, fault_server: FaultServer, census: Watch
) -> None:
    def client() -> adieu.AsyncClient:
        return adieu.AsyncClient(fault_server.url, adapter="close", limits=_ONE, timeout=PATIENCE)

    for play in (_plain, _redirect, _unread, _partly_read):
        run(_cut_everywhere(play, census, client), LOOPS[loop])


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    "path",
    ["/stall-head", "/stall-body", "/drip?n=1000", "/stall-read", "/redirect?stall=5&body=9"],
)
def test_time_limits_around_a_call_affect_only_its_own_connection(
    loop: str, path: str, fault_server: FaultServer, census: Watch
) -> None:
    """`asyncio.wait_for`, `asyncio.timeout` and `trio.move_on_after` around calls that take longer."""

    async def main() -> None:
        async with adieu.AsyncClient(fault_server.url, limits=_ONE, timeout=PATIENCE) as client:
            for limit in _limits(loop):
                content = bytes(9_000_000) if "read" in path else None
                method = "POST" if content else "GET"
                with pytest.raises(asyncio.TimeoutError):
                    await limit(client.request(method, path, content=content), 0.02)
                assert (await client.get("/ok")).status_code == 200
                await settle()
        assert census.count() == 0

    run(main(), LOOPS[loop])


def _limits(loop: str) -> list[Any]:
    limits: list[Any] = [limited]
    if sys.version_info >= (3, 11) and loop != "trio":

        async def timeout(wish: Any, seconds: float) -> object:
            async with asyncio.timeout(seconds):
                return await wish

        limits.append(timeout)
    return limits


@pytest.mark.parametrize("loop", LOOPS)
def test_cancellations_at_random_instants_lose_no_place_and_no_wake_up(
    loop: str, fault_server: FaultServer, census: Watch
) -> None:
    """Thirty tasks on three connections; some are cancelled after a random time, and the others get their answers."""
    chance = random.Random(520)
    paths = ("/ok", "/bytes?n=200000", "/chunked?n=5000", "/stall-head?seconds=0.002", "/redirect")

    async def one(client: adieu.AsyncClient) -> int:
        got = 0
        for _ in range(12):
            call = spawn(client.get(chance.choice(paths)))
            if chance.random() < 0.5:
                later(chance.random() * 0.01, call.cancel)
            await wait([call])
            if not call.cancelled():
                assert call.result().status_code == 200
                got += 1
        return got

    async def main() -> None:
        limits = adieu.Limits(connections=3)
        timeout = adieu.Timeout(pool=30)
        async with adieu.AsyncClient(fault_server.url, limits=limits, timeout=timeout) as client:
            got = await gather(*(one(client) for _ in range(30)))
            assert sum(got) > 0
            assert len(client.connections()) <= 3
            assert not [line for line in client.connections() if line.state != "idle"]
        assert census.count() == 0

    run(main(), LOOPS[loop])


def test_an_interrupted_program_leaves_no_socket(fault_server: FaultServer, census: Watch) -> None:
    """Unlike a cancellation, a KeyboardInterrupt does not pass through a task: it ends the loop at once."""

    async def main() -> None:
        client = adieu.AsyncClient(fault_server.url, limits=_ONE)
        asyncio.get_running_loop().call_later(0.01, interrupt)
        async with client:
            await client.get("/stall-head")

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert census.count() == 0


@pytest.mark.parametrize("path", ["/stall-body?n=1000&sent=500", "/bytes?n=300000", "/bytes?n=9"])
def test_a_coroutine_that_is_closed_ends_its_stream_without_waiting(
    path: str, fault_server: FaultServer, census: Watch
) -> None:
    """A loop that has ended closes its coroutines; one that still waits then raises "ignored GeneratorExit"."""

    async def main() -> None:
        async with adieu.AsyncClient(fault_server.url, limits=_ONE) as client:

            async def use() -> None:
                async with client.stream("GET", path):
                    await asyncio.get_running_loop().create_future()

            async def pieces() -> AsyncIterator[bytes]:
                async with client.stream("GET", path) as response:
                    async for piece in response.iter_bytes(5):
                        yield piece

            using: Any = use()
            task = asyncio.ensure_future(_stepped(using))
            await asyncio.wait([task], timeout=0.05)
            assert client.connections()
            using.close()
            assert not [line for line in client.connections() if line.state != "idle"]
            task.cancel()
            await asyncio.wait([task])
            # An async generator may wait while it is closed, and so drain.
            given: Any = pieces()
            assert len(await anext(given)) == 5
            await given.aclose()
            assert (await client.get("/ok")).status_code == 200
        assert census.count() == 0

    run(main())


async def _stepped(coroutine: Any) -> None:
    """Runs another coroutine and does not close it."""

    @types.coroutine
    def steps() -> Generator[Any, Any, None]:
        with contextlib.suppress(StopIteration):
            while True:
                yield coroutine.send(None)

    await steps()
