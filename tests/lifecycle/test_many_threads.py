"""One client, many threads: every call gets its own answer and nothing is lost, whatever the other threads do."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from support.stage import COUNTS_REFERENCES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.stage import Stage

pytestmark = pytest.mark.lifecycle

_THREADS = 32
_ROUNDS = 12 if COUNTS_REFERENCES else 4
# Fewer places than threads, so most threads wait.
_LIMITS = adieu.Limits(connections=8)
_PATIENCE = adieu.Timeout(connect=30, read=30, write=30, pool=40)


@pytest.fixture(autouse=True)
def restless() -> Iterator[None]:
    """Switch threads a hundred times as often as usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(usual)


class Crowd:
    """Threads that do the same at the same time. An error in one of them fails the test."""

    def __init__(self, work: Callable[[int], None], number: int = _THREADS) -> None:
        self.errors: list[BaseException] = []
        self._work = work
        self._start = threading.Barrier(number + 1)
        self._threads = [
            threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(number)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        self._start.wait(30)
        try:
            self._work(number)
        except BaseException as error:
            self.errors.append(error)

    def go(self) -> None:
        self._start.wait(30)

    def join(self, seconds: float = 40.0) -> None:
        """Wait until all have ended, which they must in time."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0.0))
        assert not [thread for thread in self._threads if thread.is_alive()]

    def finish(self) -> None:
        self.go()
        self.join()
        for error in self.errors:
            raise error


def fields(answer: adieu.Response) -> dict[str, str]:
    """The fields of the request, as received by the server."""
    return dict(answer.json()["headers"])


def _reads(client: adieu.Client, name: str) -> None:
    answer = client.post("/echo", content=name)
    assert answer.json()["body"] == name


def _streams(client: adieu.Client, name: str) -> None:
    with client.stream("GET", "/chunked?n=30000&size=1000") as answer:
        assert sum(map(len, answer.iter_bytes())) == 30_000


def _leaves(client: adieu.Client, name: str) -> None:
    with client.stream("GET", "/bytes?n=900000") as answer:
        next(answer.iter_bytes())


def _does_not_read(client: adieu.Client, name: str) -> None:
    with client.stream("GET", "/bytes?n=500"):
        pass


def _is_redirected(client: adieu.Client, name: str) -> None:
    assert client.get("/redirect?n=2&body=100").status_code == 200


def _is_cut_off(client: adieu.Client, name: str) -> None:
    with pytest.raises(adieu.BodyTruncated):
        client.get("/truncated")


def _is_hung_up_on(client: adieu.Client, name: str) -> None:
    with pytest.raises(adieu.TransportError):
        client.get("/reset")


def _is_not_patient(client: adieu.Client, name: str) -> None:
    with pytest.raises(adieu.ReadTimeout):
        client.get("/stall-head", timeout=adieu.Timeout(read=0.01, pool=40))


def _asks_nonsense(client: adieu.Client, name: str) -> None:
    with pytest.raises(adieu.InvalidURL):
        client.get("http://[")


def _raises(client: adieu.Client, name: str) -> None:
    with (
        pytest.raises(KeyError, match=name),
        client.stream("GET", "/bytes?n=900000") as answer,
    ):
        raise KeyError(name, len(next(answer.iter_bytes())))


WAYS: list[Callable[[adieu.Client, str], None]] = [
    _reads,
    _streams,
    _leaves,
    _does_not_read,
    _is_redirected,
    _is_cut_off,
    _reads,
    _is_hung_up_on,
    _is_not_patient,
    _asks_nonsense,
    _raises,
]


def test_every_call_gets_its_own_answer_and_no_place_is_lost(bare: Stage) -> None:
    with bare.client(limits=_LIMITS, timeout=_PATIENCE) as client:

        def work(number: int) -> None:
            for turn in range(_ROUNDS):
                WAYS[(number + turn) % len(WAYS)](client, f"{number}-{turn}")
                assert len(client.connections()) <= 8

        Crowd(work).finish()
        assert bare.in_use(client) == []
        # No place is lost: as many connections as the pool allows can be held at once.
        held = [client.stream("GET", "/bytes?n=900000") for _ in range(8)]
        with pytest.raises(adieu.PoolTimeout):
            client.get("/ok", timeout=adieu.Timeout(pool=0.05))
        for answer in held:
            answer.close()
        assert client.get("/ok").status_code == 200
    assert bare.nothing_open()


def test_the_settings_of_one_call_reach_no_other(bare: Stage) -> None:
    """Credentials, cookies and fields of a call, while those of the client change."""
    with bare.client(limits=_LIMITS, timeout=_PATIENCE, headers={"X-Client": "1"}) as client:

        def work(number: int) -> None:
            for turn in range(_ROUNDS):
                name = f"{number}-{turn}"
                if turn % 3 == 0:
                    client.cookies.set(f"c{number}", name, domain="127.0.0.1")
                sent = fields(
                    client.get(
                        f"/echo?name={name}",
                        auth=adieu.BearerAuth(name),
                        cookies={"own": name},
                        headers={"X-Own": name},
                    )
                )
                assert sent["Authorization"] == f"Bearer {name}"
                assert (sent["X-Own"], sent["X-Client"]) == (name, "1")
                cookies = [pair.strip() for pair in sent["Cookie"].split(";")]
                assert [pair for pair in cookies if pair.startswith("own=")] == [f"own={name}"]
                # Every cookie of the jar is whole, and the cookie of this thread is there.
                assert f"c{number}={number}-{turn - turn % 3}" in cookies
                plain = fields(client.get("/echo"))
                assert "Authorization" not in plain
                assert "X-Own" not in plain
                assert "own=" not in plain.get("Cookie", "")

        Crowd(work, 16).finish()
    assert bare.nothing_open()


def test_cookies_of_many_answers_are_all_kept(bare: Stage) -> None:
    for number in range(_THREADS):
        bare.server.reply(
            f"/set/{number}",
            f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: c{number}=v{number}\r\n\r\n".encode(),
        )
    with bare.client(limits=_LIMITS, timeout=_PATIENCE) as client:
        Crowd(lambda number: client.get(f"/set/{number}") and None).finish()
        kept = {cookie.name: cookie.value for cookie in client.cookies}
    assert kept == {f"c{number}": f"v{number}" for number in range(_THREADS)}


def test_all_threads_share_one_digest_and_use_no_count_twice(bare: Stage) -> None:
    seen: list[str] = []

    def demand(request: Any) -> None:
        if "authorization" in request.headers:
            seen.append(request.headers["authorization"])

    bare.server.reply(
        "/digest",
        b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: Digest realm=x, nonce=n, qop=auth\r\n\r\n",
    )
    auth = adieu.DigestAuth("me", "secret")
    with bare.client(
        limits=_LIMITS, timeout=_PATIENCE, auth=auth, event_hooks={"request": [demand]}
    ) as client:
        Crowd(lambda number: client.get("/digest") and None).finish()
    assert len(seen) == len(set(seen)) == _THREADS


def test_mounts_may_be_added_and_read_meanwhile(bare: Stage) -> None:
    mine = adieu.adapter(lambda request: adieu.Response(200, body=request.url.host))
    with bare.client(limits=_LIMITS, timeout=_PATIENCE) as client:

        def work(number: int) -> None:
            client.mount(f"mine://host{number}", mine)
            for turn in range(_ROUNDS):
                assert client.get(f"mine://host{number}/").text == f"host{number}"
                _reads(client, f"{number}-{turn}")
                assert "is served by" in client.mounts.explain(bare.server.url)
                assert repr(client)

        Crowd(work, 16).finish()
    assert bare.nothing_open()


@pytest.mark.parametrize("closers", [1, 8])
def test_a_close_in_the_middle_ends_them_all_and_leaves_nothing_open(
    bare: Stage, closers: int
) -> None:
    client = bare.client(limits=_LIMITS, timeout=_PATIENCE)
    ways = [way for way in WAYS if way not in (_is_cut_off, _is_hung_up_on, _is_not_patient)]

    def work(number: int) -> None:
        if number % 4 == 0:  # Some calls wait for ever.
            client.get(("/stall-head", "/stall-body", "/drip?n=100000")[number % 3])
        for turn in range(100_000):
            way = ways[(number + turn) % len(ways)]
            if way is _raises:
                continue
            way(client, f"{number}-{turn}")

    crowd = Crowd(work)
    crowd.go()
    time.sleep(0.2)
    closing = Crowd(lambda _: client.close() and None, closers)
    closing.finish()
    crowd.join(30)
    assert {type(error) for error in crowd.errors} == {adieu.ClientClosed}
    assert len(crowd.errors) == _THREADS
    assert client.connections() == []
    assert bare.nothing_open()


def test_several_maps_share_one_pool(bare: Stage) -> None:
    with bare.client(limits=_LIMITS, timeout=_PATIENCE) as client:

        def work(number: int) -> None:
            urls = [f"/echo?from={number}-{turn}" for turn in range(_ROUNDS)]
            with client.map(urls, limit=3) as outcomes:
                for outcome in outcomes:
                    target = outcome.result().json()["target"]
                    assert target == outcome.request

        Crowd(work, 8).finish()
        assert bare.in_use(client) == []
        assert len(client.connections()) <= 8
    assert bare.nothing_open()
