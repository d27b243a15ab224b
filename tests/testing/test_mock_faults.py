"""The faults of a mock are what adieu's adapters raise: each beside the real thing, over real sockets."""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, get_args

import pytest

import adieu
from adieu.testing import BlackHole, Fault, FaultServer, MockAdapter, TLSFaults, refused_port
from adieu.testing.mock_faults import FaultKind
from support.stage import growing

if TYPE_CHECKING:
    from support.runner import Runner

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("census")]

# The wait that is to end; every other may take long.
WAITS = {
    "connect timeout": "connect",
    "write timeout": "write",
    "read timeout": "read",
    "body timeout": "read",
}


def no_name(*args: Any, **options: Any) -> Any:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def real(kind: FaultKind, stack: ExitStack, server: FaultServer) -> tuple[str, dict[str, Any]]:
    """The URL, and options of the client, with which this fault really happens."""
    paths = {
        "write timeout": "/stall-read",
        "reset": "/reset",
        "closed": "/close",
        "read timeout": "/stall-head",
        "cut body": "/truncated",
        "reset body": "/reset-body",
        "body timeout": "/stall-body",
    }
    if kind == "dns":
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(socket, "getaddrinfo", no_name)
        return "http://no-name.example", {}
    if kind == "refused":
        return f"http://127.0.0.1:{stack.enter_context(refused_port())}", {}
    if kind == "connect timeout":
        # A handshake that never ends: connecting itself ends at once on some systems.
        return stack.enter_context(BlackHole()).url.replace("http:", "https:"), {}
    if kind == "tls":
        return stack.enter_context(TLSFaults("close")).url, {}
    return server.url + paths[kind], {}


def facts(
    runner: Runner, kind: FaultKind, seconds: float, url: str, options: dict[str, Any]
) -> dict[str, Any]:
    """What can be known of the error of a POST. `seconds`: the limit of the wait that is to end."""
    content = b"x" * (20_000_000 if "stall-read" in url else 1)
    timeout = adieu.Timeout(**({WAITS[kind]: seconds} if kind in WAITS else {}))
    with (
        runner.block(runner.client(timeout=timeout, **options)) as client,
        pytest.raises(adieu.TransportError) as caught,
    ):
        runner.run(client.post(url, content=content))
    error = caught.value
    assert error.elapsed is not None
    assert error.limit is None or error.elapsed >= error.limit
    known = {
        name: value
        for name, value in vars(error).items()
        if name not in {"elapsed", "phase"} and not name.startswith("_")
    }
    # A real refusal names the address that refused; OpenSSL's words differ between its releases.
    text = re.sub(
        r" 127\.0\.0\.1:(?= Connection)|\(EOF .*?\)|\(UNEXPECTED_EOF.*?\)", "", str(error)
    )
    return {
        **known,
        "kind": type(error),
        "phase": error.phase,
        "safe": error.retry_safe,
        "text": text,
    }


@pytest.mark.parametrize("kind", get_args(FaultKind))
def test_a_fault_is_the_error_of_the_real_thing_with_its_facts(
    kind: FaultKind, runner: Runner, fault_server: FaultServer
) -> None:
    with ExitStack() as stack:
        url, options = real(kind, stack, fault_server)
        expected: dict[str, Any] = {}
        seconds = 0.0
        for seconds in growing(0.1):
            expected = facts(runner, kind, seconds, url, options)
            if kind != "body timeout" or expected["phase"] == "body":
                break
    mock = MockAdapter({f"POST {url}": Fault(kind, after=500)})
    assert facts(runner, kind, seconds, url, {"adapter": mock}) == expected


@pytest.mark.parametrize(
    "error",
    [
        adieu.DNSError,
        adieu.ConnectError,
        adieu.ConnectTimeout,
        adieu.TLSError,
        adieu.WriteTimeout,
        adieu.ReadError,
        adieu.PeerClosed,
        adieu.ReadTimeout,
        adieu.BodyTruncated,
    ],
)
def test_the_class_of_an_error_is_the_fault_that_raises_it(error: Any, runner: Runner) -> None:
    mock = MockAdapter({"GET mock://x": error})
    with (
        runner.block(runner.client(adapter=mock)) as client,
        pytest.raises(adieu.TransportError) as caught,
    ):
        runner.run(client.get("mock://x"))
    assert type(caught.value) is error
    assert caught.value.retry_safe is issubclass(error, adieu.ConnectError)


def test_a_body_is_given_up_to_the_fault(runner: Runner) -> None:
    cut = Fault("cut body", status=206, headers={"etag": '"1"'}, body=b"abcdef", after=2)
    with (
        runner.block(runner.client(adapter=MockAdapter({"GET mock://x": cut}))) as client,
        runner.block(client.stream("GET", "mock://x")) as response,
    ):
        assert (response.status_code, response.headers["etag"]) == (206, '"1"')
        assert response.headers["content-length"] == "6"
        pieces = iter(runner.each(response.iter_bytes()))
        assert next(pieces) == b"ab"
        with pytest.raises(adieu.BodyTruncated) as caught:
            next(pieces)
    assert (caught.value.received, caught.value.expected) == (2, 6)


def test_a_timeout_is_that_of_the_call_and_does_not_wait(runner: Runner) -> None:
    mock = MockAdapter({"GET mock://x": Fault("read timeout")})
    with runner.block(runner.client(adapter=mock)) as client:
        with pytest.raises(adieu.ReadTimeout, match=r"3600 s \(Timeout.read\)") as caught:
            runner.run(client.get("mock://x", timeout=3600))
        assert caught.value.elapsed is not None
        assert caught.value.elapsed >= 3600
        with pytest.raises(adieu.DeadlineExceeded, match="within its 7 s"):
            runner.run(client.get("mock://x", timeout=adieu.Timeout(total=7)))
        with pytest.raises(adieu.InvalidRequest, match="would wait for ever"):
            runner.run(client.get("mock://x", timeout=None))


def test_a_fault_that_does_not_exist_is_refused_with_the_names_of_all() -> None:
    wrong: Any = "slow"
    with pytest.raises(adieu.InvalidRequest, match=r"no fault is called 'slow'.*body timeout"):
        Fault(wrong)
    with pytest.raises(adieu.InvalidRequest, match="not between 0 and 2 bytes"):
        Fault("cut body", body=b"abc", after=3)
