"""The guard: the addresses that each rule refuses, and that there is no way around it."""

from __future__ import annotations

import contextlib
import ipaddress
import pickle
import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import adieu
from adieu.lifecycle.deadline import Deadline
from adieu.net import dial
from adieu.net.address_rules import AddressRules
from adieu.net.scope import ConnectScope
from adieu_native import AsyncNativeAdapter, NativeAdapter
from support.clients import EventLog
from support.places import PLACES, Place, placed
from support.proxies import FaultProxy, SocksServer
from support.stage import caught

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adieu.testing import FaultServer
    from servers import TLSServer
    from support.watch import Watch

V4, V6 = socket.AF_INET, socket.AF_INET6


@pytest.fixture(params=PLACES)
def place(
    request: pytest.FixtureRequest, fault_server: FaultServer, census: Watch
) -> Iterator[Place]:
    yield from placed(request.param, fault_server, census)


def guarded(place: Place, inner: Any = None, **rules: Any) -> Any:
    kind: Any = adieu.AsyncGuard if place.is_async else adieu.Guard
    return kind(inner if inner is not None else place.made(), **rules)


def resolving(*answers: Any) -> tuple[Callable[[str, int], Any], list[str]]:
    """A resolver that returns these answers in turn, and the list of its questions."""
    asked: list[str] = []

    def resolve(host: str, port: int) -> Any:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return resolve, asked


def judged(address: str, **rules: Any) -> str | None:
    settings: dict[str, Any] = {"allow": (), "deny": (), "ports": None, "through_proxies": False}
    return AddressRules(**{**settings, **rules}).judge(ipaddress.ip_address(address))


# The rules


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("10.0.0.1", "private (RFC 1918), in 10.0.0.0/8"),
        ("100.64.0.1", "shared by a carrier's customers (RFC 6598), in 100.64.0.0/10"),
        ("100.127.255.255", "shared by a carrier"),
        ("100.100.100.200", "a cloud's metadata service"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("168.63.129.16", "a cloud's metadata service"),
        ("169.254.169.254", "a cloud's metadata service, in 169.254.169.254/32"),
        ("169.254.170.2", "a cloud's metadata service"),
        ("169.254.1.1", "link-local"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.0.0.1", "for protocols"),
        ("192.0.2.1", "for documentation"),
        ("192.88.99.1", "for 6to4 relays"),
        ("192.168.1.1", "private"),
        ("198.18.0.1", "for benchmarks"),
        ("198.51.100.1", "for documentation"),
        ("203.0.113.1", "for documentation"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "broadcast"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("100::1", "for what is to be dropped"),
        ("2001:2::1", "for protocols"),
        ("2001:db8::1", "for documentation"),
        ("3fff::1", "for documentation"),
        ("5f00::1", "for segment routing"),
        ("4000::1", "reserved"),
        ("64:ff9b:1::a00:1", "for NAT64 of a network's own"),
        ("fc00::1", "unique local"),
        ("fd12:3456::1", "unique local"),
        ("fd00:ec2::254", "a cloud's metadata service"),
        ("fe80::1", "link-local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
        # Addresses that embed one of those.
        ("::ffff:127.0.0.1", "another form of 127.0.0.1, which is loopback"),
        ("::ffff:a9fe:a9fe", "another form of 169.254.169.254, which is a cloud's metadata"),
        ("::ffff:0:10.0.0.1", "another form of 10.0.0.1, which is private"),
        ("::10.0.0.1", "another form of 10.0.0.1, which is private"),
        ("64:ff9b::10.0.0.1", "another form of 10.0.0.1, which is private"),
        ("64:ff9b::a9fe:a9fe", "another form of 169.254.169.254"),
        ("2002:7f00:1::1", "another form of 127.0.0.1, which is loopback"),
        # Teredo: the server, and the client with inverted bits.
        ("2001:0:a00:1:8000:0:a7a7:a7a7", "another form of 10.0.0.1, which is private"),
        ("2001:0:808:808:0:0:f5ff:fffe", "another form of 10.0.0.1, which is private"),
    ],
)
def test_an_address_that_is_not_public_is_refused_with_its_rule(address: str, rule: str) -> None:
    why = judged(address)
    assert why is not None
    assert rule in why


@pytest.mark.parametrize(
    "address",
    [
        *("8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1"),
        *("169.253.0.1", "223.255.255.255", "192.0.1.1", "11.0.0.1", "128.0.0.1"),
        *("2606:4700:4700::1111", "2a00:1450:4001:80f::200e", "2001:4860:4860::8888"),
        *("::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1", "::8.8.8.8"),
    ],
)
def test_a_public_address_is_allowed(address: str) -> None:
    assert judged(address) is None


@given(st.ip_addresses())
def test_addresses_that_the_standard_library_calls_private_are_refused(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    risky = address.is_loopback or address.is_link_local or address.is_multicast
    if risky or address.is_reserved or address.is_unspecified or not address.is_global:
        inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
        transitional = (
            address in ipaddress.ip_network("64:ff9b::/96") if address.version == 6 else False
        )
        public = inner is not None or transitional or str(address).startswith("::")
        # The exceptions of `is_global` differ between releases; all are within 192.0.0.0/24 and 2001::/23.
        if not public:
            assert judged(str(address)) is not None


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:0:0", "::ffff:0:0:0", "64:ff9b::", "::"]))
def test_every_form_of_an_address_is_checked_as_the_address(
    address: ipaddress.IPv4Address, prefix: str
) -> None:
    form = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) + int(address))
    # The compatible forms of 0.0.0.x include :: and ::1, which have rules of their own.
    assert (judged(str(form)) is None) == (judged(str(address)) is None)


def test_the_narrowest_network_decides() -> None:
    rules = {"allow": ["10.1.0.0/16", "10.2.3.4"], "deny": ["10.1.2.0/24", "8.8.8.8"]}
    assert judged("10.1.9.9", **rules) is None
    assert judged("::ffff:10.1.9.9", **rules) is None
    assert judged("64:ff9b::10.1.9.9", **rules) is None
    assert judged("10.2.3.4", **rules) is None
    assert "private" in str(judged("10.2.3.5", **rules))
    assert judged("10.1.2.3", **rules) == "denied, in 10.1.2.0/24"
    assert judged("8.8.8.8", **rules) == "denied, in 8.8.8.8/32"
    assert "another form of 8.8.8.8" in str(judged("::ffff:8.8.8.8", **rules))
    # Allowing a wide network does not allow the special networks in it.
    assert "metadata" in str(judged("169.254.169.254", allow="169.254.0.0/16"))
    assert judged("169.254.169.254", allow="169.254.169.254") is None
    assert "private" in str(judged("10.0.0.1", allow="0.0.0.0/0"))
    # Between equal networks the denial wins.
    assert judged("10.0.0.1", allow="10.0.0.0/8", deny="10.0.0.0/8") == "denied, in 10.0.0.0/8"


def test_a_guard_can_allow_the_named_networks_only() -> None:
    rules = {"allow": "9.9.9.0/24", "deny": ["0.0.0.0/0", "::/0"]}
    assert judged("9.9.9.9", **rules) is None
    for address in ("8.8.8.8", "2606:4700::1111", "10.0.0.1", "::1", "::ffff:8.8.8.8"):
        assert judged(address, **rules) is not None
    # It counts as the address that it embeds.
    assert judged("::ffff:9.9.9.9", **rules) is None


@pytest.mark.parametrize("name", ["allow", "deny"])
@pytest.mark.parametrize(
    "value",
    [
        "example.org",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "fe80::1%eth0",
        5,
        [5],
        [True],
        b"1234",
        [b"1234"],
        [None],
    ],
)
def test_invalid_networks_are_refused_when_they_are_given(name: str, value: Any) -> None:
    with pytest.raises(adieu.InvalidRequest, match=f"{name}= takes networks and addresses"):
        adieu.Guard(**{name: value})


@pytest.mark.parametrize("ports", [0, 65536, "80", [], [80, None], [True], 1.5])
def test_invalid_ports_are_refused_when_they_are_given(ports: Any) -> None:
    with pytest.raises(adieu.InvalidRequest, match="ports= takes numbers from 1 to 65535"):
        adieu.Guard(ports=ports)


@given(
    st.sampled_from([V4, V6, getattr(socket, "AF_UNIX", -1), 999]),
    st.one_of(st.text(max_size=40), st.ip_addresses().map(str), st.binary(max_size=8)),
)
def test_every_address_text_is_understood_or_refused(family: int, host: Any) -> None:
    rules = AddressRules((), (), None, False)
    try:
        allowed = rules.permitted([(family, (host, 80))], "x")
    except adieu.GuardError:
        return
    ipaddress.ip_address(str(allowed[0][1][0]).partition("%")[0])
    assert family in (V4, V6)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ((V4, ("internal.example", 80)), "no address, but would be looked up once more"),
        ((V4, ("127.1", 80)), "no address, but would be looked up once more"),
        ((V4, ("2130706433", 80)), "no address, but would be looked up once more"),
        ((V4, ("0177.0.0.1", 80)), "no address, but would be looked up once more"),
        ((V4, ("", 80)), "no address, but would be looked up once more"),
        ((V6, ("fe80::1%lo", 80, 0, 1)), "link-local"),
        ((V6, ("::ffff:127.0.0.1%1", 80, 0, 1)), "another form of 127.0.0.1"),
        ((1, "/run/docker.sock"), "no address of the Internet"),
    ],
)
def test_a_text_that_is_no_plain_address_is_refused(address: Any, why: str) -> None:
    with pytest.raises(adieu.GuardError) as caught:
        AddressRules((), (), None, False).permitted([address], "http://a.example")
    assert why in str(caught.value)


# Requests


def test_a_private_address_is_refused_before_connecting(place: Place) -> None:
    event_log = EventLog()
    with place.block(place.client(adapter=guarded(place), events=event_log)) as client:
        error = caught(adieu.GuardError, place.get, client, "/ok")
        assert str(error) == (
            f"the guard refuses {place.server.url}: 127.0.0.1 is loopback (RFC 1122, RFC 4291), in 127.0.0.0/8 "
            f"(GET {place.server.url}/ok)"
        )
        assert isinstance(error, adieu.GuardError)
        assert error.refused == (("127.0.0.1", "loopback (RFC 1122, RFC 4291), in 127.0.0.0/8"),)
        assert (error.phase, error.request_sent, error.method) == ("connect", "no", "GET")
        assert not error.retry_safe
        assert isinstance(error, adieu.ConnectError)
        assert client.connections() == []
    assert place.server.accepted == 0
    assert place.nothing_open()
    event_log.check()


def test_an_allowed_request_is_sent_and_its_connection_reused(place: Place) -> None:
    with place.block(place.client(adapter=guarded(place, allow="127.0.0.1"))) as client:
        for _ in range(3):
            assert place.get(client, "/ok").status_code == 200
        assert place.server.accepted == (3 if place.adapter == "close" else 1)


def test_a_name_that_changes_its_address_does_not_pass(place: Place) -> None:
    # A public address at the first look-up, and a private one at the second (DNS rebinding).
    resolver, asked = resolving("127.0.0.2", "127.0.0.1")
    adapter = guarded(place, deny="127.0.0.1", allow="127.0.0.2")
    connect = adieu.Connect(resolver=resolver)
    with place.block(place.client(adapter=adapter, connect=connect)) as client:
        url = f"http://rebound.example:{place.server.port}/ok"
        # adieu connects to the address that was checked, where there is no server.
        first = caught(adieu.ConnectError, place.get, client, url)
        assert not isinstance(first, adieu.GuardError)
        assert "127.0.0.2" in str(first)
        assert asked == ["rebound.example"]
        second = caught(adieu.GuardError, place.get, client, url)
        assert "127.0.0.1 is denied" in str(second)
        assert asked == ["rebound.example"] * 2
    assert place.server.accepted == 0


def test_only_the_allowed_addresses_of_a_name_are_tried(place: Place) -> None:
    connect = adieu.Connect(addresses={"a.example": ["10.0.0.1", "127.0.0.1", "::1", "fe80::1"]})
    adapter = guarded(place, allow="127.0.0.1")
    with place.block(place.client(adapter=adapter, connect=connect)) as client:
        assert place.get(client, f"http://a.example:{place.server.port}/ok").status_code == 200
    connect = adieu.Connect(
        addresses={"a.example": ["10.0.0.1", "::1", "fe80::1%1", "ff02::1", "::"]}
    )
    with place.block(place.client(adapter=guarded(place), connect=connect)) as client:
        error: Any = caught(adieu.GuardError, place.get, client, "http://a.example/")
        assert "10.0.0.1 is private" in str(error)
        assert str(error).endswith("; and 1 more (GET http://a.example/)")
        assert len(error.refused) == 5


def test_a_redirect_into_the_network_is_refused_on_its_hop(place: Place) -> None:
    place.server.reply(
        "/to-metadata",
        b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/\r\nContent-Length: 0\r\n\r\n",
    )
    place.server.reply(
        "/to-name",
        b"HTTP/1.1 302 Found\r\nLocation: http://inside.example/\r\nContent-Length: 0\r\n\r\n",
    )
    connect = adieu.Connect(addresses={"inside.example": "10.0.0.5"})
    adapter = guarded(place, allow="127.0.0.1")
    with place.block(place.client(adapter=adapter, connect=connect)) as client:
        error: Any = caught(adieu.GuardError, place.get, client, "/to-metadata")
        assert "169.254.169.254 is a cloud's metadata service" in str(error)
        assert error.url == "http://169.254.169.254/latest/"
        error = caught(adieu.GuardError, place.get, client, "/to-name")
        assert "10.0.0.5 is private" in str(error)
        place.next_works(client)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::1]", "[::ffff:7f00:1]"]
)
def test_no_spelling_of_an_address_passes(place: Place, host: str) -> None:
    with place.block(place.client(adapter=guarded(place))) as client:
        error = caught(adieu.GuardError, place.get, client, f"http://{host}:{place.server.port}/")
        assert "loopback" in str(error)
    assert place.server.accepted == 0


def test_a_connection_that_was_made_without_the_guard_is_not_used(place: Place) -> None:
    inner = place.made()
    client = place.client(adapter=inner)
    client.mount(f"{place.server.url}/guarded", guarded(place, inner))
    client.mount(f"{place.server.url}/allowed", guarded(place, inner, allow="127.0.0.1"))
    with place.block(client):
        assert place.get(client, "/ok").status_code == 200
        # The idle connection leads to the same origin and belongs to the same adapter.
        caught(adieu.GuardError, place.get, client, "/guarded")
        assert place.get(client, "/allowed").status_code == 404
        caught(adieu.GuardError, place.get, client, "/guarded")
        place.next_works(client)


def test_ports_can_be_limited(place: Place) -> None:
    port = place.server.port
    with place.block(
        place.client(adapter=guarded(place, allow="127.0.0.1", ports=[port]))
    ) as client:
        place.next_works(client)
        error = caught(adieu.GuardError, place.get, client, "http://127.0.0.1:22/")
        assert f"127.0.0.1 is asked for on port 22, which is none of {port}" in str(error)
    # The port of the connection counts.
    connect = adieu.Connect(addresses={"a.example": f"127.0.0.1:{port}"})
    adapter = guarded(place, allow="127.0.0.1", ports=80)
    with place.block(place.client(adapter=adapter, connect=connect)) as client:
        caught(adieu.GuardError, place.get, client, "http://a.example/")


def test_host_and_server_name_stay_those_of_the_url(place: Place, tls_server: TLSServer) -> None:
    connect = adieu.Connect(addresses={"localhost": "127.0.0.1"})
    client = place.client(
        adapter=guarded(place, allow="127.0.0.1"), connect=connect, verify=str(tls_server.ca_path)
    )
    with place.block(client):
        response = place.get(client, f"https://localhost:{tls_server.port}/echo")
        fields = {name.lower(): value for name, value in response.json()["headers"]}
        assert fields["host"] == f"localhost:{tls_server.port}"


# Behind a proxy


@pytest.fixture
def proxies() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("kind", ["http", "socks5h"])
def test_names_are_refused_behind_a_proxy_that_resolves_them(
    place: Place, proxies: contextlib.ExitStack, kind: str
) -> None:
    proxy: Any = proxies.enter_context(FaultProxy() if kind == "http" else SocksServer())
    url = f"{kind}://127.0.0.1:{proxy.port}"
    with place.block(place.client(adapter=guarded(place), proxy=url)) as client:
        for target in (f"http://a.example:{place.server.port}/", "https://a.example/"):
            error = caught(adieu.GuardError, place.get, client, target)
            assert (
                f"a.example is looked up by the proxy {url}, so that it cannot be checked"
                in str(error)
            )
            assert "Guard(through_proxies=True) leaves it to the proxy" in str(error)
        # Addresses are checked even if the proxy connects to them; the user chose the address of the proxy.
        error = caught(adieu.GuardError, place.get, client, "https://10.0.0.1/")
        assert "10.0.0.1 is private" in str(error)
    assert proxy.accepted == 0
    adapter = guarded(place, through_proxies=True, ports=[place.server.port])
    with place.block(place.client(adapter=adapter, proxy=url)) as client:
        assert place.get(client, f"http://a.example:{place.server.port}/ok").status_code == 200
        for host in ("localhost", "a.localhost", "127.0.0.1", "[::ffff:7f00:1]"):
            caught(adieu.GuardError, place.get, client, f"http://{host}:{place.server.port}/ok")
        caught(adieu.GuardError, place.get, client, "http://a.example/")


def test_names_that_adieu_resolves_for_a_proxy_are_checked(
    place: Place, proxies: contextlib.ExitStack
) -> None:
    proxy = proxies.enter_context(SocksServer())
    names = {"inside.example": "10.0.0.1", "here.example": ["10.0.0.1", "127.0.0.1"]}
    client = place.client(
        adapter=guarded(place, allow="127.0.0.1"),
        proxy=f"socks5://127.0.0.1:{proxy.port}",
        connect=adieu.Connect(addresses=names),
    )
    with place.block(client):
        error = caught(adieu.GuardError, place.get, client, "http://inside.example/")
        assert "10.0.0.1 is private" in str(error)
        url = f"http://here.example:{place.server.port}/ok"
        assert place.get(client, url).status_code == 200


@pytest.mark.parametrize("kind", ["socks5", "socks4"])
def test_a_proxy_is_asked_for_the_port_that_the_guard_has_judged(
    place: Place, proxies: contextlib.ExitStack, kind: str
) -> None:
    """An address that is set by `Connect` may have a port of its own: that one, and not the URL's, is connected to."""
    proxy = proxies.enter_context(SocksServer())
    pins = {"a.example": f"127.0.0.1:{place.server.port}", "b.example": "127.0.0.1:22"}
    client = place.client(
        adapter=guarded(place, allow="127.0.0.1", ports=[place.server.port]),
        proxy=f"{kind}://127.0.0.1:{proxy.port}",
        connect=adieu.Connect(addresses=pins),
    )
    with place.block(client):
        assert place.get(client, "http://a.example:25/ok").status_code == 200
        error = caught(
            adieu.GuardError, place.get, client, f"http://b.example:{place.server.port}/ok"
        )
        assert "127.0.0.1 is asked for on port 22" in str(error)
    assert [asked[1:3] for asked in proxy.asked] == [("127.0.0.1", place.server.port)]


# Adapters that cannot be guarded


class Deaf(adieu.Wire):
    """A wire that connects without asking the guard."""

    def open(self, origin: Any, scope: ConnectScope) -> Any:
        sock = dial.new_socket(scope, V4)
        sock.connect((origin.host, origin.port))
        return adieu.SocketStream(sock)


class Bypass(adieu.TCPWire):
    """A wire whose base class says that it asks, but it does not."""

    def open(self, origin: Any, scope: ConnectScope) -> Any:
        return Deaf().open(origin, scope)


@adieu.adapter
def nowhere(request: adieu.Request) -> adieu.Response:
    return adieu.Response(200)


class Silent(adieu.Middleware):
    """A middleware without an attribute about guards, so that of the inner adapter counts."""


@pytest.mark.parametrize(
    "inner",
    [
        lambda: nowhere,
        lambda: NativeAdapter(adieu.UnixWire("/run/docker.sock")),
        lambda: NativeAdapter(Deaf()),
        lambda: Silent(nowhere),
        adieu.Guard,
        lambda: Silent(adieu.Guard()),
    ],
    ids=["function", "unix", "wire", "wrapped", "guard", "wrapped guard"],
)
def test_an_adapter_that_never_asks_is_refused_at_once(inner: Callable[[], Any]) -> None:
    made = inner()
    with pytest.raises(adieu.InvalidRequest) as caught:
        adieu.Guard(made)
    assert "cannot be guarded: it does not say (by `honours`)" in str(caught.value)
    made.close()


def test_an_async_adapter_that_never_asks_is_refused_at_once() -> None:
    from adieu.net.async_wire import AsyncUnixWire

    for inner in (
        AsyncNativeAdapter(AsyncUnixWire("/run/docker.sock")),
        adieu.to_async(nowhere),
        adieu.to_async(adieu.Guard()),
    ):
        with pytest.raises(adieu.InvalidRequest, match="cannot be guarded"):
            adieu.AsyncGuard(inner)


def test_a_wire_that_wrongly_claims_to_ask_is_detected(fault_server: FaultServer) -> None:
    adapter = adieu.Guard(NativeAdapter(Bypass()), allow="127.0.0.1")
    with adieu.Client(adapter=adapter) as client:
        with pytest.raises(adieu.GuardError, match="connects without asking it"):
            client.get(f"{fault_server.url}/ok")
        assert client.connections() == []
    assert fault_server.served == 0


def test_wrappers_pass_the_guard_on(fault_server: FaultServer, census: Watch) -> None:
    for adapter in (adieu.Guard(Silent(NativeAdapter())), Silent(adieu.Guard())):
        with adieu.Client(adapter=adapter) as client, pytest.raises(adieu.GuardError):
            client.get(fault_server.url)


def test_a_guard_works_inside_and_around_to_async(fault_server: FaultServer) -> None:
    import asyncio

    async def refused(adapter: Any) -> None:
        async with adieu.AsyncClient(adapter=adapter) as client:
            with pytest.raises(adieu.GuardError, match=r"127\.0\.0\.1 is loopback"):
                await client.get(fault_server.url)

    asyncio.run(refused(adieu.AsyncGuard(adieu.to_async(NativeAdapter()))))
    asyncio.run(refused(adieu.to_async(adieu.Guard(NativeAdapter()))))
    assert fault_server.accepted == 0


def test_limits_are_for_the_adapter_that_the_guard_makes() -> None:
    adieu.Guard(limits=adieu.Limits(connections=1)).close()
    with pytest.raises(adieu.InvalidRequest, match="limits= is for the adapter"):
        adieu.Guard(NativeAdapter(), limits=adieu.Limits(connections=1))


def test_the_error_pickles_with_its_facts() -> None:
    error = adieu.GuardError("refused", refused=(("10.0.0.1", "private"),), method="GET")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.refused, copy.method) == ("refused", error.refused, "GET")


def test_a_guard_shows_its_rules() -> None:
    guard = adieu.Guard(NativeAdapter(), allow="10.0.0.0/8", ports=[443, 80], through_proxies=True)
    assert repr(guard) == (
        "Guard(NativeAdapter(0 connections), allow=['10.0.0.0/8'], ports=[80, 443], through_proxies=True)"
    )
    assert repr(adieu.Guard(NativeAdapter())) == "Guard(NativeAdapter(0 connections))"
    guard.close()


def test_a_connect_scope_has_no_guard_by_default() -> None:
    scope = ConnectScope(Deadline(adieu.Timeout()), None)
    assert dial.permitted([(V4, ("10.0.0.1", 80))], Any, scope) == [(V4, ("10.0.0.1", 80))]  # type: ignore[arg-type]
    assert not scope.checked
