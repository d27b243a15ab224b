"""Settings are checked when they are given: at construction, in a call, and when they are assigned to a client."""

from __future__ import annotations

import asyncio
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trustme

import adieu
from adieu.client.call_settings import CALL_OPTIONS, SEND_OPTIONS
from adieu.client.settings import CLIENT_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROXY = "http://p.example:1"

# For every option, values that it cannot have.
WRONG: dict[str, list[Any]] = {
    "adapter": [5, object(), adieu.Middleware],
    "auth": [5, ("user",), "user:password", adieu.BasicAuth, ["user", "password"]],
    "base_url": [5, b"https://a.example", ["https://a.example"], "https://a.example/?q=1"],
    "cert": [5, (), ("a", "b", "c", "d"), "/there/is/no/such.pem", True],
    "cleanup": [5, "close", adieu.Prefetch, True],
    "connect": [5, {"addresses": {}}, adieu.Connect, True],
    "cookies": [5, "a=b", b"a=b", True, [5]],
    "event_hooks": [
        5,
        [print],
        {"request": 5},
        {"request": print},
        {"request": "print"},
        {"request": [print, 5]},
        {"response": [None]},
        {"requests": [print]},
        {5: [print]},
    ],
    "events": [5, print, adieu.Events, True],
    "extras": [5, True, [("a", 1)], {5: 1}],
    "follow_redirects": ["no", 1, 0],
    "headers": [5, "a: b", b"a: b", [5], {"a b": "c"}, {"a": object()}, True],
    "limits": [5, (1, 2), adieu.Limits, True],
    "max_body": ["5", -1, 1.5, True],
    "max_redirects": ["x", -1, 1.5, True, None],
    "params": [5, "a=b", b"a=b", [5], {"a": object()}, True],
    "proxy": [
        5,
        True,
        "nonsense",
        "ftp://p.example",
        {"htp://": PROXY},
        {"ws://": PROXY},
        {"wss://*.example": PROXY},
        {"http://": 5},
        {5: PROXY},
        {"http://a.example/path": PROXY},
        {"http": PROXY},
        {"all://": PROXY, "*://": PROXY},
    ],
    "retry": [True, "3", -1, 1.5, adieu.Retry],
    "timeout": ["5", True, 0, -1, (1, 2), float("nan"), object()],
    "tls": [5, {}, True, adieu.TLSConfig, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)],
    "verify": [5, 1, None, "/there/is/no/such.pem", b"no PEM", ""],
}
# Names that are no options of a client, and options of requests only.
FOR_CALLS = {"extras"}
FIXED = {"adapter", "limits"}
CASES = [
    pytest.param(name, value, id=f"{name}-{nth}")
    for name, values in WRONG.items()
    for nth, value in enumerate(values)
]


class Sync:
    """Counts what is sent."""

    kind: Any = adieu.Client

    def __init__(self) -> None:
        self.sent: list[adieu.Request] = []
        self.exchanges: list[adieu.Exchange | adieu.AsyncExchange] = []

        @adieu.adapter
        def answer(request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
            self.sent.append(request)
            self.exchanges.append(exchange)
            return adieu.Response(200, body=b"here")

        self.adapter: Any = answer

    def client(self, *args: Any, **options: Any) -> Any:
        return self.kind(*args, **{"adapter": self.adapter, **options})

    def run(self, call: Callable[[], Any]) -> Any:
        return call()

    def get(self, client: Any, url: str = "https://a.example/", **options: Any) -> adieu.Request:
        """The request that a call sends."""
        self.run(lambda: client.get(url, **options))
        return self.sent[-1]


class Async(Sync):
    kind = adieu.AsyncClient

    def __init__(self) -> None:
        super().__init__()

        @adieu.adapter
        async def answer(
            request: adieu.Request, exchange: adieu.AsyncExchange
        ) -> adieu.AsyncResponse:
            self.sent.append(request)
            self.exchanges.append(exchange)
            return adieu.AsyncResponse(200, body=b"here")

        self.adapter = answer

    def run(self, call: Callable[[], Any]) -> Any:
        async def main() -> Any:
            return await call()

        return asyncio.run(main())


@pytest.fixture(params=[Sync, Async], ids=["sync", "async"])
def side(request: pytest.FixtureRequest) -> Sync:
    made: Sync = request.param()
    return made


def refused(option: str, call: Callable[[], Any]) -> None:
    """The call raises the error for a wrong setting, and its text names the option."""
    with pytest.raises((adieu.InvalidRequest, adieu.MountError)) as info:
        call()
    assert option.rstrip("s") in str(info.value).lower()


def test_the_table_has_every_option() -> None:
    assert WRONG.keys() == CLIENT_OPTIONS | SEND_OPTIONS
    assert WRONG.keys() - CALL_OPTIONS == FIXED | {
        "base_url",
        "connect",
        "event_hooks",
        "events",
        "max_redirects",
    }


@pytest.mark.parametrize(("option", "wrong"), CASES)
def test_a_wrong_setting_makes_no_client(side: Sync, option: str, wrong: Any) -> None:
    if option in FOR_CALLS:
        with pytest.raises(TypeError, match="unknown option 'extras'; known are adapter, auth, "):
            side.client(**{option: wrong})
    else:
        refused(option, lambda: side.client(**{option: wrong}))


@pytest.mark.parametrize(("option", "wrong"), CASES)
def test_a_wrong_option_of_a_call_sends_nothing(side: Sync, option: str, wrong: Any) -> None:
    client = side.client()
    request = client.build_request("GET", "https://a.example/")
    if option in CALL_OPTIONS:
        refused(option, lambda: side.get(client, **{option: wrong}))
        refused(option, lambda: client.event_stream("https://a.example/", **{option: wrong}))
    if option in SEND_OPTIONS:
        refused(option, lambda: side.run(lambda: client.send(request, **{option: wrong})))
        refused(option, lambda: client.map(["https://a.example/"], **{option: wrong}))
    else:
        with pytest.raises(TypeError, match=f"unknown option '{option}'; known are auth, cert, "):
            side.run(lambda: client.send(request, **{option: wrong}))
    assert side.sent == []
    assert side.get(client).url == adieu.URL("https://a.example/")


@pytest.mark.parametrize(("option", "wrong"), CASES)
def test_a_wrong_assignment_changes_nothing(side: Sync, option: str, wrong: Any) -> None:
    client = side.client()
    before = client._settings
    if option in FIXED:
        with pytest.raises(AttributeError, match=f"{option} cannot change .*: make another client"):
            setattr(client, option, wrong)
    elif option in FOR_CALLS:
        with pytest.raises(AttributeError, match="has no setting 'extras'; there are adapter, "):
            setattr(client, option, wrong)
    else:
        refused(option, lambda: setattr(client, option, wrong))
    assert client._settings is before
    assert side.get(client).url == adieu.URL("https://a.example/")


@pytest.mark.parametrize("wrong", [True, "5", -1, float("nan")])
def test_limits_are_numbers(wrong: Any) -> None:
    for name in ("connections", "per_origin", "idle", "age", "requests"):
        with pytest.raises(adieu.InvalidRequest, match=f"limits: {name} takes"):
            adieu.Limits(**{name: wrong})


def test_settings_that_contradict_each_other_are_refused(side: Sync) -> None:
    auth = ("user", "password")
    with pytest.raises(adieu.InvalidRequest, match=r"limits= is for an adapter chosen by name"):
        side.client(limits=adieu.Limits(3))
    with pytest.raises(adieu.InvalidRequest, match="tls= has all TLS settings"):
        side.client(tls=adieu.TLSConfig(), verify=False)
    client = side.client("https://a.example", headers={"Authorization": "x"})
    with pytest.raises(adieu.InvalidRequest, match="auth= and an Authorization header"):
        client.auth = auth
    with pytest.raises(adieu.InvalidRequest, match="tls= has all TLS settings"):
        side.get(client, tls=adieu.TLSConfig(), verify=False)
    del client.headers["authorization"]
    client.auth = auth
    with pytest.raises(adieu.InvalidRequest, match="auth= and an Authorization header"):
        client.headers = {"authorization": "x"}
    with pytest.raises(adieu.InvalidRequest, match="auth= and a user name in base_url"):
        client.base_url = "https://user:password@a.example"
    assert "authorization" in side.get(client, "/").headers


def test_a_function_that_is_awaited_is_no_hook_of_a_sync_client() -> None:
    async def hook(message: Any) -> None: ...

    hooks = {"response": [hook]}
    with pytest.raises(adieu.InvalidRequest, match="needs an AsyncClient"):
        adieu.Client(event_hooks=hooks)
    client = adieu.Client()
    with pytest.raises(adieu.InvalidRequest, match="needs an AsyncClient"):
        client.event_hooks = hooks
    assert adieu.AsyncClient(event_hooks=hooks).event_hooks["response"] == (hook,)


# -- what is assigned holds for the next call


def test_header_fields_change_in_place(side: Sync) -> None:
    client = side.client(headers={"X-A": "1", "Accept": "text/html"})
    assert client.headers["user-agent"].startswith("adieu/")
    assert client.headers == side.get(client).headers
    client.headers["X-B"] = "2"
    client.headers.add("X-B", "3")
    del client.headers["user-agent"]
    client.headers.update({"accept": None, "x-a": "4"})
    request = side.get(client, headers={"X-C": "5"})
    fields = {name.lower(): value for name, value in request.headers.items()}
    fields.pop("accept-encoding")
    assert fields == {"x-a": "4", "x-b": "2, 3", "x-c": "5"}
    with pytest.raises(adieu.InvalidHeader):
        client.headers["X-B"] = "2\r\n"
    assert "x-c" not in client.headers


def test_header_fields_are_assigned_as_they_are_given(side: Sync) -> None:
    client = side.client(headers={"X-A": "1"})
    held = client.headers
    given = {"X-B": "2", "accept": None}
    client.headers = given
    given["X-B"] = "3"
    held["X-A"] = "4"  # Of no client any more.
    headers = side.get(client).headers
    assert "x-a" not in headers
    assert "accept" not in headers
    assert headers["x-b"] == "2"
    assert headers["user-agent"].startswith("adieu/")


def test_header_fields_that_can_be_read_once_are_sent_every_time(side: Sync) -> None:
    client = side.client(headers=(pair for pair in [("X-A", "1")]))
    assert [side.get(client).headers["x-a"] for _ in range(2)] == ["1", "1"]


def test_copies_have_header_fields_of_their_own(side: Sync) -> None:
    import copy

    client = adieu.Client(headers={"X-A": "1"})
    client.headers["X-B"] = "2"
    del client.headers["accept"]
    copied = copy.copy(client)
    client.headers["X-A"] = "3"
    assert copied.headers["x-a"] == "1"
    assert copied.headers["x-b"] == "2"
    assert "accept" not in copied.headers
    assert copied.headers["accept-encoding"] == client.headers["accept-encoding"]


def test_the_base_url_and_the_parameters(side: Sync) -> None:
    client = side.client()
    assert client.base_url is None
    client.base_url = "https://b.example/v1"
    assert client.base_url == adieu.URL("https://b.example/v1")
    assert str(side.get(client, "x").url) == "https://b.example/v1/x"
    given = {"q": ["1", "2"]}
    client.params = given
    given["q"].append("3")
    assert client.params == {"q": ("1", "2")}
    assert str(side.get(client, "x").url) == "https://b.example/v1/x?q=1&q=2"
    with pytest.raises(TypeError):
        client.params["q"] = "4"
    client.params = [("a", 1)]
    assert str(side.get(client, "x").url) == "https://b.example/v1/x?a=1"
    client.params = client.base_url = None
    assert client.params is None
    assert str(side.get(client).url) == "https://a.example/"


def test_auth_goes_to_the_origin_of_the_base_url(side: Sync) -> None:
    client = side.client("https://a.example")
    client.auth = ("user", "password")
    assert isinstance(client.auth, adieu.BasicAuth)
    assert "authorization" in side.get(client, "/").headers
    client.base_url = "https://b.example"
    assert "authorization" in side.get(client, "/").headers
    assert "authorization" not in side.get(client, "https://a.example/").headers
    assert "authorization" not in side.get(client, "/", auth=None).headers
    client.auth = None
    assert "authorization" not in side.get(client, "/").headers


@pytest.mark.parametrize("given", [None, {"a": "1"}])
def test_a_cookie_by_name_is_for_the_host_of_the_base_url_at_that_time(
    side: Sync, given: dict[str, str] | None
) -> None:
    client = side.client("https://a.example", cookies=given)
    client.cookies["a"] = "1"
    client.base_url = "https://b.example"
    client.cookies["b"] = "2"
    assert side.get(client, "/").headers["cookie"] == "b=2"
    assert side.get(client, "https://a.example/").headers["cookie"] == "a=1"
    client.base_url = None
    with pytest.raises(adieu.InvalidRequest, match="has no host"):
        client.cookies["c"] = "3"


def test_a_jar_that_the_user_made_keeps_its_url(side: Sync) -> None:
    jar = adieu.Cookies(url="https://jar.example")
    client = side.client("https://a.example", cookies=jar)
    client.base_url = "https://b.example"
    client.cookies["b"] = "2"
    assert side.get(client, "https://jar.example/").headers["cookie"] == "b=2"
    jar.url = "https://c.example"
    jar["c"] = "3"
    assert [cookie.domain for cookie in jar] == ["jar.example", "c.example"]


def test_cookies_are_assigned_as_they_are_given(side: Sync) -> None:
    client = side.client("https://a.example", cookies={"a": "1"})
    jar = client.cookies
    client.cookies = {"b": "2"}
    assert client.cookies is not jar
    assert side.get(client, "/").headers["cookie"] == "b=2"
    client.cookies = jar
    assert client.cookies is jar
    assert side.get(client, "/").headers["cookie"] == "a=1"
    client.cookies = None
    assert len(client.cookies) == 0
    client.cookies = False
    with pytest.raises(adieu.InvalidRequest, match="keeps no cookies"):
        _ = client.cookies
    assert "cookie" not in side.get(client, "/").headers


def test_cookies_that_can_be_read_once_go_with_every_request_of_a_map() -> None:
    side = Sync()
    cookie = adieu.Cookie("a", "1", "a.example")
    with side.client() as client:
        wanted = ["https://a.example/1", "https://a.example/2"]
        for outcome in client.map(wanted, cookies=iter([cookie])):
            outcome.result()
    assert [request.headers["cookie"] for request in side.sent] == ["a=1", "a=1"]


def test_the_settings_of_an_exchange(side: Sync) -> None:
    client = side.client()
    values: dict[str, Any] = {
        "timeout": adieu.Timeout(total=9),
        "cleanup": adieu.ReleaseOnRead(),
        "connect": adieu.Connect(family="ipv4"),
        "events": (adieu.Events(),),
        "tls": adieu.TLSConfig(minimum_version="1.3"),
        "max_body": 99,
    }
    for name, value in values.items():
        setattr(client, name, value)
        assert getattr(client, name) is value
    side.get(client)
    exchange = side.exchanges[-1]
    assert exchange.deadline.timeout is values["timeout"]
    assert exchange.policy is values["cleanup"]
    assert exchange.connection.connect is values["connect"]
    assert exchange.events is not None
    assert exchange.events.listeners is values["events"]
    assert exchange.connection.tls is values["tls"]
    assert exchange.max_body == 99
    client.timeout, client.cleanup, client.max_body = 7, None, None
    assert client.timeout == adieu.Timeout.of(7)
    assert isinstance(client.cleanup, adieu.Prefetch)
    assert client.max_body is None


def test_event_hooks_are_read_and_assigned(side: Sync) -> None:
    seen: list[str] = []
    client = side.client()
    assert client.event_hooks == {"request": (), "response": ()}
    client.event_hooks = {"request": [lambda _: seen.append("request")]}
    side.get(client)
    assert seen == ["request"]
    with pytest.raises(TypeError):
        client.event_hooks["response"] = [print]
    with pytest.raises(AttributeError):
        client.event_hooks["response"].append(print)
    client.event_hooks = None
    side.get(client)
    assert seen == ["request"]


def test_redirects_retries_and_proxies(side: Sync) -> None:
    client = side.client(retry=3)
    assert (client.follow_redirects, client.max_redirects, client.retry.limit) == (True, 20, 3)
    client.follow_redirects, client.max_redirects, client.retry = False, 0, 1
    assert (client.follow_redirects, client.max_redirects, client.retry.limit) == (False, 0, 1)
    client.retry = None
    assert client.retry is None
    left_out = client.proxy
    client.proxy = PROXY
    assert client.proxy == adieu.Proxy(PROXY)
    side.get(client)
    assert side.exchanges[-1].connection.route == adieu.Proxy(PROXY)
    client.proxy = {"all://*.example": PROXY, "https://b.example": None}
    with pytest.raises(TypeError):
        client.proxy["https://b.example"] = PROXY
    client.proxy = client.proxy
    for url, proxied in (("http://a.example", True), ("https://b.example", False)):
        side.get(client, url)
        assert (side.exchanges[-1].connection.route is not None) is proxied
    client.proxy = None
    assert client.proxy is None
    client.proxy = left_out
    assert repr(client.proxy) == "NOT_GIVEN"


def test_all_is_any_scheme_for_a_proxy(side: Sync) -> None:
    client = side.client(proxy={"ALL://": PROXY, "http://": None})
    side.get(client, "https://a.example:8443/")
    assert side.exchanges[-1].connection.route == adieu.Proxy(PROXY)
    side.get(client, "http://a.example/")
    assert side.exchanges[-1].connection.route is None
    with pytest.raises(adieu.InvalidRequest, match=r"begins with http://, https://, or all://"):
        side.client(proxy={"socks5://": PROXY})


# -- TLS


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, and a client certificate with its key, in one file each."""
    folder = tmp_path_factory.mktemp("pem")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    ca.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(
        folder / "client.pem"
    )
    return folder


def test_verify_and_cert_change_one_setting_of_tls_each(side: Sync, pem: Path) -> None:
    ca, cert = str(pem / "ca.pem"), str(pem / "client.pem")
    client = side.client()
    assert (client.verify, client.cert, client.tls) == (True, None, None)
    client.verify, client.cert = True, None
    assert client.tls is None
    client.cert = cert
    client.verify = ca
    assert client.tls == adieu.TLSConfig(verify=ca, cert=cert)
    assert client.verify == ca
    assert client.cert == (cert, None, None)
    client.cert = None
    assert client.tls == adieu.TLSConfig(verify=ca)
    context = ssl.create_default_context()
    client.verify = context
    assert client.verify is context
    assert client.tls == adieu.TLSConfig(context=context)
    with pytest.raises(adieu.InvalidRequest, match="set verify and cert on the context itself"):
        client.cert = cert
    client.verify = True
    assert client.tls == adieu.TLSConfig()
    with pytest.warns(adieu.InsecureRequestWarning):
        client.verify = False
    assert client.verify is False


def test_a_call_has_tls_settings_of_its_own(side: Sync, pem: Path) -> None:
    ca, cert = str(pem / "ca.pem"), str(pem / "client.pem")
    own = adieu.TLSConfig(minimum_version="1.3")
    client = side.client(cert=cert)
    client.mount("https://m.example", side.adapter, tls=own)
    expected: list[tuple[dict[str, Any], adieu.TLSConfig]] = [
        ({}, adieu.TLSConfig(cert=cert)),
        ({"tls": None, "cert": None}, adieu.TLSConfig(cert=cert)),
        ({"tls": own}, own),
        ({"verify": ca}, adieu.TLSConfig(verify=ca, cert=cert)),
        ({"verify": ca, "cert": (cert, cert)}, adieu.TLSConfig(verify=ca, cert=(cert, cert))),
    ]
    for options, tls in expected:
        side.get(client, **options)
        assert side.exchanges[-1].connection.tls == tls
    side.get(client, "https://m.example/")
    assert side.exchanges[-1].connection.tls is own
    side.get(client, "https://m.example/", verify=ca)
    assert side.exchanges[-1].connection.tls == adieu.TLSConfig(verify=ca, cert=cert)


def test_a_call_that_verifies_is_not_overruled_by_a_mount(side: Sync) -> None:
    client = side.client()
    with pytest.warns(adieu.InsecureRequestWarning):
        insecure = adieu.TLSConfig(verify=False)
    client.mount("https://m.example", side.adapter, tls=insecure)
    side.get(client, "https://m.example/")
    assert side.exchanges[-1].connection.tls is insecure
    side.get(client, "https://m.example/", verify=True)
    assert side.exchanges[-1].connection.tls == adieu.TLSConfig()


def test_a_certificate_of_a_call_is_for_the_origin_of_its_url(side: Sync, pem: Path) -> None:
    cert = str(pem / "client.pem")
    client = side.client("https://b.example", cert=cert)
    side.get(client, "https://a.example/")
    assert side.exchanges[-1].connection.tls == adieu.TLSConfig()
    side.get(client, "https://a.example/", verify=True)
    assert side.exchanges[-1].connection.tls == adieu.TLSConfig()
    side.get(client, "https://a.example/", cert=cert)
    assert side.exchanges[-1].connection.tls == adieu.TLSConfig(cert=cert)
    side.get(client, "/")
    assert side.exchanges[-1].connection.tls == adieu.TLSConfig(cert=cert)


# -- attributes


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("header", "headers"),
        ("timeouts", "timeout"),
        ("param", "params"),
        ("base_uri", "base_url"),
        ("proxies", "proxy"),
        ("hooks", "event_hooks"),
        ("max_retries", "retry"),
        ("allow_redirects", "follow_redirects"),
    ],
)
def test_an_attribute_that_is_no_setting_cannot_be_assigned(
    side: Sync, name: str, meant: str
) -> None:
    client = side.client()
    with pytest.raises(AttributeError, match=rf"has no setting '{name}': did you mean {meant}\?"):
        setattr(client, name, 5)
    with pytest.raises(AttributeError, match="has no setting 'colour'; there are adapter, auth, "):
        client.colour = 5
    with pytest.raises(AttributeError):
        client.mounts = {}
    with pytest.raises(AttributeError):
        client.is_closed = False
    assert not hasattr(client, name)


class Own(adieu.Client):
    header = "a class attribute says that it is meant"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__()


def test_a_subclass_has_attributes_of_its_own() -> None:
    with Own("mine") as client:
        client.name, client.header = "yours", "X-A"
        assert (client.name, client.header) == ("yours", "X-A")
        with pytest.raises(AttributeError, match=r"did you mean timeout\? .* in the class body"):
            client.timeuot = 5  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("allow_redirects", "follow_redirects"),
        ("headres", "headers"),
        ("proxies", "proxy"),
        ("stream", r"client.stream\(method, url\)"),
    ],
)
def test_an_unknown_option_names_the_one_that_is_meant(side: Sync, option: str, meant: str) -> None:
    client = side.client()
    options: dict[str, Any] = {option: False}
    expected = rf"unknown option '{option}'; .*\. Did you mean {meant}\?$"
    with pytest.raises(TypeError, match=expected):
        side.get(client, **options)
    assert side.sent == []


@pytest.mark.parametrize(
    ("given", "setting"),
    [("max_redirects", "max_redirects"), ("hooks", "event_hooks"), ("base_ulr", "base_url")],
)
def test_a_setting_given_to_a_call_is_said_to_be_the_clients(
    side: Sync, given: str, setting: str
) -> None:
    client = side.client()
    options: dict[str, Any] = {given: 3}
    with pytest.raises(TypeError, match=rf"\. {setting} is a setting of the client: give it to"):
        side.get(client, **options)
    assert side.sent == []


@pytest.mark.parametrize(
    ("method", "arguments", "own"),
    [
        ("map", ([],), "limit, "),
        ("download", ("https://a.example/", "a"), "resume, checksum, progress, fsync, decode, "),
        ("event_stream", ("https://a.example/",), "last_event_id, wait, attempts, max_event, "),
        ("websocket", ("wss://a.example/",), "subprotocols, compression, max_message, ping_"),
    ],
)
def test_an_unknown_option_lists_those_of_the_method(
    side: Sync, method: str, arguments: tuple[Any, ...], own: str
) -> None:
    client = side.client()
    misspelt = own.partition(", ")[0] + "s"
    known = (
        rf"unknown option '{misspelt}'; known are {own}.*auth, .* Did you mean {misspelt[:-1]}\?"
    )
    with pytest.raises(TypeError, match=known):
        side.run(lambda: getattr(client, method)(*arguments, **{misspelt: 1}))


def test_a_wrong_timeout_names_what_timeout_takes() -> None:
    expected = r"^timeout takes seconds as a number, None, or a Timeout as in .*; not \(3, 27\)$"
    with pytest.raises(adieu.InvalidRequest, match=expected):
        adieu.Client(timeout=(3, 27))  # type: ignore[arg-type]
    with pytest.raises(adieu.InvalidRequest, match=r"^timeout must be more than 0 seconds, not 0$"):
        adieu.Client(timeout=0)


def test_send_refuses_a_url_and_names_build_request(side: Sync) -> None:
    client: Any = side.client()
    with pytest.raises(adieu.InvalidRequest, match=r"client\.build_request\(.*, not '/items'$"):
        side.run(lambda: client.send("/items"))


def test_build_request_takes_request_options_only(side: Sync) -> None:
    client = side.client()
    with pytest.raises(TypeError, match="unknown option 'timeout'; known are content, data, "):
        client.build_request("GET", "https://a.example/", timeout=5)


def test_a_change_takes_effect_on_the_next_call_and_not_on_this_one() -> None:
    client: adieu.Client
    policies: list[Any] = []

    @adieu.adapter
    def redirecting(request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        policies.append(exchange.policy)
        client.cleanup = adieu.ReleaseOnRead()
        if request.url.path == "/":
            return adieu.Response(302, {"Location": "/there"})
        return adieu.Response(200)

    with adieu.Client("https://a.example", adapter=redirecting) as client:
        client.get("/")
        client.get("/there")
    kinds = [type(policy) for policy in policies]
    assert kinds == [adieu.Prefetch, adieu.Prefetch, adieu.ReleaseOnRead]


def test_no_change_is_lost_between_threads() -> None:
    client = adieu.Client()
    barrier = threading.Barrier(2)

    def change(name: str) -> None:
        for number in range(1, 500):
            barrier.wait(30)
            setattr(client, name, number)
            barrier.wait(30)
            assert (client.max_body, client.max_redirects) == (number, number)

    threads = [threading.Thread(target=change, args=(n,)) for n in ("max_body", "max_redirects")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (client.max_body, client.max_redirects) == (499, 499)
