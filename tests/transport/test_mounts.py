"""Mounts: the parsed parts of the URL choose the adapter, for every hop again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import adieu
from adieu.texts import mask_url
from adieu.transport.mount_pattern import Pattern
from support.clients import ADAPTERS, sockets
from support.mounted import answering, client_with, served_by

if TYPE_CHECKING:
    from adieu.testing.faults import FaultServer

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("census")]


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


MATCHING = [
    # parts that a pattern leaves out
    ("https://api.example.org", "https://api.example.org/"),
    ("https://api.example.org", "https://api.example.org/v1?q=1#f"),
    ("https://api.example.org/", "https://api.example.org"),
    ("https://", "https://anything.example:8443/x"),
    ("https:///", "https://anything.example/"),
    ("*://", "mock://anything/"),
    ("*://", "https://anything.example/"),
    ("mock://", "mock://anything/at/all"),
    ("mock://", "mock:opaque"),
    ("*://api.example.org", "https://api.example.org/"),
    ("*://api.example.org", "http://api.example.org:8080/"),
    # whole segments
    ("https://api.example.org/v1", "https://api.example.org/v1"),
    ("https://api.example.org/v1", "https://api.example.org/v1/"),
    ("https://api.example.org/v1", "https://api.example.org/v1/users"),
    ("https://api.example.org/v1", "https://api.example.org/v1?q"),
    ("https://api.example.org/v1/", "https://api.example.org/v1"),
    ("https://api.example.org/v1", "https://api.example.org/v0/../v1/x"),
    ("https://api.example.org/v1", "https://api.example.org/v0/%2e%2E/v1/x"),
    ("https://api.example.org/./v1/x/..", "https://api.example.org/v1"),
    ("https://api.example.org/a b", "https://api.example.org/a%20b/c"),
    ("https://api.example.org/%7Euser", "https://api.example.org/~user/"),
    ("https://api.example.org/~user", "https://api.example.org/%7euser"),
    ("https://api.example.org/a%2Fb", "https://api.example.org/a%2fb/c"),
    ("https://api.example.org/ü", "https://api.example.org/%C3%BC"),
    ("https://api.example.org/%c3%bc", "https://api.example.org/ü"),
    ("https://api.example.org/a//b", "https://api.example.org/a//b/c"),
    # ports
    ("https://api.example.org:443", "https://api.example.org/"),
    ("https://api.example.org", "https://api.example.org:443/"),
    ("http://api.example.org:", "http://api.example.org:80/"),
    ("http://api.example.org:08080", "http://api.example.org:8080/"),
    ("http://localhost:*", "http://localhost/"),
    ("http://localhost:*/", "http://localhost:5000/x"),
    ("http://localhost:*/v1", "http://localhost:5000/v1/x"),
    ("http://localhost:0", "http://localhost:0/"),
    ("mock://host:7", "mock://host:7/"),
    ("mock://host:*", "mock://host/"),
    ("mock://host:*", "mock://host:7/"),
    ("*://api.example.org:8443", "https://api.example.org:8443/"),
    ("*://api.example.org:443", "https://api.example.org/"),
    # case, dots, names in other alphabets
    ("HTTPS://API.Example.ORG/v1", "https://api.example.org/v1"),
    ("https://api.example.org", "HTTPS://API.EXAMPLE.ORG/"),
    ("https://api.example.org", "https://api.example.org./"),
    ("https://api.example.org.", "https://api.example.org/"),
    ("https://bücher.example", "https://xn--bcher-kva.example/"),
    ("https://xn--bcher-kva.example", "https://BÜCHER.example/"),
    ("https://bücher.example", "https://bücher。example/"),
    ("https://*.bücher.example", "https://www.xn--bcher-kva.example/"),
    # below a name
    ("https://*.example.org", "https://a.example.org/"),
    ("https://*.example.org", "https://a.b.example.org/"),
    ("https://*.example.org", "https://A.Example.Org./"),
    ("https://*.example.org.", "https://a.example.org/"),
    ("https://*.example.org:*/v1", "https://a.example.org:8443/v1/x"),
    ("*://*.example.org", "http://a.example.org:1/"),
    # addresses in every notation
    ("http://[::1]", "http://[::1]/"),
    ("http://[::1]:8080", "http://[0:0:0:0:0:0:0:1]:8080/"),
    ("http://[2001:DB8::0001]", "http://[2001:db8::1]/"),
    ("http://[::1]:*", "http://[::1]:9/"),
    ("http://127.0.0.1", "http://2130706433/"),
    ("http://127.1", "http://127.0.0.1/"),
    # userinfo does not matter
    ("https://api.example.org", "https://user:password@api.example.org/"),
    ("https://api.example.org", "https://evil.net@api.example.org/"),
    ("https://evil.net", "https://api.example.org@evil.net/"),
    ("https://evil.net", "https://api.example.org:443@evil.net/"),
    ("https://evil.net", "https://api.example.org%2F@evil.net/"),
    ("https://api.example.org", "https://api.example.org\\@evil.net/"),
    ("https://api.example.org", "https://api.example.org#@evil.net/"),
    ("https://api.example.org", "https://api.example.org?@evil.net/"),
]

NOT_MATCHING = [
    ("https://api.example.org//", "https://api.example.org/"),
    # a host is not a prefix
    ("https://api.example.org", "https://api.example.org.evil.net/"),
    ("https://api.example.org", "https://api.example.orgy/"),
    ("https://api.example.org", "https://evilapi.example.org/"),
    ("https://api.example.org", "https://x.api.example.org/"),
    ("https://api.example.org", "https://example.org/"),
    ("https://api.example.org", "https://api.example.org%2eevil.net/"),
    # userinfo is not a host
    ("https://api.example.org", "https://api.example.org@evil.net/"),
    ("https://api.example.org", "https://api.example.org:443@evil.net/"),
    ("https://api.example.org", "https://api.example.org:x@evil.net/"),
    ("https://api.example.org", "https://@evil.net/https://api.example.org/"),
    ("https://api.example.org", "https://evil.net/?https://api.example.org/"),
    ("https://api.example.org", "https://evil.net\\@api.example.org/"),
    # a segment is not a prefix
    ("https://api.example.org/v1", "https://api.example.org/v10"),
    ("https://api.example.org/v1/", "https://api.example.org/v10/"),
    ("https://api.example.org/v1", "https://api.example.org/v1.0"),
    ("https://api.example.org/v1", "https://api.example.org/"),
    ("https://api.example.org/v1", "https://api.example.org/V1"),
    ("https://api.example.org/v1", "https://api.example.org//v1"),
    ("https://api.example.org/v1", "https://api.example.org/x/v1"),
    ("https://api.example.org/v1", "https://api.example.org/v1/../admin"),
    ("https://api.example.org/v1", "https://api.example.org/v1/%2e%2e/admin"),
    ("https://api.example.org/v1", "https://api.example.org/v1%2Fx"),
    ("https://api.example.org/v1/users", "https://api.example.org/v1"),
    ("https://api.example.org/a/b", "https://api.example.org/a%2Fb"),
    ("https://api.example.org/a%2Fb", "https://api.example.org/a/b"),
    ("https://api.example.org/v1", "https://api.example.org/?/v1"),
    # ports
    ("https://api.example.org", "https://api.example.org:8443/"),
    ("https://api.example.org", "https://api.example.org:80/"),
    ("http://api.example.org:8080", "http://api.example.org/"),
    ("http://api.example.org:80", "http://api.example.org:8080/"),
    ("http://localhost:0", "http://localhost/"),
    ("http://localhost:0", "http://localhost:5000/"),
    ("mock://host", "mock://host:7/"),
    ("*://api.example.org:443", "http://api.example.org/"),
    # schemes
    ("https://api.example.org", "http://api.example.org/"),
    ("https://api.example.org", "http://api.example.org:443/"),
    ("https://", "http://api.example.org/"),
    ("http://", "https://api.example.org/"),
    ("mock://", "mocks://anything/"),
    # a subdomain is not the name, nor is a name with the same end
    ("https://*.example.org", "https://example.org/"),
    ("https://*.example.org", "https://evilexample.org/"),
    ("https://*.example.org", "https://example.org.evil.net/"),
    ("https://*.example.org", "https://a.example.org.evil.net/"),
    ("https://*.example.org", "https://a.example.org:8443/"),
    ("https://*.example.org", "https://a.example.org@evil.net/"),
    ("https://*.bücher.example", "https://bücher.example/"),
    # addresses
    ("http://[::1]", "http://127.0.0.1/"),
    ("http://[::1]", "http://[::1]:8080/"),
    ("http://127.0.0.1", "http://localhost/"),
]


@pytest.mark.parametrize(("pattern", "url"), MATCHING)
def test_a_pattern_matches_its_urls(pattern: str, url: str) -> None:
    with client_with(pattern) as client:
        assert served_by(client, url) == pattern


@pytest.mark.parametrize(("pattern", "url"), NOT_MATCHING)
def test_a_pattern_never_matches_urls_that_only_look_similar(pattern: str, url: str) -> None:
    with client_with(pattern) as client:
        assert served_by(client, url) == "default"


def test_the_adapter_gets_the_host_by_which_its_mount_was_chosen() -> None:
    seen: list[str] = []

    @adieu.adapter
    def note(request: adieu.Request) -> adieu.Response:
        seen.append(request.url.host)
        return adieu.Response(200)

    with adieu.Client(adapter=answering("default")) as client:
        client.mount("https://evil.net", note)
        client.get("https://api.example.org@evil.net/")
        client.get("https://api.example.org\\@evil.net/")
    assert seen == ["evil.net"]


REFUSED = [
    ("", "scheme://host:port/path"),
    ("api.example.org", "scheme://host:port/path"),
    ("//api.example.org", "scheme://host:port/path"),
    ("https:", "scheme://host:port/path"),
    ("https:/api.example.org", "scheme://host:port/path"),
    ("ht tp://api.example.org", "scheme://host:port/path"),
    ("https://api.example.org?q=1", "without query and fragment"),
    ("https://api.example.org/?token=password", "without query and fragment"),
    ("https://api.example.org/v1?", "without query and fragment"),
    ("https://api.example.org/#top", "without query and fragment"),
    ("https://api.example.org\\v1", "scheme://host:port/path"),
    ("https://user@api.example.org", "userinfo"),
    ("https://user:password@api.example.org", "userinfo"),
    ("https://@api.example.org", "userinfo"),
    ("https://api.example.org/*", "wildcards"),
    ("https://api.example.org/v*/x", "wildcards"),
    ("https://*", "leading '*.'"),
    ("https://*/v1", "leading '*.'"),
    ("https://*example.org", "leading '*.'"),
    ("https://api.*.org", "leading '*.'"),
    ("https://*.*.org", "leading '*.'"),
    ("https://*.", "leading '*.'"),
    ("https://*./v1", "leading '*.'"),
    ("https://*.:8443", "leading '*.'"),
    ("https://*.127.0.0.1", "below an address"),
    ("https://*.[::1]", "below an address"),
    ("https://:8443", "needs a host"),
    ("https://:*", "needs a host"),
    ("https:///v1", "needs a host"),
    ("https://api.example.org:http", "no mount pattern"),
    ("https://api.example.org:99999", "no mount pattern"),
    ("https://api.example.org:-1", "no mount pattern"),
    ("https://[::1", "no mount pattern"),
    ("https://::1", "no mount pattern"),
    ("https://api..example.org", "no mount pattern"),
    ("https://a b", "no mount pattern"),
    ("mock://*..", "empty label"),
    ("mock://.", "empty label"),
    ("mock://a..", "empty label"),
    (" https://api.example.org", "scheme://host:port/path"),
    ("https://api.example.org/a\nb", "no mount pattern"),
]


@pytest.mark.parametrize(("pattern", "text"), REFUSED)
def test_an_ambiguous_pattern_is_refused_when_it_is_mounted(pattern: str, text: str) -> None:
    with adieu.Client(adapter=answering("default")) as client:
        with pytest.raises(adieu.MountError) as caught:
            client.mount(pattern, answering("never"))
        assert text in str(caught.value)
        assert repr(mask_url(pattern)) in str(caught.value)
        assert "password" not in str(caught.value)
        assert len(list(client.mounts)) == 1


_PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [*"*.:/@%[]?#x1ß", "::1", "*.", ":*", ":0", ":99999", "xn--a", "%2e", "\ud800"]
        ),
        st.text(max_size=3),
    ),
    max_size=6,
).map("".join)


@given(st.sampled_from(["http", "https", "mock", "*", "all"]), _PIECES, _PIECES)
def test_any_text_is_a_pattern_that_can_be_printed_or_a_mount_error(
    scheme: str, authority: str, path: str
) -> None:
    for text in (f"{scheme}://{authority}", f"{scheme}://{authority}/{path}", authority + path):
        try:
            pattern = Pattern.parse(text)
        except adieu.MountError:
            continue
        assert Pattern.parse(str(pattern)) == pattern


@pytest.mark.parametrize("pattern", [None, b"https://api.example.org", 7, adieu.URL("https://a/")])
def test_a_pattern_that_is_no_text_is_refused(pattern: object) -> None:
    client = adieu.Client(adapter=answering("default"))
    with client, pytest.raises(adieu.MountError, match="no mount pattern"):
        client.mount(pattern, answering("never"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("https://api.example.org", "https://api.example.org"),
        ("https://api.example.org", "https://api.example.org/"),
        ("https://api.example.org/v1", "https://api.example.org/v1/"),
        ("https://api.example.org", "HTTPS://API.example.org:443"),
        ("https://api.example.org", "https://api.example.org."),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://[::1]", "http://[0:0::1]:80"),
        ("http://127.0.0.1", "http://127.1"),
        ("https://api.example.org/%7Ea", "https://api.example.org/~a"),
        ("https://api.example.org/a%2fb", "https://api.example.org/a%2Fb"),
        ("*://api.example.org", "*://api.example.org:*"),
        ("mock://", "MOCK:///"),
        ("*://", "all://"),
        ("*://*.example.org", "ALL://*.example.org"),
        ("https://*.example.org", "https://*.EXAMPLE.org/"),
    ],
)
def test_two_equivalent_patterns_cannot_both_be_mounted(first: str, second: str) -> None:
    with client_with(first) as client:
        with pytest.raises(adieu.MountError, match="is mounted already: unmount it first, or"):
            client.mount(second, answering("second"))
        client.mount("unrelated://", answering("unrelated"))
        assert len(list(client.mounts)) == 3


ALL_AT_ONCE = [
    "*://",
    "https://",
    "*://*.example.org",
    "https://*.example.org:*",
    "https://*.example.org",
    "https://*.example.org/v1",
    "https://*.api.example.org",
    "*://api.example.org",
    "https://api.example.org:*",
    "https://api.example.org",
    "https://api.example.org/v1",
    "https://api.example.org/v1/users",
    "https://api.example.org:8443/v1",
]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("url", "winner"),
    [
        ("mock://x/", "*://"),
        ("http://example.org/", "*://"),
        ("https://example.org/", "https://"),
        ("http://x.example.org/", "*://*.example.org"),
        ("https://x.example.org:444/", "https://*.example.org:*"),
        ("https://x.example.org/", "https://*.example.org"),
        ("https://x.example.org/v1/y", "https://*.example.org/v1"),
        ("https://x.api.example.org/v1/y", "https://*.api.example.org"),
        ("http://api.example.org/", "*://api.example.org"),
        ("https://api.example.org:9/", "https://api.example.org:*"),
        ("https://api.example.org/", "https://api.example.org"),
        ("https://api.example.org/v10", "https://api.example.org"),
        ("https://api.example.org/v1", "https://api.example.org/v1"),
        ("https://api.example.org/v1/user", "https://api.example.org/v1"),
        ("https://api.example.org/v1/users/7", "https://api.example.org/v1/users"),
        ("https://api.example.org:8443/v1/users", "https://api.example.org:8443/v1"),
        ("https://api.example.org:8443/v2", "https://api.example.org:*"),
    ],
)
def test_the_most_specific_pattern_wins_in_any_order_of_mounting(
    order: int, url: str, winner: str
) -> None:
    with client_with(*ALL_AT_ONCE[::order]) as client:
        assert served_by(client, url) == winner
        # And again, from the cache.
        assert served_by(client, url) == winner


def test_a_later_mount_is_used_at_once() -> None:
    with client_with("https://*.example.org") as client:
        assert served_by(client, "https://api.example.org/v1") == "https://*.example.org"
        client.mount("https://api.example.org/v1", answering("later"))
        assert served_by(client, "https://api.example.org/v1") == "later"
        assert served_by(client, "https://api.example.org/v2") == "https://*.example.org"


def test_more_origins_than_the_cache_holds_are_still_distinguished() -> None:
    with client_with("https://*.example.org", "https://even.example.net") as client:
        for number in range(2100):
            host = f"https://h{number}.example.org/" if number % 2 else f"https://h{number}.org/"
            expected = "https://*.example.org" if number % 2 else "default"
            assert served_by(client, host) == expected
        assert served_by(client, "https://h1.example.org/") == "https://*.example.org"


def test_explain_gives_the_reason_for_each_mount() -> None:
    patterns = [
        "https://api.example.org/v1",
        "https://api.example.org:8443",
        "https://*.example.org",
        "https://*.example.net",
        "http://api.example.org",
        "https://www.example.org",
    ]
    with client_with(*patterns) as client:
        text = client.mounts.explain("https://user:secret@API.example.org/v1/users?q=1")
        first, *others = text.splitlines()
        assert first.startswith("https://api.example.org/v1/users?q=1 is served by <mount ")
        assert "https://api.example.org/v1" in first.partition("<mount")[2]
        reasons = {line.strip() for line in others}
        assert reasons == {
            "not https://api.example.org:8443/: port 443 is not 8443",
            "not https://*.example.org/: a more specific one matches",
            "not https://*.example.net/: host api.example.org is not below example.net",
            "not http://api.example.org/: scheme https is not http",
            "not https://www.example.org/: host api.example.org is not www.example.org",
        }
        assert "secret" not in text


def test_explain_names_the_default_and_the_path_that_did_not_match() -> None:
    with client_with("https://api.example.org/v1") as client:
        text = client.mounts.explain(adieu.URL("https://api.example.org/v10"))
        assert "is served by <mount default: adapter(" in text
        assert "not https://api.example.org/v1: path /v10 is not below /v1" in text


def test_explain_agrees_with_the_adapter_that_serves() -> None:
    with client_with(*ALL_AT_ONCE) as client:
        for url in ("https://api.example.org/v1", "https://x.example.org/v1", "mock://a/"):
            winner = Pattern.parse(served_by(client, url))
            assert f"is served by <mount {winner}: " in client.mounts.explain(url)


def test_explain_makes_no_adapter_and_opens_nothing() -> None:
    with adieu.Client() as client:
        assert "<mount default: not used yet>" in client.mounts.explain("https://example.org/")
        assert client.mounts.select(adieu.URL("https://example.org/")).made is None


@pytest.mark.parametrize(
    "pattern", sorted({pattern for pattern, _ in (*MATCHING, *NOT_MATCHING)} | {*ALL_AT_ONCE})
)
def test_a_printed_pattern_can_be_parsed_again(pattern: str) -> None:
    parsed = Pattern.parse(pattern)
    assert Pattern.parse(str(parsed)) == parsed


def test_the_mounts_of_a_client_can_be_listed() -> None:
    with client_with("https://api.example.org/v1", "mock://") as client:
        assert [str(mount.pattern or "default") for mount in client.mounts] == [
            "https://api.example.org/v1",
            "mock://",
            "default",
        ]
        assert "mock://" in repr(client.mounts)


def test_a_redirect_leaves_its_mount(fault_server: FaultServer, adapter: str) -> None:
    fault_server.reply("/goal", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nreal")

    @adieu.adapter
    def elsewhere(request: adieu.Request) -> adieu.Response:
        return adieu.Response(302, {"location": f"{fault_server.url}/goal"})

    with adieu.Client(adapter=adapter) as client:
        client.mount(f"{fault_server.url}/mounted", elsewhere)
        response = client.get(f"{fault_server.url}/mounted/x")
        assert response.content == b"real"
        assert [hop.status_code for hop in response.history] == [302]
        assert [request.path for request in fault_server.requests] == ["/goal"]
    assert sockets(fault_server) == 0


def test_a_redirect_arrives_at_a_mount(fault_server: FaultServer, adapter: str) -> None:
    with adieu.Client(adapter=adapter) as client:
        client.mount(f"{fault_server.url}/mounted", answering("mounted"), from_network=True)
        response = client.get(f"{fault_server.url}/redirect?n=2&to=/mounted/x&body=100")
        assert response.headers["served-by"] == "mounted"
        assert [hop.status_code for hop in response.history] == [302, 302]
        assert [request.path for request in fault_server.requests] == ["/redirect", "/redirect"]
    assert sockets(fault_server) == 0


def test_a_redirect_to_a_host_that_only_begins_like_a_mount_never_reaches_it() -> None:
    @adieu.adapter
    def inside(request: adieu.Request) -> adieu.Response:
        location = "https://api.example.org.evil.net/" if request.url.path == "/1" else "//evil.net"
        return adieu.Response(302, {"location": location})

    with adieu.Client(adapter=answering("default")) as client:
        client.mount("https://api.example.org", inside)
        assert client.get("https://api.example.org/1").headers["served-by"] == "default"
        assert client.get("https://api.example.org/2").headers["served-by"] == "default"


def test_a_mount_has_a_policy_of_its_own(fault_server: FaultServer, adapter: str) -> None:
    with adieu.Client(adapter=adapter) as client:
        client.mount(f"{fault_server.url}/bytes", adapter, cleanup=adieu.CloseOnExit())
        response = client.get(f"{fault_server.url}/bytes?n=500000")
        # The mount hands out streams; the client itself prefetches.
        assert not response.is_closed
        assert sockets(fault_server) == 1
        assert len(response.read()) == 500_000
        assert sockets(fault_server) == 0
        sent = fault_server.requests[-1]
        assert sent.header("connection") == "close"

        client.get(f"{fault_server.url}/ok")
        kept = 0 if adapter == "close" else 1
        assert sockets(fault_server) == kept
    assert sockets(fault_server) == 0


def test_the_policy_of_a_request_wins_over_that_of_its_mount(
    fault_server: FaultServer, adapter: str
) -> None:
    with adieu.Client(adapter=adapter, cleanup=adieu.ReleaseOnRead()) as client:
        client.mount(fault_server.url, adapter, cleanup=adieu.CloseOnExit())
        response = client.get(f"{fault_server.url}/bytes?n=500000", cleanup=adieu.Prefetch())
        assert response.is_closed
        assert len(response.content) == 500_000
    assert sockets(fault_server) == 0


def test_the_policy_of_each_hop_is_that_of_its_mount(fault_server: FaultServer) -> None:
    asked: list[tuple[str, int]] = []

    class Noting(adieu.ReleaseOnRead):
        def on_close(self, view: adieu.View, why: object) -> object:  # type: ignore[override]
            asked.append((str(why), view.hop))
            return adieu.CLOSE

    with adieu.Client(adapter="native") as client:
        client.mount(f"{fault_server.url}/redirect", "native", cleanup=Noting())
        response = client.get(f"{fault_server.url}/redirect?body=100000&to=/bytes?n=5")
        assert len(response.content) == 5
        assert asked == [("redirect", 0)]
    assert sockets(fault_server) == 0


def test_a_mount_is_closed_with_its_client_and_only_if_it_was_used(
    fault_server: FaultServer,
) -> None:
    closed: list[str] = []

    class Closing(adieu.Middleware):
        def __init__(self, name: str) -> None:
            super().__init__(answering(name))
            self.name = name

        def close(self) -> adieu.CloseReport | None:
            closed.append(self.name)
            return super().close()

    shared = Closing("shared")
    with adieu.Client(adapter=Closing("default")) as client:
        client.mount("mock://a", shared)
        client.mount("mock://b", shared)
        client.mount("mock://c", "native")
        unused = client.mounts.select(adieu.URL("mock://c/"))
    assert sorted(closed) == ["default", "shared"]
    assert unused.made is None


def test_a_closed_client_refuses_mounts() -> None:
    client = adieu.Client(adapter=answering("default"))
    client.close()
    with pytest.raises(adieu.ClientClosed):
        client.mount("mock://", answering("late"))
