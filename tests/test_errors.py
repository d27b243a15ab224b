"""Errors: one root, a familiar tree, facts that are pickled too, and never an empty text."""

from __future__ import annotations

import copy
import pickle
import re
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu import errors
from adieu.testing.faults_net import refused_port
from servers import FullHole
from support.clients import ADAPTERS, sockets
from support.stage import growing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing.faults import FaultServer

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("census")]


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


EVERY = [*(getattr(errors, name) for name in errors.__all__), adieu.StatusError]

TREE = {
    "AdieuError": (Exception,),
    "InvalidRequest": (errors.AdieuError, ValueError),
    "InvalidURL": (errors.InvalidRequest,),
    "InvalidHeader": (errors.InvalidRequest,),
    "MountError": (errors.AdieuError, ValueError),
    "PolicyError": (errors.AdieuError, TypeError),
    "UnknownAdapter": (errors.AdieuError, LookupError),
    "MissingExtra": (errors.AdieuError, ImportError),
    "ClientClosed": (errors.AdieuError, RuntimeError),
    "BodyClosed": (errors.AdieuError, RuntimeError),
    "DecodeError": (errors.AdieuError, ValueError),
    "BodyBusy": (errors.AdieuError, RuntimeError),
    "BodyTooLarge": (errors.AdieuError,),
    "ContentError": (errors.AdieuError,),
    "RedirectError": (errors.AdieuError,),
    "TooManyRedirects": (errors.RedirectError,),
    "TransportError": (errors.AdieuError,),
    "ConnectError": (errors.TransportError,),
    "DNSError": (errors.ConnectError,),
    "TLSError": (errors.ConnectError,),
    "ProxyError": (errors.ConnectError,),
    "ReadError": (errors.TransportError,),
    "WebSocketClosed": (errors.TransportError,),
    "GuardError": (errors.ConnectError,),
    "WriteError": (errors.TransportError,),
    "ProtocolError": (errors.TransportError,),
    "PeerClosed": (errors.ProtocolError,),
    "BodyTruncated": (errors.ProtocolError,),
    "RequestTimeout": (errors.TransportError, TimeoutError),
    "ConnectTimeout": (errors.RequestTimeout, errors.ConnectError),
    "WriteTimeout": (errors.RequestTimeout,),
    "ReadTimeout": (errors.RequestTimeout,),
    "DeadlineExceeded": (errors.RequestTimeout,),
    "PoolTimeout": (errors.RequestTimeout,),
}

FACTS: dict[str, Any] = {
    "phase": "body",
    "request_sent": "partly",
    "response_started": True,
    "reused": True,
    "elapsed": 1.5,
    "limit": 2.5,
    "method": "POST",
    "url": "https://example.org/",
}


def an_error(kind: type[adieu.AdieuError], text: str = "the reason") -> adieu.AdieuError:
    """An error with all facts that it can have."""
    if kind is adieu.StatusError:
        response = adieu.Response(404, {"x-a": "1"}, body=b"content")
        response.for_request = adieu.Request("POST", "https://example.org/", json={"n": 1})
        return adieu.StatusError(text, response=response)
    facts = FACTS if issubclass(kind, errors.TransportError) else {}
    if kind is errors.BodyTruncated:
        facts = {**facts, "received": 5, "expected": 9}
    if kind is errors.PoolTimeout:
        facts = {**facts, "holders": ("GET https://example.org/",)}
    if kind is errors.GuardError:
        facts = {**facts, "refused": (("10.0.0.1", "private"),)}
    return kind(text, **facts)


def test_the_tree_of_errors() -> None:
    assert TREE.keys() == set(errors.__all__)
    for name, bases in TREE.items():
        assert getattr(errors, name).__bases__ == bases, name
    assert adieu.StatusError.__bases__ == (errors.AdieuError,)


def test_every_error_is_at_the_top_of_the_package() -> None:
    for name in errors.__all__:
        assert getattr(adieu, name) is getattr(errors, name)
        assert name in adieu.__all__


@pytest.mark.parametrize("kind", EVERY)
def test_every_error_says_what_it_means(kind: type[adieu.AdieuError]) -> None:
    assert kind.__doc__
    expected = "the reason"
    if issubclass(kind, errors.TransportError):
        expected += " (POST https://example.org/)"
    assert str(an_error(kind)) == expected
    assert repr(an_error(kind)).startswith(f"{kind.__name__}('the reason'")


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://a.example/items", "the peer sent nothing (GET http://a.example/items)"),
        (
            "http://a.example/?token=t&x=1",
            "the peer sent nothing (GET http://a.example/?token=***&x=1)",
        ),
        ("http://a.example/#part", "the peer sent nothing (GET http://a.example/)"),
        ("mock://", "the peer sent nothing (GET mock://)"),
    ],
)
def test_the_text_of_a_transport_error_names_the_request_without_its_secrets(
    url: str, text: str
) -> None:
    assert str(adieu.ReadTimeout("the peer sent nothing", method="GET", url=url)) == text


def test_a_text_that_names_the_request_does_not_name_it_twice() -> None:
    text = "no answer for GET http://a.example:81/items"
    assert str(adieu.ReadTimeout(text, method="GET", url="http://a.example:81/items")) == text


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", EVERY)
def test_every_error_is_pickled_with_its_facts(kind: type[adieu.AdieuError], protocol: int) -> None:
    error = an_error(kind)
    restored = pickle.loads(pickle.dumps(error, protocol))
    assert type(restored) is kind
    assert str(restored) == str(error)
    assert restored.args == error.args
    assert vars(restored).keys() == vars(error).keys()
    for name, value in vars(error).items():
        # A response is equal to itself only; another test is about pickled responses.
        assert name == "response" or getattr(restored, name) == value


def test_the_facts_of_an_error_are_its_attributes() -> None:
    for kind in EVERY:
        if issubclass(kind, errors.TransportError):
            error = an_error(kind)
            assert {name: getattr(error, name) for name in FACTS} == FACTS
    truncated = errors.BodyTruncated("text", received=5, expected=9)
    assert (truncated.received, truncated.expected) == (5, 9)
    refused = errors.ProxyError("text", status=403, reason="Forbidden", answer=b"no")
    assert (refused.status, refused.reason, refused.answer) == (403, "Forbidden", b"no")
    assert refused.phase == "proxy"
    assert errors.PoolTimeout("text", holders=("GET x",)).holders == ("GET x",)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_status_error_is_pickled_with_its_response(protocol: int) -> None:
    restored: Any = pickle.loads(pickle.dumps(an_error(adieu.StatusError), protocol))
    assert restored.status_code == 404
    assert restored.response.content == b"content"
    assert restored.response.headers["x-a"] == "1"
    assert restored.response.request.method == "POST"


@pytest.mark.parametrize("kind", EVERY)
def test_every_error_can_be_copied(kind: type[adieu.AdieuError]) -> None:
    error = an_error(kind)
    for restored in (copy.copy(error), copy.deepcopy(error)):
        assert type(restored) is kind
        assert str(restored) == str(error)
        assert restored.__dict__.keys() == error.__dict__.keys()


def test_the_notes_of_an_error_are_pickled_too() -> None:
    error: Any = an_error(errors.ReadTimeout)
    error.__notes__ = ["while reading the list"]
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["while reading the list"]


def test_an_error_of_a_third_party_is_pickled_too() -> None:
    restored = pickle.loads(pickle.dumps(Own("mine", limit=3.0)))
    assert type(restored) is Own
    assert (str(restored), restored.limit, restored.phase) == ("mine", 3.0, "head")


class Own(adieu.ReadTimeout):
    """An error class of a third party."""


def test_a_fact_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError, match="'speed'"):
        errors.ReadTimeout("late", speed=7)  # type: ignore[call-arg]  # what this test is about


@pytest.mark.parametrize(
    ("kind", "phase"),
    [
        (errors.ConnectError, "connect"),
        (errors.DNSError, "dns"),
        (errors.TLSError, "tls"),
        (errors.ConnectTimeout, "connect"),
        (errors.WriteError, "write"),
        (errors.WriteTimeout, "write"),
        (errors.ReadError, "head"),
        (errors.ReadTimeout, "head"),
        (errors.PeerClosed, "head"),
        (errors.BodyTruncated, "body"),
        (errors.PoolTimeout, "pool"),
    ],
)
def test_an_error_without_facts_knows_its_phase_and_that_nothing_was_sent(
    kind: type[adieu.TransportError], phase: str
) -> None:
    error = kind("text")
    assert error.phase == phase
    assert error.request_sent == "no"
    assert error.retry_safe
    assert not error.response_started
    facts = (error.reused, error.elapsed, error.limit, error.method, error.url)
    assert facts == (None,) * 5


@pytest.mark.parametrize("sent", ["no", "partly", "wholly"])
def test_a_retry_is_safe_if_nothing_was_sent(sent: errors.Sent) -> None:
    assert errors.ReadError("text", request_sent=sent).retry_safe is (sent == "no")


# Errors of real requests


CASES: list[tuple[str, str, type[adieu.TransportError], dict[str, Any]]] = [
    (
        "/stall-head?seconds=60",
        "read",
        errors.ReadTimeout,
        {"phase": "head", "request_sent": "wholly", "response_started": False},
    ),
    (
        "/drip-head?seconds=60&n=10",
        "read",
        errors.ReadTimeout,
        {"phase": "head", "request_sent": "wholly", "response_started": True},
    ),
    (
        "/stall-body?seconds=60",
        "read",
        errors.ReadTimeout,
        {"phase": "body", "request_sent": "wholly", "response_started": True},
    ),
    (
        "/stall-body?seconds=60",
        "total",
        errors.DeadlineExceeded,
        {"phase": "body", "request_sent": "wholly", "response_started": True},
    ),
    (
        "/close",
        "",
        errors.PeerClosed,
        {"phase": "head", "request_sent": "wholly", "response_started": False},
    ),
    (
        "/truncated?n=1000&sent=300",
        "",
        errors.BodyTruncated,
        {"phase": "body", "response_started": True, "received": 300, "expected": 1000},
    ),
    (
        "/truncated-chunked",
        "",
        errors.BodyTruncated,
        {"phase": "body", "response_started": True, "expected": None},
    ),
    (
        "/reset",
        "",
        errors.ReadError,
        {"phase": "head", "request_sent": "wholly", "response_started": False},
    ),
]


@pytest.mark.parametrize("again", [False, True], ids=["new", "reused"])
@pytest.mark.parametrize(("path", "limit", "kind", "facts"), CASES)
def test_an_error_has_the_facts_of_its_request(
    fault_server: FaultServer,
    adapter: str,
    path: str,
    limit: str,
    kind: type[adieu.TransportError],
    facts: dict[str, Any],
    again: bool,
) -> None:
    url = fault_server.url + path
    with adieu.Client(adapter=adapter) as client:
        error: Any = None
        for seconds in growing(0.1):
            if again:
                client.get(f"{fault_server.url}/ok")
            timeout = adieu.Timeout(**{limit: seconds}) if limit else 30
            with pytest.raises(kind) as caught:
                client.post(url, content=b"c", timeout=timeout)
            error = caught.value
            assert error.limit == (seconds if limit else None)
            if not limit or error.phase == facts["phase"]:
                break
        assert type(error) is kind
        assert {name: getattr(error, name) for name in facts} == facts
        assert (error.method, error.url) == ("POST", url)
        assert error.reused is (again and adapter != "close")
        assert error.elapsed is not None
        assert error.elapsed > 0
        assert not error.retry_safe
        assert str(error)
        restored = pickle.loads(pickle.dumps(error))
        assert restored.__dict__ == error.__dict__
        assert str(restored) == str(error)
    assert sockets(fault_server) == 0


def test_an_upload_that_the_server_does_not_read_is_a_write_timeout(
    fault_server: FaultServer, adapter: str
) -> None:
    with adieu.Client(adapter=adapter) as client:
        with pytest.raises(adieu.WriteTimeout) as caught:
            client.post(
                f"{fault_server.url}/stall-read",
                content=b"x" * 20_000_000,
                timeout=adieu.Timeout(write=0.2),
            )
        error = caught.value
        assert (error.phase, error.request_sent) == ("write", "partly")
        assert not error.response_started
        assert error.limit == 0.2
        assert not error.retry_safe
    assert sockets(fault_server) == 0


def test_an_error_before_the_first_byte_was_sent_says_so(adapter: str) -> None:
    with adieu.Client(adapter=adapter) as client:
        with refused_port() as port, pytest.raises(adieu.ConnectError) as refused:
            client.get(f"http://127.0.0.1:{port}/")
        with FullHole() as hole, pytest.raises(adieu.ConnectTimeout) as late:
            client.get(hole.url, timeout=0.1)
    for error in (refused.value, late.value):
        assert (error.phase, error.request_sent, error.retry_safe) == ("connect", "no", True)
        restored = pickle.loads(pickle.dumps(error))
        assert restored.__dict__ == error.__dict__


@pytest.mark.parametrize(
    "options", [{}, {"content": b"c"}, {"json": {"n": 1}}, {"data": {"a": 1}}, {"content": [b"a"]}]
)
def test_a_status_error_has_the_response_and_can_be_pickled(
    fault_server: FaultServer, adapter: str, options: dict[str, Any]
) -> None:
    with adieu.Client(adapter=adapter) as client:
        response = client.post(f"{fault_server.url}/status/404?body=9", **options)
        with pytest.raises(adieu.StatusError) as caught:
            response.raise_for_status()
        assert re.match(r"404 .*: client error for POST http://", str(caught.value))
        restored = pickle.loads(pickle.dumps(caught.value))
        assert restored.status_code == 404
        assert restored.response.content == response.content
        assert restored.response.request.method == "POST"


def test_a_status_error_can_be_pickled_after_its_content_was_streamed(
    fault_server: FaultServer, adapter: str
) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"once"

    with adieu.Client(adapter=adapter) as client:
        response = client.post(f"{fault_server.url}/status/500?body=9", content=pieces())
        with pytest.raises(adieu.StatusError, match="server error") as caught:
            response.raise_for_status()
        restored = pickle.loads(pickle.dumps(caught.value))
        assert (restored.status_code, len(restored.response.content)) == (500, 9)


def test_keeping_a_status_error_keeps_no_connection(
    fault_server: FaultServer, adapter: str
) -> None:
    kept = []
    with adieu.Client(adapter=adapter, limits=adieu.Limits(connections=1)) as client:
        for _ in range(5):
            response = client.stream("GET", f"{fault_server.url}/status/404?body=300000")
            with pytest.raises(adieu.StatusError) as caught:
                response.raise_for_status()
            kept.append(caught.value)
            assert sockets(fault_server) == 0
    assert all(error.response.is_closed for error in kept)
