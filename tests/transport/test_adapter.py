"""Writing an adapter: a function, a middleware or a whole adapter, and the client's reaction when one fails."""

from __future__ import annotations

import functools
import io
import socket
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.transport.functions import FunctionAdapter
from adieu.transport.registry import find_adapter
from support.clients import ADAPTERS, EventLog, sockets
from support.stage import drop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing.faults import FaultServer

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("census")]


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


POLICIES = [
    adieu.Prefetch(),
    adieu.ReleaseOnRead(),
    adieu.CloseOnExit(),
    adieu.NoKeepAlive(),
    adieu.PrefetchUpTo(5),
]


# Functions


def test_a_function_of_a_request_is_an_adapter() -> None:
    @adieu.adapter
    def hello(request: adieu.Request) -> adieu.Response:
        return adieu.Response(200, body=f"hello, {request.url.host}")

    with adieu.Client(adapter=hello) as client:
        response = client.get("mock://world/")
        assert response.status_code == 200
        assert response.text == "hello, world"
        assert response.is_closed
        assert client.connections() == []
    assert "hello" in repr(hello)


def test_a_function_of_two_gets_the_exchange() -> None:
    seen: list[adieu.Exchange] = []

    @adieu.adapter
    def curious(request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        seen.append(exchange)
        return adieu.Response(200)

    policy = adieu.CloseOnExit()
    with adieu.Client(adapter=curious, cleanup=policy) as client:
        client.get("mock://x/", timeout=7, extras={"trace": "1"})
    (exchange,) = seen
    assert exchange.policy is policy
    assert exchange.deadline.timeout.read == 7.0
    assert exchange.method == "GET"
    assert str(exchange.url) == "mock://x/"
    assert exchange.hop == 0
    assert exchange.extras == {"trace": "1"}
    assert exchange.lease is None


class Callables:
    """Every kind of callable that takes a request, or a request and an exchange."""

    def method(self, request: adieu.Request) -> adieu.Response:
        return adieu.Response(200, body="method")

    def method_of_two(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        return adieu.Response(200, body=f"method of two {exchange.hop}")

    @staticmethod
    def static(request: adieu.Request) -> adieu.Response:
        return adieu.Response(200, body="static")

    @classmethod
    def of_class(cls, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        return adieu.Response(200, body=f"class {exchange.hop}")

    def __call__(self, request: adieu.Request) -> adieu.Response:
        return adieu.Response(200, body="called")


class CallableOfTwo:
    def __call__(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        return adieu.Response(200, body=f"called {exchange.hop}")


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (Callables().method, "method"),
        (Callables().method_of_two, "method of two 0"),
        (Callables.static, "static"),
        (Callables.of_class, "class 0"),
        (Callables(), "called"),
        (CallableOfTwo(), "called 0"),
        (lambda request: adieu.Response(200, body="lambda"), "lambda"),
        (lambda request, exchange: adieu.Response(200, body=f"{exchange.hop}"), "0"),
        (lambda *args: adieu.Response(200, body=f"{len(args)}"), "1"),
        (lambda request, status=202: adieu.Response(200, body=f"{status}"), "202"),
        (functools.partial(Callables.static), "static"),
    ],
)
def test_every_kind_of_callable_may_be_the_function(function: Any, text: str) -> None:
    with adieu.Client(adapter=adieu.adapter(function)) as client:
        assert client.get("mock://x/").text == text


def test_a_function_may_name_the_schemes_that_it_serves() -> None:
    @adieu.adapter(schemes=["mock", "paper"])
    def mock(request: adieu.Request) -> adieu.Response:
        return adieu.Response(200)

    assert isinstance(mock, FunctionAdapter)
    assert mock.schemes == ("mock", "paper")
    with adieu.Client(adapter=mock) as client:
        assert client.get("mock://x/").status_code == 200
        assert client.get("PAPER://x/").status_code == 200
        with pytest.raises(adieu.InvalidURL, match="https://"):
            client.get("https://example.org/")


def test_a_function_without_schemes_serves_them_all() -> None:
    @adieu.adapter
    def mock(request: adieu.Request) -> adieu.Response:
        return adieu.Response(200)

    with adieu.Client(adapter=mock) as client:
        for url in ("mock://x/", "https://example.org/", "file:///etc/hosts", "data:text"):
            assert client.get(url).status_code == 200


def test_a_function_adapter_serves_one_client_after_the_other() -> None:
    """It has no resource that the first client could have closed."""

    @adieu.adapter
    def mock(request: adieu.Request) -> adieu.Response:
        return adieu.Response(204)

    for _ in range(2):
        with adieu.Client(adapter=mock) as client:
            assert client.get("mock://x/").status_code == 204
        with pytest.raises(adieu.ClientClosed):
            client.get("mock://x/")


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (None, b""),
        (b"", b""),
        (b"bytes", b"bytes"),
        (bytearray(b"bytearray"), b"bytearray"),
        (memoryview(b"view"), b"view"),
        ("täxt", "täxt".encode()),
        ([b"a", b"", bytearray(b"b"), memoryview(b"c")], b"abc"),
        ((), b""),
    ],
)
@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_a_body_may_be_given_in_many_forms(
    body: Any, content: bytes, policy: adieu.CleanupPolicy
) -> None:
    with adieu.Client(
        adapter=adieu.adapter(lambda request: adieu.Response(200, body=body)), cleanup=policy
    ) as client:
        assert client.get("mock://x/").content == content
        with client.stream("GET", "mock://x/") as response:
            assert b"".join(response.iter_bytes()) == content


def test_a_body_of_an_adapter_is_decoded_like_every_other() -> None:
    import zlib

    packed = zlib.compress(b"adieu" * 1000)

    @adieu.adapter
    def coded(request: adieu.Request) -> adieu.Response:
        headers = {"content-encoding": "deflate", "content-type": "text/plain; charset=utf-16-le"}
        return adieu.Response(200, headers, body=iter([packed[:7], packed[7:]]))

    with adieu.Client(adapter=coded) as client:
        response = client.get("mock://x/")
        assert response.content == b"adieu" * 1000
        assert len(response.text) == 2500


# Bodies that have to be closed


class File(io.BytesIO):
    """A file that records its close."""

    closings = 0

    def close(self) -> None:
        self.closings += 1
        super().close()


def pieces(log: list[str], count: int = 3) -> Iterator[bytes]:
    try:
        for _ in range(count):
            yield b"piece"
        log.append("end")
    finally:
        log.append("closed")


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_a_file_is_closed_after_it_was_read(policy: adieu.CleanupPolicy) -> None:
    file = File(b"x" * 200_000)
    given = adieu.adapter(lambda request: adieu.Response(200, body=file))
    with adieu.Client(adapter=given, cleanup=policy) as client:
        response = client.get("mock://x/")
        assert len(response.content) == 200_000
        assert file.closings == 1
    assert file.closings == 1


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_an_iterator_is_read_to_its_end(policy: adieu.CleanupPolicy) -> None:
    log: list[str] = []
    given = adieu.adapter(lambda request: adieu.Response(200, body=pieces(log)))
    with adieu.Client(adapter=given, cleanup=policy) as client:
        assert client.get("mock://x/").content == b"piece" * 3
        assert log == ["end", "closed"]


def test_an_iterator_is_read_only_as_far_as_needed() -> None:
    asked: list[int] = []

    def counting() -> Iterator[bytes]:
        for number in range(100):
            asked.append(number)
            yield b"x"

    given = adieu.adapter(lambda request: adieu.Response(200, body=counting()))
    with adieu.Client(adapter=given) as client, client.stream("GET", "mock://x/") as response:
        stream = response.iter_bytes()
        next(stream)
        next(stream)
        assert len(asked) <= 3


@pytest.mark.parametrize("way", ["unread", "partly", "exception", "client", "dropped", "hook"])
@pytest.mark.parametrize("kind", ["file", "iterator"])
def test_a_body_that_is_left_early_is_closed_too(way: str, kind: str) -> None:
    log: list[str] = []
    file = File(b"x" * 200_000)
    begun = pieces(log)
    if kind == "iterator":
        # A generator that has not begun has nothing to clean up, and its `finally` does not run.
        next(begun)
    body: Any = file if kind == "file" else begun
    given = adieu.adapter(lambda request: adieu.Response(200, body=body))
    hooks = {"response": [lambda response: 1 / 0]} if way == "hook" else None
    with adieu.Client(adapter=given, event_hooks=hooks) as client:
        if way == "hook":
            with pytest.raises(ZeroDivisionError):
                client.get("mock://x/")
        elif way == "dropped":
            with pytest.warns(ResourceWarning, match="mock://x/"):  # noqa: PT031
                client.stream("GET", "mock://x/")
                drop()
        elif way == "exception":
            with pytest.raises(ZeroDivisionError), client.stream("GET", "mock://x/"):
                raise ZeroDivisionError
        elif way == "client":
            response = client.stream("GET", "mock://x/")
            client.close()
            with pytest.raises(adieu.ClientClosed):
                response.read()
        else:
            with client.stream("GET", "mock://x/") as response:
                if way == "partly":
                    next(response.iter_bytes())
        assert (file.closings == 1) if kind == "file" else (log == ["closed"])


def test_the_body_of_a_redirect_is_closed(fault_server: FaultServer, adapter: str) -> None:
    file = File(b"moved" * 100_000)

    @adieu.adapter
    def moved(request: adieu.Request) -> adieu.Response:
        return adieu.Response(302, {"location": f"{fault_server.url}/ok"}, body=file)

    with adieu.Client(adapter=adapter) as client:
        client.mount("mock://", moved)
        response = client.get("mock://x/")
        assert response.json()["request"] == 1
        assert file.closings == 1
        with pytest.raises(adieu.BodyClosed):
            response.history[0].read()


def broken(error: BaseException) -> Iterator[bytes]:
    yield b"begun"
    raise error


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_of_a_body_is_wrapped_with_its_cause(stream: bool) -> None:
    native = ZeroDivisionError("half way")
    given = adieu.adapter(lambda request: adieu.Response(200, body=broken(native)))
    with adieu.Client(adapter=given) as client:
        with pytest.raises(adieu.ReadError, match="half way") as caught:
            client.request("GET", "mock://x/") if not stream else client.stream(
                "GET", "mock://x/"
            ).read()
        assert caught.value.__cause__ is native
        assert caught.value.phase == "body"
        assert caught.value.response_started
        assert "mock://x/" in str(caught.value)


@pytest.mark.parametrize("native", [adieu.ReadTimeout("slow"), adieu.BodyTruncated("short")])
def test_a_body_may_raise_an_error_of_adieu(native: adieu.AdieuError) -> None:
    given = adieu.adapter(lambda request: adieu.Response(200, body=broken(native)))
    with adieu.Client(adapter=given) as client:
        with pytest.raises(type(native)) as caught:
            client.get("mock://x/")
        assert caught.value is native


@pytest.mark.parametrize(
    "body", [["text"], [b"a", 5], [None], {"key": 1}, io.StringIO("text"), [[b"a"]]]
)
def test_a_body_that_does_not_consist_of_bytes_is_refused(body: Any) -> None:
    given = adieu.adapter(lambda request: adieu.Response(200, body=body))
    with (
        adieu.Client(adapter=given) as client,
        pytest.raises(adieu.AdieuError, match="made of bytes, not of"),
    ):
        client.get("mock://x/")


@pytest.mark.parametrize("status", ["200", 99, 1000, None, 2.0])
def test_a_status_that_is_no_status_code_is_refused(status: Any) -> None:
    expected = rf"the status of a response is a number from 100 to 999, not {status!r}$"
    with pytest.raises(adieu.InvalidRequest, match=expected):
        adieu.Response(status)


@pytest.mark.parametrize("body", [7, object(), 1.5])
def test_an_object_that_is_no_body_is_refused(body: Any) -> None:
    given = adieu.adapter(lambda request: adieu.Response(200, body=body))
    with (
        adieu.Client(adapter=given) as client,
        pytest.raises(adieu.InvalidRequest, match=type(body).__name__),
    ):
        client.get("mock://x/")


def test_a_file_that_cannot_be_closed_breaks_nothing() -> None:
    class Stubborn(File):
        def close(self) -> None:
            super().close()
            raise OSError("no")

    file = Stubborn(b"content")
    given = adieu.adapter(lambda request: adieu.Response(200, body=file))
    with adieu.Client(adapter=given) as client:
        assert client.get("mock://x/").content == b"content"
        assert file.closings == 1


def test_the_deadline_of_a_call_covers_a_body_that_comes_in_pieces() -> None:
    def slowly() -> Iterator[bytes]:
        pause = threading.Event()
        while True:
            pause.wait(0.01)
            yield b"x"

    given = adieu.adapter(lambda request: adieu.Response(200, body=slowly()))
    with adieu.Client(adapter=given) as client, pytest.raises(adieu.DeadlineExceeded):
        client.get("mock://x/", timeout=adieu.Timeout(total=0.1))


# Results that are no response


@pytest.mark.parametrize("answer", [None, b"bytes", 200, (200, b"")])
def test_an_adapter_that_returns_no_response_is_named(answer: Any) -> None:
    def forgetful(request: adieu.Request) -> Any:
        return answer

    with adieu.Client(adapter=adieu.adapter(forgetful)) as client:
        with pytest.raises(adieu.TransportError) as caught:
            client.get("mock://x/")
        assert "forgetful" in str(caught.value)
        assert type(answer).__name__ in str(caught.value)
        assert "Response" in str(caught.value)


class Foreign(Exception):
    """An error of another library."""


@pytest.mark.parametrize(
    "native", [Foreign("out of paper"), OSError(32, "Broken pipe"), KeyError("x"), StopIteration()]
)
def test_an_error_of_an_adapter_is_wrapped_with_its_cause(native: Exception) -> None:
    def failing(request: adieu.Request) -> adieu.Response:
        raise native

    with adieu.Client(adapter=adieu.adapter(failing)) as client:
        with pytest.raises(adieu.TransportError) as caught:
            client.post("mock://x/", content=b"c")
        error = caught.value
        assert type(error) is adieu.TransportError
        assert error.__cause__ is native
        assert type(native).__name__ in str(error)
        assert str(native) in str(error)
        assert "failing" in str(error)
        assert (error.method, error.url) == ("POST", "mock://x/")


@pytest.mark.parametrize(
    "own", [adieu.ReadTimeout("late"), adieu.ConnectError("gone"), adieu.InvalidRequest("no")]
)
def test_an_error_of_adieu_is_not_wrapped_again(own: adieu.AdieuError) -> None:
    def failing(request: adieu.Request) -> adieu.Response:
        raise own

    with adieu.Client(adapter=adieu.adapter(failing)) as client:
        with pytest.raises(type(own)) as caught:
            client.get("mock://x/")
        assert caught.value is own


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_interrupt_is_not_wrapped(interrupt: type[BaseException]) -> None:
    def failing(request: adieu.Request) -> adieu.Response:
        raise interrupt

    with adieu.Client(adapter=adieu.adapter(failing)) as client, pytest.raises(interrupt):
        client.get("mock://x/")


# Middleware


def test_a_middleware_forwards_everything(fault_server: FaultServer, adapter: str) -> None:
    inner = find_adapter(adapter)()
    outer = adieu.Middleware(adieu.Middleware(inner))
    assert tuple(outer.schemes) == ("http", "https")
    assert repr(outer) == f"Middleware(Middleware({inner!r}))"
    with adieu.Client(adapter=outer, cleanup=adieu.ReleaseOnRead()) as client:
        response = client.get(f"{fault_server.url}/bytes?n=300000")
        assert [line.state for line in client.connections()] == ["leased"]
        (line,), (same,) = outer.connections(), inner.connections()
        assert line.id == same.id
        assert len(response.read()) == 300_000
        with pytest.raises(adieu.InvalidURL):
            client.get("ftp://example.org/")
        report = client.close()
        assert report.idle == (0 if adapter == "close" else 1)
    assert sockets(fault_server) == 0
    with adieu.Client(adapter=inner) as client, pytest.raises(adieu.ClientClosed):
        client.get(f"{fault_server.url}/ok")


def test_a_middleware_around_a_minimal_adapter_lists_no_connections() -> None:
    outer = adieu.Middleware(adieu.adapter(lambda request: adieu.Response(204)))
    assert list(outer.connections()) == []
    assert tuple(outer.schemes) == ()


def test_a_middleware_changes_only_what_it_overrides(
    fault_server: FaultServer, adapter: str
) -> None:
    class Retry(adieu.Middleware):
        """Sends once more when the server is busy."""

        def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
            response = super().send(request, exchange)
            if response.status_code == 503:
                exchange.end(False, "retry")
                response = super().send(request, exchange)
            return response

    answers = iter(["503 Busy", "200 OK"])

    def busy(peer: Any, request: Any) -> Any:
        peer.reply(next(answers), b"x" * 300_000)
        return "keep"

    fault_server.on("/busy", busy)
    event_log = EventLog()
    with adieu.Client(adapter=Retry(find_adapter(adapter)()), events=event_log) as client:
        assert client.get(f"{fault_server.url}/busy").status_code == 200
        assert fault_server.served == 2
    event_log.check()
    assert sockets(fault_server) == 0


# Whole adapters


class Told(adieu.Lease):
    """A lease that records how it ended."""

    reusable = True
    framing = "length"

    def __init__(self, name: str, log: list[tuple[str, bool, str]], body: bytes = b"") -> None:
        self.name = name
        self.log = log
        self.body = body
        self.ended = False

    def read(self, deadline: adieu.Deadline) -> bytes:
        body, self.body = self.body, b""
        return body

    def finish(self, reuse: bool, why: str) -> None:
        if not self.ended:
            self.ended = True
            self.log.append((self.name, reuse, why))


def owning(log: list[tuple[str, bool, str]], *names: str, error: BaseException | None) -> Any:
    def send(request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        for name in names:
            exchange.own(Told(name, log, b"content"))
        if error is not None:
            raise error
        return exchange.respond(200)

    return adieu.adapter(send)


@pytest.mark.parametrize("error", [Foreign(), adieu.ReadTimeout("late"), KeyboardInterrupt()])
def test_a_lease_whose_adapter_raises_is_discarded(error: BaseException) -> None:
    log: list[tuple[str, bool, str]] = []
    with adieu.Client(adapter=owning(log, "only", error=error)) as client:
        with pytest.raises(BaseException) as caught:  # noqa: PT011
            client.get("mock://x/")
        # While the error, with its traceback, is still referenced.
        assert caught.value is error or caught.value.__cause__ is error
        assert [(name, reuse) for name, reuse, _ in log] == [("only", False)]


def test_an_exchange_has_one_connection_and_an_earlier_one_is_discarded() -> None:
    log: list[tuple[str, bool, str]] = []
    with adieu.Client(adapter=owning(log, "first", "second", error=None)) as client:
        assert client.get("mock://x/").content == b"content"
    assert log == [("first", False, "replaced"), ("second", True, "complete")]


def test_owning_the_same_lease_again_ends_nothing() -> None:
    log: list[tuple[str, bool, str]] = []

    @adieu.adapter
    def twice(request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        lease = Told("only", log, b"content")
        exchange.own(lease)
        exchange.own(lease)
        assert log == []
        return exchange.respond(200)

    with adieu.Client(adapter=twice) as client:
        assert client.get("mock://x/").content == b"content"
    assert log == [("only", True, "complete")]


@pytest.mark.parametrize(
    ("policy", "ends"),
    [
        (adieu.Prefetch(), [("only", True, "complete")]),
        (adieu.ReleaseOnRead(), [("only", True, "complete")]),
        (adieu.CloseOnExit(), [("only", False, "complete")]),
        (adieu.NoKeepAlive(), [("only", False, "complete")]),
    ],
    ids=repr,
)
def test_the_policy_decides_how_a_lease_ends(policy: adieu.CleanupPolicy, ends: Any) -> None:
    log: list[tuple[str, bool, str]] = []
    with adieu.Client(adapter=owning(log, "only", error=None), cleanup=policy) as client:
        assert client.get("mock://x/").read() == b"content"
        assert log == ends
    assert log == ends


def test_a_lease_that_is_not_reusable_is_closed_under_every_policy() -> None:
    log: list[tuple[str, bool, str]] = []

    @adieu.adapter
    def once(request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        lease = Told("only", log, b"content")
        lease.reusable = False
        exchange.own(lease)
        return exchange.respond(200)

    with adieu.Client(adapter=once) as client:
        client.get("mock://x/")
    assert log == [("only", False, "complete")]


def test_a_finalizer_ends_and_reports_a_lease_that_is_still_open() -> None:
    log: list[tuple[str, bool, str]] = []
    with adieu.Client(adapter=owning(log, "only", error=None)) as client:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            client.stream("GET", "mock://x/")
            drop()
        assert log == [("only", False, "abandoned")]
        (warning,) = caught
        assert warning.category is ResourceWarning
        assert "GET mock://x/" in str(warning.message)
        assert "test_adapter.py" in str(warning.message)


class LineAdapter:
    """A whole adapter for another protocol: it sends one line and reads one line, over a connection of its own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: set[socket.socket] = set()

    def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
        lease = LineLease(self._open)
        exchange.own(lease)
        lease.sock.settimeout(exchange.deadline.remaining("connect"))
        lease.sock.connect(("127.0.0.1", self._port))
        lease.sock.sendall(f"GET {request.url.path} HTTP/1.0\r\n\r\n".encode())
        return exchange.respond(200)

    def close(self) -> None:
        for sock in list(self._open):
            sock.close()


class LineLease(adieu.Lease):
    def __init__(self, opened: set[socket.socket]) -> None:
        self._open = opened
        self.sock = socket.socket()
        opened.add(self.sock)

    def read(self, deadline: adieu.Deadline) -> bytes:
        self.sock.settimeout(deadline.remaining("read"))
        return self.sock.recv(65536)

    def finish(self, reuse: bool, why: str) -> None:
        self._open.discard(self.sock)
        self.sock.close()


def test_a_whole_adapter_of_twenty_lines_leaves_nothing_open(fault_server: FaultServer) -> None:
    with adieu.Client(adapter=LineAdapter(fault_server.port)) as client:
        assert client.get("line://x/ok").content.startswith(b"HTTP/1.1 200")
        assert sockets(fault_server) == 0
        with client.stream("GET", "line://x/bytes?n=300000") as response:
            assert next(response.iter_bytes())
            assert sockets(fault_server) == 1
        assert sockets(fault_server) == 0
        # Errors of its sockets are wrapped, while a body is read too.
        with pytest.raises(adieu.ReadTimeout, match=r"0\.1 s") as late:
            client.get("line://x/stall-head", timeout=adieu.Timeout(read=0.1))
        assert type(late.value.__cause__) is TimeoutError
        with pytest.raises(adieu.ReadError) as cut:
            client.get("line://x/reset-body")
        assert type(cut.value.__cause__) is ConnectionResetError
        assert sockets(fault_server) == 0
        kept = client.stream("GET", "line://x/bytes?n=300000")
    assert sockets(fault_server) == 0
    assert kept.is_closed
