"""Cleanup policies: the decision of each policy, and that it is carried out as far as the connection allows."""

from __future__ import annotations

import pickle
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu import CLOSE, RELEASE, STREAM, Drain, Read
from adieu.lifecycle.cleanup import REFUSE, checked_answer
from adieu.testing import payload
from support.stage import POLICIES, Stage, caught, in_time, with_head

if TYPE_CHECKING:
    from adieu.testing import FaultServer
    from adieu.testing.faults import Ending, Peer, Request
    from support.runner import Runner
    from support.watch import Watch

pytestmark = pytest.mark.lifecycle

MODES = ("sync", "async", "async-trio")

EIGHT_MEGABYTES = "/bytes?n=8388608"


def _view(**facts: Any) -> adieu.View:
    usual: dict[str, Any] = {
        "method": "GET",
        "url": "http://example.org/",
        "status": 200,
        "framing": "length",
        "received": 0,
        "remaining": 5000,
        "reusable": True,
        "reused": False,
        "age": 0.1,
        "hop": 0,
    }
    return adieu.View(**{**usual, **facts})


# Decisions

_DRAIN = Drain(64 * 1024, 0.1)

DECISIONS = [
    # policy, keep-alive, after the headers, body complete, left early, client exit
    (adieu.CleanupPolicy(), True, STREAM, RELEASE, CLOSE, CLOSE),
    (adieu.Prefetch(), True, Read(), RELEASE, _DRAIN, CLOSE),
    (adieu.Prefetch(1000), True, Read(1000, None, REFUSE), RELEASE, _DRAIN, CLOSE),
    (adieu.Prefetch(drain=0), True, Read(), RELEASE, CLOSE, CLOSE),
    (adieu.ReleaseOnRead(), True, STREAM, RELEASE, _DRAIN, CLOSE),
    (adieu.ReleaseOnRead(500, 0.5), True, STREAM, RELEASE, Drain(500, 0.5), CLOSE),
    (adieu.ReleaseOnRead(drain=0), True, STREAM, RELEASE, CLOSE, CLOSE),
    (adieu.ReleaseOnRead(within=0), True, STREAM, RELEASE, CLOSE, CLOSE),
    (adieu.CloseOnExit(), False, STREAM, CLOSE, CLOSE, CLOSE),
    (adieu.NoKeepAlive(), False, Read(), CLOSE, CLOSE, CLOSE),
    (adieu.NoKeepAlive(adieu.ReleaseOnRead()), False, STREAM, CLOSE, CLOSE, CLOSE),
    (adieu.PrefetchUpTo(), True, Read(1024 * 1024), RELEASE, _DRAIN, CLOSE),
    (adieu.PrefetchUpTo(9), True, Read(9), RELEASE, _DRAIN, CLOSE),
    (adieu.Strict(), True, STREAM, RELEASE, _DRAIN, CLOSE),
]


@pytest.mark.parametrize("row", DECISIONS, ids=lambda row: repr(row[0]))
def test_each_policy_decides_as_documented(row: tuple[Any, ...]) -> None:
    policy, keep_alive, after_headers, complete, left, client_exit = row
    for view in (_view(), _view(framing="chunked", remaining=None), _view(status=404, hop=3)):
        assert policy.keep_alive is keep_alive
        assert policy.on_headers(view) == after_headers
        assert policy.on_complete(view) is complete
        for why in ("exit", "redirect", "auth", "retry", "error"):
            assert policy.on_close(view, why) == left
        assert policy.on_client_close(view) is client_exit


@pytest.mark.parametrize("row", DECISIONS, ids=lambda row: repr(row[0]))
def test_a_policy_can_be_pickled_and_its_repr_names_it(row: tuple[Any, ...]) -> None:
    policy = row[0]
    there = pickle.loads(pickle.dumps(policy))
    assert repr(there) == repr(policy)
    assert type(policy).__name__ in repr(policy)
    assert there.on_headers(_view()) == policy.on_headers(_view())
    assert there.on_close(_view(), "exit") == policy.on_close(_view(), "exit")


@pytest.mark.parametrize("wrong", [-1, float("nan"), True, "64k"])
def test_an_invalid_bound_is_refused_when_it_is_given(wrong: Any) -> None:
    for make, names in (
        (adieu.ReleaseOnRead, ("drain", "within")),
        (adieu.Prefetch, ("max_bytes", "drain", "within")),
        (adieu.PrefetchUpTo, ("limit", "drain", "within")),
    ):
        for name in names:
            with pytest.raises(adieu.InvalidRequest, match=f"{name} must be a number of at least"):
                make(**{name: wrong})


@pytest.mark.parametrize("wrong", [adieu.Prefetch, "prefetch", 1])
def test_an_object_that_is_no_policy_is_refused(wrong: Any) -> None:
    with pytest.raises(adieu.InvalidRequest, match="CleanupPolicy"):
        adieu.Client(cleanup=wrong)


# The connections that the server sees

# One connection serves all requests, or each request has its own.
KEPT, EACH = "one", "each"

PLAYS = {
    "HEAD": ("HEAD", EIGHT_MEGABYTES, "leave", KEPT),
    "empty": ("GET", "/empty", "leave", KEPT),
    "read": ("GET", "/bytes?n=100000", "read", KEPT),
    "read chunks": ("GET", "/chunked?n=100000&size=9999", "read", KEPT),
    "read until the close": ("GET", "/until-close?n=5000", "read", EACH),
    "read of HTTP/1.0": ("GET", "/http10", "read", EACH),
    "read a last answer": ("GET", "/connection-close", "read", EACH),
    "small unread": ("GET", "/bytes?n=1000", "leave", KEPT),
    "10 kB of chunks unread": ("GET", "/chunked?n=10000&size=100", "leave", KEPT),
    "404 unread": ("GET", "/status/404?body=1000", "leave", KEPT),
}


@pytest.mark.parametrize("play", PLAYS)
def test_twenty_requests_need_one_connection_or_twenty(stage: Stage, play: str) -> None:
    method, path, then, expected = PLAYS[play]
    if isinstance(stage.policy, adieu.ReleaseOnRead):
        # A busy machine may need more than the usual 0.1 s for a hundred chunks.
        stage.policy.within = 20
    with stage.block(stage.client()) as client:
        for _ in range(20):
            with stage.block(client.stream(method, path)) as response:
                if then == "read":
                    stage.read(response)
    keeps = stage.policy is not None and stage.policy.keep_alive and stage.adapter != "close"
    assert stage.server.accepted == (1 if keeps and expected == KEPT else 20)
    assert {request.header("connection") for request in stage.server.requests} == (
        {None} if keeps else {"close"}
    )


def test_a_body_that_is_too_long_to_drain_is_not_read(bare: Stage) -> None:
    patient = adieu.ReleaseOnRead(within=20)
    with bare.block(bare.client(cleanup=patient)) as client:
        for _ in range(20):
            with bare.block(client.stream("GET", EIGHT_MEGABYTES)):
                pass
        with (
            in_time(),
            bare.block(client.stream("GET", "/stall-body?n=8388608&sent=10&seconds=60")),
        ):
            pass
    assert bare.server.accepted == 21


def test_a_body_longer_than_the_drain_allows_is_closed(bare: Stage) -> None:
    with bare.block(bare.client(cleanup=adieu.ReleaseOnRead(drain=1000))) as client:
        for _ in range(3):
            with bare.block(client.stream("GET", "/chunked?n=900000&size=60000")):
                pass
    assert bare.server.accepted == 3


def test_a_drained_body_is_closed_and_not_empty(bare: Stage) -> None:
    # More than one read takes from a socket, because a body that came whole with its head can still be read.
    with bare.block(bare.one(cleanup=adieu.ReleaseOnRead(200_000, 5))) as client:
        with bare.block(client.stream("GET", "/chunked?n=100000&size=500")) as response:
            pass
        caught(adieu.BodyClosed, bare.read, response)
        caught(adieu.BodyClosed, lambda: list(bare.runner.each(response.iter_bytes())))
        redirected = bare.get(client, "/redirect?n=1&body=3000")
        caught(adieu.BodyClosed, bare.read, redirected.history[0])
    assert bare.server.accepted == (1 if bare.adapter != "close" else 3)


@pytest.mark.parametrize(
    "path", ["/stall-body?n=2000&sent=1000&seconds=60", "/drip?n=2000&seconds=60"]
)
def test_a_drain_gives_up_in_time(bare: Stage, path: str) -> None:
    with bare.block(bare.one(cleanup=adieu.ReleaseOnRead())) as client:
        started = time.monotonic()
        with in_time(), bare.block(client.stream("GET", path)):
            pass
        assert bare.adapter == "close" or time.monotonic() - started > 0.08
        bare.next_works(client)
    assert bare.server.accepted == 2


def test_a_drain_does_not_outlast_the_call(bare: Stage) -> None:
    patient = adieu.ReleaseOnRead(within=60)
    path = "/stall-body?n=2000&sent=1000&seconds=60"
    with bare.block(bare.one(cleanup=patient)) as client:

        def begun(seconds: float) -> Any:
            return bare.run(client.stream("GET", path, timeout=adieu.Timeout(total=seconds)))

        response = with_head(begun)
        with in_time():
            bare.run(response.close())
        bare.next_works(client)


# Reading ahead


@pytest.mark.parametrize("limit", [0, 1, 999, 1000, 99_999, 100_000, 100_001])
@pytest.mark.parametrize("path", ["/bytes", "/chunked", "/until-close"])
def test_the_stream_begins_with_the_bytes_that_were_read_ahead(
    bare: Stage, path: str, limit: int
) -> None:
    for size in (1000, 100_000):
        with bare.block(bare.one(cleanup=adieu.PrefetchUpTo(limit))) as client:
            response = bare.get(client, f"{path}?n={size}")
            if size <= limit:
                assert response.is_closed
                assert bare.in_use(client) == []
            assert b"".join(bare.runner.each(response.iter_raw())) == payload(size)
            again = bare.get(client, f"{path}?n={size}")
            assert bare.read(again) == payload(size)
            assert bare.in_use(client) == []


@pytest.mark.parametrize("path", ["/bytes", "/chunked"])
def test_a_body_over_the_bound_of_prefetch_is_an_error(bare: Stage, path: str) -> None:
    with bare.block(bare.one(cleanup=adieu.Prefetch(5000))) as client:
        assert bare.read(bare.get(client, f"{path}?n=5000")) == payload(5000)
        error = caught(adieu.BodyTooLarge, bare.get, client, f"{path}?n=90001")
        assert "5000 are allowed" in str(error)
        assert f"GET {bare.server.url}{path}?n=90001" in str(error)
        assert bare.nothing_open()
        bare.next_works(client)


def test_a_read_with_a_short_limit_hands_out_the_stream(bare: Stage) -> None:
    class Impatient(adieu.ReleaseOnRead):
        def on_headers(self, view: adieu.View) -> Any:
            return Read(None, 0.05)

    go_on = threading.Event()

    def in_two_halves(peer: Peer, request: Request) -> Ending:
        peer.start(200, [("content-length", "1000")])
        peer.body(payload(500))
        assert go_on.wait(30)
        peer.body(payload(1000)[500:])
        return "keep"

    bare.server.on("/halves", in_two_halves)
    with bare.block(bare.one(cleanup=Impatient())) as client:
        response = bare.get(client, "/halves")
        assert not response.is_closed
        go_on.set()
        assert bare.read(response) == payload(1000)
        bare.next_works(client)


def test_a_policy_may_close_after_the_headers(bare: Stage) -> None:
    class HeadOnly(adieu.CleanupPolicy):
        """A policy of a user: read a small body, or none."""

        def on_headers(self, view: adieu.View) -> Any:
            if view.framing == "close" or (view.remaining or 0) > 4096:
                return CLOSE
            return Read(4096, 0.05, otherwise=CLOSE)

    with bare.block(bare.one(cleanup=HeadOnly())) as client:
        small = bare.get(client, "/bytes?n=4096")
        assert bare.read(small) == payload(4096)
        for path in (
            "/bytes?n=4097",
            "/chunked?n=9000",
            "/until-close?n=10",
            "/stall-body?n=4000&sent=10",
        ):
            response = bare.get(client, path)
            assert response.status_code == 200
            assert response.is_closed
            assert bare.nothing_open()
            caught(adieu.BodyClosed, bare.read, response)
        bare.next_works(client)


# The limits of a policy


class _Hoarder(adieu.CleanupPolicy):
    """Tries to keep every connection, whatever happened on it."""

    def on_headers(self, view: adieu.View) -> Any:
        return STREAM

    def on_complete(self, view: adieu.View) -> Any:
        return RELEASE

    def on_close(self, view: adieu.View, why: Any) -> Any:
        return RELEASE

    def on_client_close(self, view: adieu.View) -> Any:
        return RELEASE


class _Drainer(_Hoarder):
    """The same, by drains without a limit."""

    def on_close(self, view: adieu.View, why: Any) -> Any:
        return Drain(10**9, 0.2)


class _Nonsense(adieu.ReleaseOnRead):
    """One hook of it returns an object that is no answer."""

    def __init__(self, hook: str, answer: Any = None) -> None:
        super().__init__(10**7, 5)
        self.hook = hook
        self.answer = answer

    def _or_nonsense(self, hook: str, answer: Any) -> Any:
        return self.answer if hook == self.hook else answer

    def on_headers(self, view: adieu.View) -> Any:
        return self._or_nonsense("on_headers", super().on_headers(view))

    def on_complete(self, view: adieu.View) -> Any:
        return self._or_nonsense("on_complete", super().on_complete(view))

    def on_close(self, view: adieu.View, why: Any) -> Any:
        return self._or_nonsense("on_close", super().on_close(view, why))

    def on_client_close(self, view: adieu.View) -> Any:
        return self._or_nonsense("on_client_close", super().on_client_close(view))


HOOKS = ["on_headers", "on_complete", "on_close", "on_client_close"]

HOSTILE = {
    "hoarder": _Hoarder(),
    "drainer": _Drainer(),
    **{f"nonsense in {hook}": _Nonsense(hook) for hook in HOOKS},
}

POISONED = [
    "/until-close?n=500",
    "/http10?n=500",
    "/connection-close",
    "/surplus",
    "/second-response",
    "/truncated?n=900&sent=500",
    "/truncated-chunked",
    "/reset-body?n=90000&sent=500",
]


@pytest.mark.parametrize("path", POISONED)
@pytest.mark.parametrize("policy", HOSTILE.values(), ids=HOSTILE)
def test_no_policy_can_keep_a_connection_that_cannot_be_kept(
    bare: Stage, policy: adieu.CleanupPolicy, path: str
) -> None:
    with bare.block(bare.one(cleanup=policy)) as client:
        for then in ("read", "leave"):
            try:
                with bare.block(client.stream("GET", path)) as response:
                    if then == "read":
                        bare.read(response)
            except adieu.AdieuError:
                pass
            assert bare.in_use(client) == []
            before = bare.server.accepted
            bare.next_works(client)
            assert bare.server.accepted == before + 1, f"the connection of {path} served again"
            bare.server.hang_up()
    assert bare.nothing_open()


@pytest.mark.parametrize("policy", HOSTILE.values(), ids=HOSTILE)
def test_no_policy_can_keep_a_socket_beyond_the_client(
    bare: Stage, policy: adieu.CleanupPolicy
) -> None:
    held = []
    with suppress(adieu.PolicyError), bare.block(bare.client(cleanup=policy)) as client:
        held = [bare.run(client.stream("GET", "/bytes?n=900000")) for _ in range(3)]
        held.append(bare.get(client, "/ok"))
        with bare.block(client.stream("GET", "/redirect?n=2&body=900000")) as response:
            held.append(response)
    assert bare.nothing_open()
    if held:
        caught(adieu.ClientClosed, bare.read, held[0])


SENSE: dict[str, list[Any]] = {
    "on_headers": [STREAM, CLOSE, Read(10), Read(10, 0.1, REFUSE)],
    "on_complete": [RELEASE, CLOSE],
    "on_close": [CLOSE, Drain(0, 0)],
    "on_client_close": [CLOSE, STREAM],
}
NONSENSE: list[Any] = [
    *(None, True, "release", 42, object, [], STREAM, RELEASE, CLOSE, REFUSE, Read(), Drain(9, 0.1)),
    *(Drain(-1, 1), Drain(1, True), Drain("1", 1), Read("1"), Read(1, -1), Read(1, 1, RELEASE)),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_has_its_own_answers(hook: str) -> None:
    for answer in SENSE[hook]:
        assert checked_answer(adieu.Prefetch(), hook, answer) is answer
    kinds = {"on_headers": Read, "on_close": Drain}
    for answer in NONSENSE:
        sound = answer in (Read(), Drain(9, 0.1)) and type(answer) is kinds.get(hook)
        if sound or any(answer is one for one in SENSE[hook]):
            continue
        with pytest.raises(adieu.PolicyError, match=rf"{hook} of Prefetch\(.*\) returned"):
            checked_answer(adieu.Prefetch(), hook, answer)


@pytest.mark.parametrize("hook", HOOKS)
def test_nonsense_is_an_error_at_once_and_closes_the_connection(bare: Stage, hook: str) -> None:
    if bare.adapter == "close" and hook in ("on_complete", "on_close"):
        pytest.skip("NoKeepAlive answers these itself")
    url = f"{bare.server.url}/bytes?n=900000"

    def play(how: str) -> None:
        with bare.block(bare.one(cleanup=_Nonsense(hook))) as client:
            try:
                response = bare.run(client.stream("GET", url))
                if how == "read":
                    bare.read(response)
                elif how == "close":
                    bare.run(response.close())
            finally:
                if how != "client":
                    assert bare.in_use(client) == []
                    assert bare.sockets() == 0
                    assert client.connections() == []

    plays = {"on_headers": ["read"], "on_complete": ["read", "close"], "on_close": ["close"]}
    for how in plays.get(hook, ["client"]):
        error = caught(adieu.PolicyError, play, how)
        assert f"{hook} of " in str(error)
        assert "_Nonsense(" in str(error)
        assert " returned None, and may return " in str(error)
        assert "is a `return` missing?" in str(error)
        if hook != "on_client_close":
            assert str(error).endswith(f"(GET {url})")
        assert bare.nothing_open()


def test_what_is_no_policy_cannot_be_the_inner_one() -> None:
    with pytest.raises(
        adieu.InvalidRequest, match="NoKeepAlive takes a CleanupPolicy, not 'close'"
    ):
        adieu.NoKeepAlive("close")  # type: ignore[arg-type]


# The choice of the policy


class _Spy(adieu.Prefetch):
    """Records that it was called."""

    def __init__(self, name: str, asked: list[str]) -> None:
        super().__init__()
        self.name = name
        self.asked = asked

    def on_headers(self, view: adieu.View) -> Any:
        self.asked.append(self.name)
        return super().on_headers(view)


@pytest.mark.parametrize("adapter", ["urllib3", "native"])
def test_the_nearest_policy_wins(
    runner: Runner, adapter: str, fault_server: FaultServer, census: Watch
) -> None:
    asked: list[str] = []
    stage = Stage(runner, adapter, _Spy("client", asked), fault_server, census)
    with stage.block(stage.client()) as client:
        client.mount(f"{fault_server.url}/chunked", adapter, cleanup=_Spy("mount", asked))
        client.mount(f"{fault_server.url}/bytes", adapter)
        stage.get(client, "/status/404?body=9")
        stage.get(client, "/chunked")
        stage.get(client, "/bytes")
        stage.get(client, "/chunked", cleanup=_Spy("request", asked))
        stage.get(client, "/bytes", cleanup=_Spy("request", asked))
        # Each hop chooses its policy, unless the call has one.
        stage.get(client, "/redirect?n=1&to=/chunked")
        stage.get(client, "/redirect?n=1&to=/chunked", cleanup=_Spy("request", asked))
    assert asked == ["client", "mount", "client", "request", "request", "mount", "request"]


def test_a_policy_serves_many_clients_at_once(bare: Stage) -> None:
    policies = [make() for make in POLICIES.values()]
    clients = [bare.client(cleanup=policy) for policy in policies * 2]
    for client in clients:
        with bare.block(client.stream("GET", "/bytes?n=5000")) as response:
            assert len(bare.read(response)) == 5000
    for client in clients:
        bare.run(client.close())
    assert bare.nothing_open()
