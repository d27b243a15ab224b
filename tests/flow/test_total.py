"""`Timeout(total=...)` ends a call in time in each phase that can wait, on every adapter.

The peers here say nothing; those that say one byte after the other are in `tests/net/test_drips.py`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing import BlackHole
from servers import FullHole
from support.places import PLACES, Place, placed
from support.stage import caught, in_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from adieu.testing.faults import Ending, FaultServer, Peer
    from adieu.testing.request import Request
    from support.watch import Watch

TOTAL = 0.15


@pytest.fixture(params=PLACES)
def place(
    request: pytest.FixtureRequest, fault_server: FaultServer, census: Watch
) -> Iterator[Place]:
    yield from placed(request.param, fault_server, census)


@pytest.fixture
def hole() -> Iterator[BlackHole]:
    """A peer that accepts connections and never answers."""
    with BlackHole() as hole:
        yield hole


def answers_once(status: int, *fields: tuple[str, str]) -> Callable[[Peer, Request], Ending]:
    """A route that answers the first request, and stalls from then on."""
    seen: list[Request] = []

    def route(peer: Peer, request: Request) -> Ending:
        seen.append(request)
        if len(seen) > 1:
            peer.pause(60)
            return "drop"
        peer.reply(status, b"", list(fields))
        return "keep"

    return route


def read_as_stream(place: Place, client: Any) -> None:
    limit = adieu.Timeout(total=TOTAL)
    with place.block(client.stream("GET", "/drip?n=100&seconds=60", timeout=limit)) as response:
        for _ in place.runner.each(response.iter_bytes()):
            pass


PHASES: dict[str, dict[str, Any]] = {
    "head": {"path": "/stall-head?seconds=60"},
    "body": {"path": "/stall-body?seconds=60"},
    "body, under another policy": {
        "path": "/drip?n=100&seconds=60",
        "cleanup": adieu.PrefetchUpTo(1000),
    },
    "second hop": {"path": "/redirect?to=/stall-head%3Fseconds%3D60"},
    "body of a hop": {"path": "/redirect?body=2000&stall=60&to=/stall-head"},
    "upload": {"path": "/stall-read?seconds=60", "method": "POST", "content": b"x" * 20_000_000},
    "100-continue": {
        "path": "/stall-head?seconds=60",
        "method": "POST",
        "content": b"x",
        "headers": {"Expect": "100-continue"},
    },
    "challenge": {"path": "/challenge", "auth": adieu.DigestAuth("user", "password")},
    "retry": {"path": "/busy", "retry": adieu.Retry(backoff=0.001)},
}


@pytest.mark.parametrize("phase", PHASES)
def test_every_wait_of_an_exchange_ends_in_time(place: Place, phase: str) -> None:
    challenge = ("www-authenticate", 'Digest realm="r", nonce="n", qop="auth"')
    place.server.on("/challenge", answers_once(401, challenge))
    place.server.on("/busy", answers_once(503, ("retry-after", "0")))
    options = dict(PHASES[phase])
    ends_in_time(place, options.pop("path"), **options)


def ends_in_time(place: Place, url: str, method: str = "GET", **options: Any) -> None:
    own = {name: options.pop(name) for name in ("connect", "verify") if name in options}
    with place.block(place.one(**own)) as client:
        limit = adieu.Timeout(connect=60, read=60, write=60, pool=60, total=TOTAL)
        with in_time():
            error: Any = caught(
                adieu.DeadlineExceeded, place.get, client, url, method, timeout=limit, **options
            )
        assert error.elapsed >= TOTAL - 0.01
        if "connect" not in own:
            place.next_works(client)
    assert place.nothing_open()


def test_a_stream_ends_in_time(place: Place) -> None:
    with place.block(place.one()) as client:
        caught(adieu.DeadlineExceeded, read_as_stream, place, client)
        place.next_works(client)


def test_a_download_ends_in_time(place: Place, tmp_path: Path) -> None:
    with place.block(place.one()) as client:
        path, limit = tmp_path / "file", adieu.Timeout(total=TOTAL)

        def download() -> None:
            place.run(client.download("/drip?n=100&seconds=60", path, timeout=limit))

        caught(adieu.DeadlineExceeded, download)
        assert not path.exists()
        place.next_works(client)


def test_waiting_for_a_connection_ends_in_time(place: Place) -> None:
    with (
        place.block(place.one()) as client,
        place.block(client.stream("GET", "/bytes?n=900000")) as held,
    ):
        limit = adieu.Timeout(pool=30, total=TOTAL)
        caught(adieu.DeadlineExceeded, place.get, client, "/ok", timeout=limit)
        assert held.status_code == 200


def test_looking_up_a_name_ends_in_time(place: Place) -> None:
    over = threading.Event()

    def resolver(host: str, port: int) -> list[str]:
        over.wait(60)  # In a thread of its own, which ends later.
        return ["127.0.0.1"]

    url = f"http://slow.example:{place.server.port}/ok"
    try:
        ends_in_time(place, url, connect=adieu.Connect(resolver=resolver))
    finally:
        over.set()


def test_connecting_ends_in_time(place: Place) -> None:
    with FullHole() as hole:
        ends_in_time(place, f"{hole.url}/")


def test_a_tls_handshake_ends_in_time(place: Place, hole: BlackHole) -> None:
    ends_in_time(place, hole.url.replace("http:", "https:"))


@pytest.mark.parametrize("scheme", ["http", "https", "socks5h", "socks4a"])
def test_a_tunnel_ends_in_time(place: Place, hole: BlackHole, scheme: str) -> None:
    proxy = hole.url.replace("http:", f"{scheme}:")
    ends_in_time(place, "https://origin.example/", proxy=proxy)
