"""Public objects can be pickled, or are on a list with the reason; an error names the setting that cannot be."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu._value import Value
from adieu.client.settings import CLIENT_OPTIONS
from adieu.net.async_wire import AsyncTCPWire, AsyncUnixWire
from adieu_asgi import AsyncASGIAdapter
from adieu_close import AsyncCloseAdapter, CloseAdapter
from adieu_native import AsyncNativeAdapter, NativeAdapter
from adieu_urllib3 import Urllib3Adapter
from adieu_wsgi import WSGIAdapter
from support.stage import ADAPTERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from adieu.testing import FaultServer

pytestmark = pytest.mark.lifecycle

PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


# The values of settings, at the top of a module, as pickle requires.


@adieu.adapter
def answering(request: adieu.Request) -> adieu.Response:
    return adieu.Response(200, body=str(request.url))


def plain(request: adieu.Request) -> adieu.Response:
    return adieu.Response(204)


def resolver(host: str, port: int) -> str:
    return "127.0.0.1"


def hook(message: Any) -> None:
    message.headers["X-Hook"] = "was here"


def application(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"app"]


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    raise NotImplementedError


class Listener(adieu.Events):
    def __init__(self) -> None:
        self.lines: list[str] = []


class Token(adieu.Auth):
    def __init__(self, token: str) -> None:
        self.token = token

    def flow(self, request: adieu.Request) -> Any:
        request.headers["Authorization"] = self.token
        yield request


class Own(adieu.CleanupPolicy):
    def __init__(self, bound: int) -> None:
        self.bound = bound


class OwnClient(adieu.Client):
    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(**options)
        self.name = name


def _response(kind: Any = adieu.Response) -> Any:
    made = kind(201, {"X-A": "1"}, b"hello", reason="Made")
    made.for_request = adieu.Request("POST", "https://a.example/x", content=b"abc")
    made.history = (kind(302, {"Location": "/x"}, b""),)
    return made


def _cookies() -> adieu.Cookies:
    return adieu.Cookies([adieu.Cookie("a", "b", "a.example")])


def _request(**options: Any) -> adieu.Request:
    return adieu.Request("POST", "https://u:p@a.example/x?y=1", headers={"X-A": "1"}, **options)


SAMPLES: dict[str, Callable[[], Any]] = {
    "URL": lambda: adieu.URL("https://u:p@a.example:8443/x?y=1#z"),
    "AsyncClient": lambda: adieu.AsyncClient("https://a.example"),
    "AsyncGuard": lambda: adieu.AsyncGuard(allow="10.0.0.0/8", ports=[443]),
    "AsyncMiddleware": lambda: adieu.AsyncMiddleware(AsyncNativeAdapter()),
    "AsyncResponse": lambda: _response(adieu.AsyncResponse),
    "AsyncRetryAdapter": lambda: adieu.AsyncRetryAdapter(AsyncNativeAdapter(), 2),
    "Auth": lambda: Token("secret"),
    "BasicAuth": lambda: adieu.BasicAuth("u", "p"),
    "BearerAuth": lambda: adieu.BearerAuth("token"),
    "CleanupPolicy": lambda: Own(7),
    "Client": lambda: adieu.Client("https://a.example"),
    "CloseOnExit": adieu.CloseOnExit,
    "CloseReport": lambda: adieu.CloseReport(1, 2, ("me",)),
    "Connect": lambda: adieu.Connect(addresses={"a.example": "10.0.0.1"}, resolver=resolver),
    "ConnectionInfo": lambda: adieu.ConnectionInfo(1, "http://a", "idle", 1.0, 2, 0.5, None),
    "ConnectionSettings": lambda: adieu.ConnectionSettings(connect=adieu.Connect(family="ipv4")),
    "Cookie": lambda: adieu.Cookie("a", "b", "a.example"),
    "Cookies": _cookies,
    "DigestAuth": lambda: adieu.DigestAuth("u", "p"),
    "Downloaded": lambda: adieu.Downloaded(Path("file"), 2, 1, adieu.Headers({"a": "b"})),
    "Link": lambda: adieu.Link(adieu.URL("https://a.example/2"), ("next",), {"title": "b"}),
    "Origin": lambda: adieu.URL("https://a.example").origin,
    "Outcome": lambda: adieu.Outcome(0, "https://a.example", None, adieu.ReadError("cut")),
    "Drain": lambda: adieu.Drain(10, 0.1),
    "Events": Listener,
    "Guard": lambda: adieu.Guard(deny="10.0.0.0/8", through_proxies=True),
    "Headers": lambda: adieu.Headers([("A", "1"), ("a", "2")]),
    "LeaseInfo": lambda: adieu.LeaseInfo(1, "GET", "http://a/", 1.0, "here"),
    "Limits": lambda: adieu.Limits(7, per_origin=2),
    "LogEvents": lambda: adieu.LogEvents("a.name", level=20),
    "Middleware": lambda: adieu.Middleware(NativeAdapter(limits=adieu.Limits(3), replay=False)),
    "NoKeepAlive": lambda: adieu.NoKeepAlive(adieu.ReleaseOnRead(5)),
    "Prefetch": lambda: adieu.Prefetch(9),
    "PrefetchUpTo": lambda: adieu.PrefetchUpTo(9),
    "OpenTelemetry": adieu.OpenTelemetry,
    "Proxy": lambda: adieu.Proxy("http://p.example:1", auth=("u", "p"), headers={"X-A": "1"}),
    "Read": lambda: adieu.Read(1, 2.0),
    "ReleaseOnRead": lambda: adieu.ReleaseOnRead(9, 2),
    "Request": lambda: _request(json={"a": [1]}),
    "Response": _response,
    "Retry": lambda: adieu.Retry(2, statuses={500}, budget=adieu.RetryBudget(3)),
    "RetryAdapter": lambda: adieu.RetryAdapter(Urllib3Adapter(), 2),
    "RetryBudget": lambda: adieu.RetryBudget(3, refill=0.5),
    "ServerSentEvent": lambda: adieu.ServerSentEvent("a", "b", "c"),
    "Strict": lambda: adieu.Strict(1, 2),
    "TCPWire": adieu.TCPWire,
    "TLSConfig": lambda: adieu.TLSConfig(ciphers="ECDHE+AESGCM"),
    "Timeout": lambda: adieu.Timeout(total=3),
    "UnixWire": lambda: adieu.UnixWire("/run/a.sock"),
    "View": lambda: adieu.View("GET", "http://a/", 200, "length", 1, 2, True, False, 0.1, 0),
}

# Public objects that are no settings: running or open ones, and protocols, which have no instances.
LIVES_HERE = {
    "Adapter": "a protocol",
    "AdapterBase": "a base class",
    "AsyncAdapter": "a protocol",
    "AsyncExchange": "owns an open connection",
    "AsyncLease": "a base class",
    "ByteStream": "a protocol",
    "Deadline": "a clock that runs in this process",
    "Exchange": "owns an open connection",
    "InsecureRequestWarning": "a category",
    "AsyncEventStream": "an open stream",
    "AsyncMap": "requests under way",
    "AsyncWebSocket": "an open stream",
    "CallOptions": "a type of dictionaries",
    "ClientOptions": "a type of dictionaries",
    "EventStream": "an open stream",
    "HAR": "a log of this process",
    "Lease": "a base class",
    "Map": "requests under way",
    "NetrcAuth": "see below: it has a file",
    "ConnectScope": "owns open sockets",
    "OneShotOptions": "a type of dictionaries",
    "RequestOptions": "a type of dictionaries",
    "ResponseHead": "a base class",
    "SendOptions": "a type of dictionaries",
    "SocketStream": "an open socket",
    "TimeLimit": "a protocol",
    "Timeline": "a log of this process",
    "WebSocket": "an open stream",
    "WebSocketOptions": "a type of dictionaries",
    "Wire": "a protocol",
}

MORE: dict[str, Callable[[], Any]] = {
    "an adapter's function": lambda: adieu.adapter(schemes=["memory"])(plain),
    "a function that @adapter stands over": lambda: answering,
    "urllib3": lambda: Urllib3Adapter(limits=adieu.Limits(3), replay=False),
    "native": lambda: NativeAdapter(adieu.UnixWire("/run/a.sock"), limits=adieu.Limits(3)),
    "async h11": lambda: AsyncNativeAdapter(AsyncUnixWire("/run/a.sock")),
    "close": lambda: CloseAdapter(limits=adieu.Limits(3)),
    "async close": AsyncCloseAdapter,
    "async wire": AsyncTCPWire,
    "to_async": lambda: adieu.to_async(NativeAdapter(), threads=3),
    "wsgi": lambda: WSGIAdapter(application, script_name="/a"),
    "asgi": lambda: AsyncASGIAdapter(asgi, root_path="/a", grace=1),
    "a list as content": lambda: _request(content=[b"a", b"b"]),
    "a form with files": lambda: _request(files={"a": b"x" * 10, "b": ("n", [b"1", b"2"])}),
    "trailers": lambda: _request(content=b"a", trailers={"X-Sum": "1"}),
}


def facts(thing: Any) -> Any:
    """The state that has to be the same afterwards."""
    if isinstance(thing, adieu.Request):
        head = thing.method, thing.url, thing.headers.multi_items()
        body = b"".join(thing.content.chunks())
        return *head, body, thing.content.length, thing.content.trailers
    if isinstance(thing, (adieu.Response, adieu.AsyncResponse)):
        asked = facts(thing.request) if thing.for_request is not None else None
        body = pickle.loads(pickle.dumps(thing))._decoded()
        return thing.status_code, thing.reason, thing.headers.multi_items(), body, asked
    if isinstance(thing, adieu.Cookies):
        return list(thing)
    return re.sub(" at 0x[0-9a-f]+", "", repr(thing)), type(thing)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", [*SAMPLES, *MORE])
def test_a_pickled_object_is_restored(name: str, protocol: int) -> None:
    thing = {**SAMPLES, **MORE}[name]()
    arrived = pickle.loads(pickle.dumps(thing, protocol))
    assert facts(arrived) == facts(thing)
    assert isinstance(arrived, type(thing))
    if isinstance(thing, (Token, Own, Listener, adieu.LogEvents)):
        assert vars(arrived) == vars(thing)
    # The budget of a restored Retry is full, and an error equals no other.
    if isinstance(thing, (tuple, Value)) and name not in ("Retry", "Outcome"):
        assert arrived == thing


def test_no_public_class_is_forgotten() -> None:
    public = {name for name in adieu.__all__ if inspect.isclass(getattr(adieu, name))}
    errors = {name for name in public if issubclass(getattr(adieu, name), adieu.AdieuError)}
    assert public - errors == SAMPLES.keys() | LIVES_HERE.keys()
    for name, make in SAMPLES.items():
        assert isinstance(make(), getattr(adieu, name))


@pytest.mark.parametrize("constant", [adieu.CLOSE, adieu.REFUSE, adieu.RELEASE, adieu.STREAM])
def test_a_pickled_action_is_the_same_object(constant: Any) -> None:
    assert pickle.loads(pickle.dumps(constant)) is constant


def _every_error() -> list[type[adieu.AdieuError]]:
    found: list[type[adieu.AdieuError]] = [adieu.AdieuError, adieu.DownloadError]
    for kind in found:
        found += [sub for sub in kind.__subclasses__() if sub not in found]
    return [kind for kind in found if kind.__module__.startswith("adieu")]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "kind", _every_error(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}"
)
def test_every_error_is_pickled_with_its_facts(kind: Any, protocol: int) -> None:
    given: dict[str, Any] = {}
    if issubclass(kind, adieu.TransportError):
        given = {
            "phase": "body",
            "request_sent": "partly",
            "response_started": True,
            "reused": True,
            "elapsed": 1.5,
            "limit": 2.0,
            "method": "GET",
            "url": "http://a.example/",
        }
    redirect = {"method": "GET", "url": "http://a.example/", "status_code": 302, "location": "/"}
    facts_of: dict[Any, dict[str, Any]] = {
        adieu.BodyTruncated: {"received": 3, "expected": 5},
        adieu.GuardError: {"refused": (("10.0.0.1", "private"),)},
        adieu.PoolTimeout: {"holders": ("me", "you")},
        adieu.ProxyError: {"status": 407, "reason": "No", "answer": b"who?"},
        adieu.StatusError: {"response": _response()},
        adieu.RedirectError: redirect,
        adieu.TooManyRedirects: {**redirect, "limit": 2},
        adieu.WebSocketClosed: {"code": 1001, "reason": "a", "sent_code": 1000, "sent_reason": "b"},
    }
    own = facts_of.get(kind, {})
    error = kind("it failed", **given, **own)
    arrived = pickle.loads(pickle.dumps(error, protocol))
    assert type(arrived) is kind
    assert str(arrived) == str(error)
    for name, value in {**given, **own}.items():
        found = getattr(arrived, name)
        assert facts(found) == facts(value) if name == "response" else found == value


def test_every_fact_of_an_error_is_among_them() -> None:
    """A new fact of a class must be added here too."""
    known = {"received", "expected", "refused", "holders", "status", "reason", "answer", "response"}
    known |= {"method", "url", "status_code", "location", "limit"}
    known |= {"code", "sent_code", "sent_reason"}
    for kind in _every_error():
        own = set(inspect.signature(kind.__init__).parameters)
        assert own <= known | {"self", "message", "facts", "args", "kwargs"}, kind


@pytest.mark.parametrize("runner", [adieu.Client, adieu.AsyncClient])
def test_every_setting_of_a_client_is_pickled(runner: Any, tmp_path: Path) -> None:
    adapter = "native"
    settings: dict[str, Any] = {
        "base_url": "https://u:p@a.example/v1",
        "adapter": adapter,
        "cleanup": adieu.ReleaseOnRead(3),
        "timeout": adieu.Timeout(total=9),
        "headers": {"X-A": "1"},
        "params": {"q": "1"},
        "limits": adieu.Limits(3),
        "tls": adieu.TLSConfig(ciphers="ECDHE+AESGCM"),
        "connect": adieu.Connect(resolver=resolver),
        "follow_redirects": False,
        "max_redirects": 3,
        "events": (Listener(),),
        "event_hooks": {"request": [hook], "response": [hook]},
        "cookies": {"a": "b"},
        "max_body": 99,
        "proxy": {"https://*.example": adieu.Proxy("http://p.example:1", auth=("u", "p"))},
        "retry": adieu.Retry(2),
    }
    # The first two become `tls`; the third cannot be combined with a user name in the base URL.
    assert settings.keys() | {"verify", "cert", "auth"} == CLIENT_OPTIONS
    client = runner(**settings)
    client.mount(
        "https://b.example",
        AsyncNativeAdapter() if runner is not adieu.Client else answering,
        from_network=True,
    )
    arrived = pickle.loads(pickle.dumps(client))
    request = arrived.build_request("GET", "x")
    assert request.url == adieu.URL("https://u:p@a.example/v1/x?q=1")
    assert request.headers["x-a"] == "1"
    assert repr(arrived.cleanup) == repr(client.cleanup)
    equal = "adapter", "base_url", "connect", "event_hooks", "follow_redirects", "headers", "limits"
    for name in (*equal, "max_body", "max_redirects", "params", "proxy", "timeout", "tls"):
        assert getattr(arrived, name) == getattr(client, name), name
    assert arrived.follow_redirects is False
    assert arrived.retry.limit == 2
    assert [type(listener) for listener in arrived.events] == [Listener]
    assert arrived.event_hooks == {"request": (hook,), "response": (hook,)}
    assert [cookie.value for cookie in arrived.cookies] == ["b"]
    assert "p.example" in str(arrived.proxy["https://*.example/"])
    assert arrived.mounts.explain("https://b.example/") == client.mounts.explain(
        "https://b.example/"
    )
    assert arrived.mounts.select(adieu.URL("https://b.example/")).from_network
    assert not arrived.is_closed


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("way", ["pickle", "copy", "deepcopy"])
def test_a_copy_shares_settings_and_no_open_resource(
    adapter: str, way: str, fault_server: FaultServer
) -> None:
    ways: dict[str, Callable[[Any], Any]] = {
        "pickle": lambda client: pickle.loads(pickle.dumps(client)),
        "copy": copy.copy,
        "deepcopy": copy.deepcopy,
    }
    hooks: dict[str, Any] = {"request": [hook]}
    with adieu.Client(
        fault_server.url, adapter=adapter, event_hooks=hooks, cookies={"a": "1"}
    ) as client:
        with client.stream("GET", "/bytes?n=100000") as held:
            restored = ways[way](client)
            assert restored.connections() == []
            with restored:
                sent = dict(restored.get("/echo").json()["headers"])
                assert sent["X-Hook"] == "was here"
                assert sent["Cookie"] == "a=1"
                restored.cookies.set("b", "2")
            assert len(held.read()) == 100_000
        assert [cookie.name for cookie in client.cookies] == ["a"]
        assert client.get("/ok").status_code == 200
    with ways[way](client) as again:  # A closed client has settings too.
        assert again.get("/ok").status_code == 200


def test_the_attributes_of_a_subclass_are_pickled() -> None:
    with OwnClient("mine", headers={"X-A": "1"}) as client:
        arrived = pickle.loads(pickle.dumps(client))
    assert arrived.name == "mine"
    arrived.close()


def route(client: adieu.Client, url: adieu.URL) -> adieu.Proxy | None:
    return client._settings.proxy.select(url)


def test_a_restored_client_uses_the_environment_of_its_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://here.example:1")
    client = adieu.Client()
    url = adieu.URL("http://a.example/")
    assert "here.example" in str(route(client, url))
    packed = pickle.dumps(client)
    assert b"here.example" not in packed
    monkeypatch.setenv("http_proxy", "http://there.example:1")
    assert "there.example" in str(route(pickle.loads(packed), url))
    monkeypatch.delenv("http_proxy")
    assert route(pickle.loads(packed), url) is None
    assert route(pickle.loads(pickle.dumps(adieu.Client(proxy=None))), url) is None


class _Locked(adieu.Events):
    def __init__(self) -> None:
        import threading

        self.lock = threading.Lock()


class _Trailers:
    def __init__(self) -> None:
        self.lock = _Locked().lock

    def fields(self) -> dict[str, str]:
        return {}


class _LockedAdapter(adieu.Middleware):
    def __init__(self) -> None:
        super().__init__(NativeAdapter())
        self.lock = _Locked().lock


def _mounted(client: adieu.Client) -> adieu.Client:
    client.mount("https://b.example", _LockedAdapter())
    return client


_CONTENT = "the content in content= cannot"
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "hook": (
        lambda: adieu.Client(event_hooks={"request": [lambda _: None]}),
        "event_hooks= of a client cannot",
    ),
    "auth": (lambda: adieu.Client(auth=lambda request: request), "auth= of a client cannot"),
    "listener": (lambda: adieu.Client(events=_Locked()), "events= of a client cannot"),
    "adapter": (lambda: adieu.Client(adapter=_LockedAdapter()), "adapter= of a client cannot"),
    "mount": (
        lambda: _mounted(adieu.Client()),
        "the adapter mounted for https://b.example/ of a client cannot",
    ),
    "client's resolver": (
        lambda: adieu.Client(connect=adieu.Connect(resolver=lambda host, port: "::1")),
        "connect= of a client cannot be pickled: resolver= of a Connect cannot",
    ),
    "client's context": (
        lambda: adieu.Client(verify=ssl.create_default_context()),
        "tls= of a client cannot be pickled: a TLSConfig with an SSLContext of its own cannot",
    ),
    "resolver": (
        lambda: adieu.Connect(resolver=lambda host, port: "::1"),
        "resolver= of a Connect cannot",
    ),
    "context": (
        lambda: adieu.TLSConfig(context=ssl.create_default_context()),
        "a TLSConfig with an SSLContext of its own cannot",
    ),
    "generator": (lambda: _request(content=(b"" for _ in "a")), _CONTENT),
    "data": (lambda: _request(data=(b"" for _ in "a")), _CONTENT),
    "file": (lambda: _request(content=open(__file__, "rb")), _CONTENT),  # noqa: SIM115
    "async": (lambda: _request(content=_pieces()), _CONTENT),
    "part": (
        lambda: _request(files={"f": (b"" for _ in "a")}),
        "the content in files['f'] cannot",
    ),
    "trailers": (
        lambda: _request(content=b"a", trailers=_Trailers().fields),
        "trailers= cannot",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_error_names_the_part_that_cannot_be_pickled(name: str) -> None:
    make, named = REFUSED[name]
    thing = make()
    with pytest.raises(TypeError) as info:
        pickle.dumps(thing)
    assert f"{named} be pickled: " in str(info.value).replace("pickled;", "pickled: ")
    if isinstance(thing, adieu.Client):
        with pytest.raises(TypeError):
            copy.copy(thing)
        with pytest.raises(TypeError):
            copy.deepcopy(thing)
    source: Any = getattr(getattr(thing, "content", None), "_source", None)
    if hasattr(source, "close"):
        source.close()


async def _pieces() -> Any:
    yield b"a"


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_response_can_be_pickled_whatever_its_request_was(
    adapter: str, fault_server: FaultServer, tmp_path: Path
) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"abc")
    with adieu.Client(fault_server.url, adapter=adapter) as client, path.open("rb") as file:
        for content in (iter([b"abc"]), (piece for piece in (b"abc",)), file, [b"abc"]):
            answer = client.post("/echo", content=content)
            arrived = pickle.loads(pickle.dumps(answer))
            assert arrived.json()["body"] == "abc"
            assert arrived.request.method == "POST"
            with pytest.raises(adieu.InvalidRequest, match="has been read"):
                arrived.request.content.chunks()
        redirected = client.get("/redirect?n=2")
        arrived = pickle.loads(pickle.dumps(redirected))
        assert [hop.status_code for hop in arrived.history] == [302, 302]
        with client.stream("GET", "/bytes?n=100000") as held:
            cut = pickle.loads(pickle.dumps(held))
        with pytest.raises(adieu.BodyClosed, match="was not kept"):
            cut.read()


def test_netrc_is_pickled_with_the_content_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "netrc"
    path.write_text("machine a.example login me password secret\n")
    path.chmod(0o600)
    auth = adieu.NetrcAuth(path)
    path.unlink()
    arrived = pickle.loads(pickle.dumps(auth))
    request = adieu.Request("GET", "https://a.example/")
    next(arrived.flow(request))
    assert request.headers["authorization"] == "Basic bWU6c2VjcmV0"
