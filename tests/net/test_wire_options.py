"""Connect settings: source, interface, options and addresses; the same on every adapter."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import pickle
import re
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import adieu
from adieu.lifecycle.deadline import Deadline
from adieu.messages.url import Origin
from adieu.net._connect_checks import parse_address
from adieu.net.async_wire import AsyncTCPWire
from adieu.net.scope import ConnectScope
from adieu.testing.faults import FaultServer
from adieu.testing.faults_net import refused_port
from servers import KNOWN_PORTS
from support.places import PLACES, Place, placed
from support.stage import COUNTS_REFERENCES, caught, in_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing.peer import Ending, Peer
    from servers import TLSServer
    from support.watch import Watch

V4, V6 = socket.AF_INET, socket.AF_INET6
LINUX = pytest.mark.skipif(not hasattr(socket, "SO_BINDTODEVICE"), reason="Linux has it")


@pytest.fixture(params=PLACES)
def place(
    request: pytest.FixtureRequest, fault_server: FaultServer, census: Watch
) -> Iterator[Place]:
    fault_server.on("/who", _who)
    yield from placed(request.param, fault_server, census)


def _who(peer: Peer, request: object) -> Ending:
    """Answers with the address of the client."""
    peer.reply(200, peer.sock.getpeername()[0].encode())
    return "keep"


def ipv6() -> bool:
    try:
        with socket.socket(V6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


IPV6 = pytest.mark.skipif(not ipv6(), reason="this machine has no IPv6")


def opened(connect: adieu.Connect, port: int) -> tuple[ConnectScope, socket.socket]:
    """A socket as the sync wire connects it."""
    scope = ConnectScope(Deadline(adieu.Timeout()), None, connect)
    return scope, adieu.TCPWire().connect(Origin("http", "127.0.0.1", port), scope)


# Pinned addresses


def test_a_pinned_host_is_connected_to_at_its_address(place: Place) -> None:
    connect = adieu.Connect(addresses={"API.example.org": "127.0.0.1"})
    with place.block(place.client(connect=connect)) as client:
        for host in ("api.example.org", "API.EXAMPLE.ORG."):
            response = place.get(client, f"http://{host}:{place.server.port}/echo")
            fields = {name.lower(): value for name, value in response.json()["headers"]}
            # Only the address is pinned.
            assert fields["host"] == f"{host.lower()}:{place.server.port}"


def test_a_pin_may_have_ports_of_its_own(place: Place) -> None:
    here = f"127.0.0.1:{place.server.port}"
    with refused_port() as nowhere:
        pins = {
            "api.example.org": f"127.0.0.1:{nowhere}",
            "api.example.org:8080": here,
            "[::1]:81": here,
        }
        with place.block(place.client(connect=adieu.Connect(addresses=pins))) as client:
            assert place.get(client, "http://api.example.org:8080/ok").status_code == 200
            assert place.get(client, "http://[::1]:81/ok").status_code == 200
            error = caught(adieu.ConnectError, place.get, client, "http://api.example.org/ok")
            assert "refused" in str(error)


def test_an_address_with_a_zone_is_pinned_as_the_error_of_its_url_says() -> None:
    number, interface = socket.if_nameindex()[0]
    with pytest.raises(adieu.InvalidURL) as caught:
        adieu.URL(f"http://[fe80::1%{interface}]:81/")
    settings = re.search(r"connect=(.*)$", str(caught.value))
    assert settings is not None
    connect = eval(settings[1])
    assert connect.pinned("fe80::1", 81) == [(V6, ("fe80::1", 81, 0, number))]


def test_certificates_are_checked_for_the_name_and_not_for_the_pin(
    place: Place, tls_server: TLSServer
) -> None:
    pins = {
        "localhost": f"127.0.0.1:{tls_server.port}",
        "other.example": f"127.0.0.1:{tls_server.port}",
    }
    client = place.client(connect=adieu.Connect(addresses=pins), verify=str(tls_server.ca_path))
    with place.block(client):
        assert place.get(client, "https://localhost/ok").status_code == 200
        error = caught(adieu.TLSError, place.get, client, "https://other.example/ok")
        assert "its certificate is for other names" in str(error)


def test_pins_are_tried_in_order(place: Place) -> None:
    with refused_port() as nowhere:
        pins = {"a.example": [f"127.0.0.1:{nowhere}", f"127.0.0.1:{place.server.port}"]}
        with place.block(place.client(connect=adieu.Connect(addresses=pins))) as client:
            assert place.get(client, "http://a.example/ok").status_code == 200


# Resolvers


def test_a_resolver_of_the_user_is_called(place: Place) -> None:
    asked = []

    def resolve(host: str, port: int) -> Any:
        asked.append((host, port, threading.current_thread() is threading.main_thread()))
        return [ipaddress.ip_address("127.0.0.1")]

    with place.block(place.client(connect=adieu.Connect(resolver=resolve))) as client:
        url = f"http://a.example:{place.server.port}/ok"
        assert place.get(client, url).status_code == 200
        # In another thread, because it may take longer than the caller waits.
        assert asked == [("a.example", place.server.port, False)]
        # An address needs no resolver.
        assert place.get(client, "/ok").status_code == 200
        assert len(asked) == 1


async def resolve_async(host: str, port: int) -> str:
    await asyncio.sleep(0) if host == "asyncio.example" else None
    return "127.0.0.1"


class AsyncResolver:
    async def __call__(self, host: str, port: int) -> list[str]:
        return ["127.0.0.1"]


@pytest.mark.parametrize("resolver", [resolve_async, AsyncResolver()], ids=["function", "object"])
def test_a_coroutine_function_is_awaited_by_async_clients(place: Place, resolver: Any) -> None:
    with place.block(place.client(connect=adieu.Connect(resolver=resolver))) as client:
        url = f"http://a.example:{place.server.port}/ok"
        if place.is_async:
            assert place.get(client, url).status_code == 200
        else:
            error = caught(adieu.InvalidRequest, place.get, client, url)
            assert "has to be awaited, which only AsyncClient does, for an `async def`" in str(
                error
            )


@pytest.mark.parametrize("waiting", ["blocks", "awaits"])
def test_a_resolver_that_takes_too_long_is_given_up(place: Place, waiting: str) -> None:
    over = threading.Event()

    def block(host: str, port: int) -> str:
        over.wait(60)
        return "127.0.0.1"

    async def wait(host: str, port: int) -> str:
        if place.mode == "async-trio":
            import trio

            await trio.sleep(60)
        await asyncio.sleep(60)
        return "127.0.0.1"

    if waiting == "awaits" and not place.is_async:
        pytest.skip("a sync client cannot await")
    resolver: Any = block if waiting == "blocks" else wait
    short = adieu.Timeout(connect=0.2)
    with place.block(place.one(connect=adieu.Connect(resolver=resolver))) as client:
        with in_time():
            error: Any = caught(
                adieu.ConnectTimeout, place.get, client, "http://a.example/ok", timeout=short
            )
        assert error.elapsed >= 0.15
        over.set()
        place.next_works(client)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            OSError("the resolver is on strike"),
            "could not resolve 'a.example': the resolver is on strike",
        ),
        (adieu.DNSError("no such name"), "no such name"),
        ([], "knows no address of 'a.example'"),
        ("b.example", "must return addresses for 'a.example', and returned 'b.example'"),
        ([(V4, ("127.0.0.1", 80))], "must return addresses for 'a.example'"),
        (None, "must return addresses for 'a.example', and returned None"),
    ],
    ids=["raises", "raises ours", "nothing", "a name", "a tuple", "none"],
)
def test_an_invalid_answer_of_a_resolver_is_an_error(place: Place, answer: Any, text: str) -> None:
    def resolve(host: str, port: int) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def resolve_later(host: str, port: int) -> Any:
        return resolve(host, port)

    resolvers: list[Any] = [resolve, resolve_later] if place.is_async else [resolve]
    for resolver in resolvers:
        with place.block(place.client(connect=adieu.Connect(resolver=resolver))) as client:
            error = caught(adieu.DNSError, place.get, client, "http://a.example/ok")
            assert text in str(error)
            assert isinstance(error, adieu.DNSError)
            assert (error.phase, error.request_sent) == ("dns", "no")
            place.next_works(client)


# Families


@IPV6
def test_one_family_only_can_be_used(place: Place) -> None:
    pins = {"a.example": ["::1", "127.0.0.1"], "b.example": "::1"}
    connect = adieu.Connect(addresses=pins, family="ipv4")
    with place.block(place.client(connect=connect)) as client:
        response = place.get(client, f"http://a.example:{place.server.port}/who")
        assert response.content == b"127.0.0.1"
        error = caught(adieu.ConnectError, place.get, client, "http://b.example/")
        assert "it has no address for family='ipv4', only ::1" in str(error)


@IPV6
def test_one_family_can_be_preferred(place: Place) -> None:
    with FaultServer(host="::1") as other:
        KNOWN_PORTS.add(other.port)
        pins = {"a.example": [f"127.0.0.1:{place.server.port}", f"[::1]:{other.port}"]}
        for family, server in (("prefer-ipv6", other), ("prefer-ipv4", place.server)):
            connect = adieu.Connect(addresses=pins, family=family)  # type: ignore[arg-type]
            before = server.accepted
            with place.block(place.client(connect=connect)) as client:
                assert place.get(client, "http://a.example/ok").status_code == 200
            assert server.accepted == before + 1


def test_families_take_turns_in_the_given_order() -> None:
    v4 = [(V4, (f"10.0.0.{n}", 80)) for n in range(3)]
    v6 = [(V6, (f"::{n}", 80, 0, 0)) for n in range(2)]
    connect = adieu.Connect(family="prefer-ipv6")
    assert connect.chosen([*v4, *v6], "x") == [v6[0], v4[0], v6[1], v4[1], v4[2]]
    assert adieu.Connect().chosen([*v4, *v6], "x") == [*v4, *v6]


# Source address and interface


def test_connections_come_from_the_source_address(place: Place) -> None:
    connect = adieu.Connect(
        source_address="127.0.0.3", addresses={"a.example": ["::1", "127.0.0.1"]}
    )
    with place.block(place.client(connect=connect)) as client:
        assert place.get(client, "/who").content == b"127.0.0.3"
        # The other family cannot be reached from this address.
        url = f"http://a.example:{place.server.port}/who"
        assert place.get(client, url).content == b"127.0.0.3"
        error = caught(adieu.ConnectError, place.get, client, f"http://[::1]:{place.server.port}/")
        assert "it has no address for source_address='127.0.0.3', only ::1" in str(error)


def test_a_source_address_of_another_machine_is_an_error(place: Place) -> None:
    connect = adieu.Connect(
        source_address="192.0.2.77", addresses={"a.example": ["127.0.0.1", "127.0.0.2"]}
    )
    with place.block(place.client(connect=connect)) as client:
        for url in (place.server.url, "http://a.example/"):
            error = caught(adieu.ConnectError, place.get, client, url)
            assert str(error).startswith("source_address='192.0.2.77' cannot be used: ")
        assert client.connections() == []


@LINUX
def test_connections_go_over_the_interface(place: Place) -> None:
    with place.block(place.client(connect=adieu.Connect(interface="lo"))) as client:
        try:
            assert place.get(client, "/ok").status_code == 200
        except adieu.ConnectError as refused:
            if "Operation not permitted" not in str(
                refused
            ):  # Before Linux 5.7, only root may choose.
                raise
    with place.block(place.client(connect=adieu.Connect(interface="nowhere0"))) as client:
        error = caught(adieu.ConnectError, place.get, client, "/ok")
        assert str(error).startswith("interface='nowhere0' cannot be used: ")
        assert client.connections() == []


def test_an_interface_is_refused_on_systems_without_this_option(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(socket, "SO_BINDTODEVICE", raising=False)
    with pytest.raises(
        adieu.InvalidRequest, match="interface= works on Linux alone; elsewhere give source"
    ):
        adieu.Connect(interface="eth0")


# Options of sockets


def test_options_are_set_before_connecting(fault_server: FaultServer) -> None:
    options: list[tuple[int, int, int | bytes]] = [
        (socket.SOL_SOCKET, socket.SO_RCVBUF, 4096),
        (socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\5\0\0\0"),
    ]
    connect = adieu.Connect(socket_options=options, tcp_keep_alive=17)
    scope, sock = opened(connect, fault_server.port)
    try:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 16384
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == options[1][2]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 17
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 17
    finally:
        scope.close()


def test_they_are_set_on_async_sockets_too(fault_server: FaultServer) -> None:
    async def main() -> None:
        connect = adieu.Connect(tcp_keep_alive=30)
        scope = ConnectScope(Deadline(adieu.Timeout()), None, connect)
        origin = Origin("http", "127.0.0.1", fault_server.port)
        stream: Any = await AsyncTCPWire().open(origin, scope)
        assert stream._sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        scope.close()

    asyncio.run(main())


def test_an_unknown_option_is_an_error(place: Place) -> None:
    connect = adieu.Connect(
        socket_options=[(socket.IPPROTO_TCP, 9999, 1)],
        addresses={"a.example": ["127.0.0.1", "127.0.0.2"]},
    )
    with place.block(place.client(connect=connect)) as client:
        for url in (place.server.url, "http://a.example/"):
            error = caught(adieu.ConnectError, place.get, client, url)
            assert str(error).startswith(
                f"socket option ({int(socket.IPPROTO_TCP)}, 9999, 1) cannot be used"
            )
        assert client.connections() == []


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="this interpreter counts no references")
def test_no_failure_makes_a_cycle(place: Place) -> None:
    def fail(host: str, port: int) -> str:
        raise adieu.DNSError("no") if host == "a.example" else OSError("no")

    settings: list[dict[str, Any]] = [
        {"resolver": fail},
        {
            "socket_options": [(socket.IPPROTO_TCP, 9999, 1)],
            "addresses": {"a.example": "127.0.0.1", "b.example": ["127.0.0.1", "127.0.0.2"]},
        },
        {"family": "ipv4", "addresses": {"a.example": "::1", "b.example": "::1"}},
    ]
    gc.collect()
    gc.freeze()  # Without objects that a thread of an earlier test may still hold and free meanwhile.
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for setting in settings:
            with place.block(place.client(connect=adieu.Connect(**setting))) as client:
                for host in ("a.example", "b.example"):
                    with pytest.raises(adieu.ConnectError):
                        place.get(client, f"http://{host}:1/")
        gc.garbage.clear()
        gc.collect()
        assert [
            thing for thing in gc.garbage if isinstance(thing, (adieu.AdieuError, ConnectScope))
        ] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


# The places for settings


def test_a_mount_may_have_settings_of_its_own(place: Place) -> None:
    adapter = place.made()
    client = place.client(adapter=adapter)
    client.mount(
        f"{place.server.url}/who", adapter, connect=adieu.Connect(source_address="127.0.0.4")
    )
    with place.block(client):
        assert place.get(client, "/ok").status_code == 200
        # One adapter, one origin; but not one connection.
        assert place.get(client, "/who").content == b"127.0.0.4"
        assert place.get(client, "/ok").status_code == 200
        if place.adapter != "close":
            assert place.server.accepted == 2


def test_a_one_shot_takes_it_too(fault_server: FaultServer) -> None:
    fault_server.on("/who", _who)
    connect = adieu.Connect(source_address="127.0.0.5")
    assert adieu.get(f"{fault_server.url}/who", connect=connect).content == b"127.0.0.5"
    with adieu.stream("GET", f"{fault_server.url}/who", connect=connect) as response:
        assert response.read() == b"127.0.0.5"


@pytest.mark.parametrize("kind", [adieu.Client, adieu.AsyncClient])
def test_what_is_no_connect_is_refused_at_once(kind: Any) -> None:
    with pytest.raises(adieu.InvalidRequest, match=r"connect= is an adieu\.Connect, not dict"):
        kind(connect={"family": "ipv4"})
    client = kind()
    with pytest.raises(adieu.InvalidRequest, match=r"connect= is an adieu\.Connect, not str"):
        client.mount("http://a.example/", "native", connect="eth0")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"addresses": "127.0.0.1"}, "addresses= maps hosts to addresses"),
        ({"addresses": 5}, "addresses= maps hosts to addresses"),
        ({"addresses": {"a b": "127.0.0.1"}}, "'a b' cannot be a key"),
        ({"addresses": {"http://a.example": "127.0.0.1"}}, "cannot be a key: it is a host"),
        ({"addresses": {"a.example/x": "127.0.0.1"}}, "cannot be a key"),
        ({"addresses": {"fe80::1": "fe80::1%lo"}}, "key: an IPv6 address stands in brackets"),
        ({"addresses": {"*.a.example": "127.0.0.1"}}, "key: it names one host; resolver= answers"),
        ({"addresses": {"u@a.example": "127.0.0.1"}}, "cannot be a key"),
        ({"addresses": {"": "127.0.0.1"}}, "cannot be a key"),
        ({"addresses": {"a.example:99999": "127.0.0.1"}}, "cannot be a key"),
        ({"addresses": {7: "127.0.0.1"}}, "7 cannot be a key"),
        ({"addresses": {"a.example": "1.1.1.1", "A.EXAMPLE.": "1.1.1.1"}}, "it occurs twice"),
        ({"addresses": {"a.example": []}}, "there is no address for 'a.example'"),
        ({"addresses": {"a.example": "b.example"}}, "'b.example' is not an address"),
        ({"addresses": {"a.example": None}}, "'None' is not an address"),
        ({"addresses": {"a.example": "127.0.0.1:99999"}}, "port beyond 65535"),
        ({"resolver": "8.8.8.8"}, "resolver= is a function of host and port"),
        ({"family": 4}, "family= is 'ipv4', 'ipv6', 'prefer-ipv4', 'prefer-ipv6' or None, not 4"),
        ({"family": "prefer-prefer-ipv4"}, "family= is"),
        ({"source_address": "localhost"}, "source_address=: 'localhost' is not an address"),
        ({"source_address": "127.0.0.1:80"}, "source_address=: the system chooses the port"),
        ({"source_address": ("127.0.0.1", 0)}, "source_address=: "),
        ({"source_address": "::1", "family": "ipv4"}, "is not of family='ipv4'"),
        ({"interface": ""}, "interface= is the name of one"),
        ({"interface": "e" * 16}, "interface= is the name of one"),
        ({"interface": "a\0b"}, "interface= is the name of one"),
        ({"socket_options": (6, 1, 1)}, "socket_options= is a list of (level, option, value)"),
        ({"socket_options": 5}, "socket_options= is a list"),
        ({"socket_options": [(6, 1)]}, "socket_options= is a list"),
        ({"socket_options": [(6, 1, "1")]}, "socket_options= is a list"),
        ({"tcp_keep_alive": 0}, "tcp_keep_alive= is seconds from 1 to 32767"),
        ({"tcp_keep_alive": True}, "tcp_keep_alive= is seconds"),
        ({"tcp_keep_alive": float("nan")}, "tcp_keep_alive= is seconds"),
        ({"tcp_keep_alive": "60"}, "tcp_keep_alive= is seconds"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_set(settings: Any, text: str) -> None:
    with pytest.raises(adieu.InvalidRequest) as caught:
        adieu.Connect(**settings)
    assert text in str(caught.value)


def test_settings_are_a_value_that_pickles() -> None:
    settings: dict[str, Any] = {
        "addresses": {"bücher.example": ["10.0.0.1", "[::1]:8443"], "[::1]": "10.0.0.1"},
        "resolver": resolve_async,
        "family": "prefer-ipv6",
        "source_address": "10.0.0.9",
        "socket_options": [(6, 1, 1)],
        "tcp_keep_alive": 60,
    }
    connect = adieu.Connect(**settings)
    assert connect.addresses[0] == ("xn--bcher-kva.example", ("10.0.0.1", "[::1]:8443"))
    assert connect == adieu.Connect(**settings) == connect.replace()
    assert connect != connect.replace(family=None)
    assert len({connect, adieu.Connect(**settings), connect.replace(family=None)}) == 2
    assert pickle.loads(pickle.dumps(connect)) == connect
    assert "prefer-ipv6" in repr(connect)


@given(
    st.one_of(
        st.text(max_size=60), st.ip_addresses().map(str), st.integers(), st.binary(max_size=20)
    )
)
def test_whatever_an_address_is_it_is_one_or_refused(text: Any) -> None:
    try:
        family, place = parse_address(text, 80)
    except adieu.InvalidRequest:
        return
    assert ipaddress.ip_address(place[0]).version == (4 if family == V4 else 6)
    assert 0 <= place[1] < 65536
    assert len(place) == (2 if family == V4 else 4)


@given(st.text(alphabet="0123456789abcdef:.%[]", max_size=40))
def test_what_looks_like_an_address_is_one_or_refused(text: str) -> None:
    try:
        _, place = parse_address(text, 80)
    except adieu.InvalidRequest:
        return
    with socket.socket(V6 if len(place) == 4 else V4) as sock:
        socket.inet_pton(sock.family, place[0])


@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_address_is_understood(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int
) -> None:
    spelled = f"[{address}]" if address.version == 6 else str(address)
    for form in (address, str(address), spelled):
        family, place = parse_address(form, port)
        assert family == (V6 if address.version == 6 else V4)
        assert ipaddress.ip_address(place[0]) == address
        assert place[1] == port
    assert parse_address(f"{spelled}:{port}", 1)[1][1] == port


@given(st.dictionaries(st.text(max_size=30), st.text(max_size=20), max_size=3))
def test_whatever_is_pinned_it_is_understood_or_refused(pins: dict[str, str]) -> None:
    try:
        connect = adieu.Connect(addresses=pins)
    except adieu.InvalidRequest:
        return
    assert connect.replace() == connect


# Old servers


@pytest.mark.parametrize("offer", [b"", b"Connection: keep-alive\r\n"])
def test_a_connection_to_a_server_of_http_1_0_serves_once(place: Place, offer: bytes) -> None:
    # What it offers hung clients when proxies were in between (RFC 9112, appendix C.2.2).
    place.server.reply("/old", b"HTTP/1.0 200 OK\r\n" + offer + b"Content-Length: 2\r\n\r\nok")
    with place.block(place.client()) as client:
        for _ in range(2):
            response = place.get(client, "/old")
            assert (response.content, response.http_version) == (b"ok", "HTTP/1.0")
            assert client.connections() == []
        assert place.server.accepted == 2
