"""Flows of several requests. None of them leaves a connection open."""

from __future__ import annotations

import gzip
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

import adieu

if TYPE_CHECKING:
    from collections.abc import Generator

    from adieu.testing.faults import Ending, FaultServer, Peer
    from adieu.testing.request import Request as Received
    from support.stage import Stage

pytestmark = pytest.mark.lifecycle

SECRET = "31d4"


class TokenServer:
    """`/doc` requires a token; `/token` gives one for a key. `challenge` is the body of the 401."""

    def __init__(self, server: FaultServer, challenge: bytes = b"no token") -> None:
        self.challenge = challenge
        self.valid = SECRET
        server.on("/doc", self.doc)
        server.on("/token", self.token)

    def doc(self, peer: Peer, request: Received) -> Ending:
        if request.header("authorization") == f"Bearer {self.valid}":
            peer.reply(200, b"got " + request.body)
        else:
            peer.reply(401, self.challenge, [("www-authenticate", "Bearer")])
        return "keep"

    def token(self, peer: Peer, request: Received) -> Ending:
        peer.reply(200, json.dumps({"token": self.valid, "key": request.body.decode()}).encode())
        return "keep"


class TokenAuth(adieu.Auth):
    """The example of docs/authentication.md."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.token = ""

    def flow(self, request: adieu.Request) -> Generator[Any, Any, None]:
        request.headers["Authorization"] = f"Bearer {self.token}"
        response = yield request
        if response.status_code == 401:
            answer = yield adieu.Request("POST", request.url.join("/token"), content=self.key)
            answer = yield answer
            self.token = answer.json()["token"]
            request.headers["Authorization"] = f"Bearer {self.token}"
            yield request


def auth_of(flow: Any) -> adieu.Auth:
    """An `Auth` with this generator function as its flow."""

    class Flow(adieu.Auth):
        def flow(self, request: adieu.Request) -> Generator[Any, Any, None]:
            yield from flow(request)

        def __repr__(self) -> str:
            return "Flow()"

    return Flow()


def connections(stage: Stage, requests: int) -> int:
    return requests if stage.adapter == "close" else 1


@pytest.mark.parametrize("streaming", [False, True])
def test_a_flow_fetches_a_token_and_goes_on(stage: Stage, streaming: bool) -> None:
    TokenServer(stage.server)
    auth = TokenAuth("key")
    with stage.block(stage.one(auth=auth)) as client:
        if streaming:
            with stage.block(client.stream("PUT", "/doc", content=b"x")) as response:
                assert stage.read(response) == b"got x"
        else:
            response = stage.get(client, "/doc", "PUT", content=b"x")
        assert stage.read(response) == b"got x" if not streaming else True
        assert [hop.status_code for hop in response.history] == [401, 200]
        assert [hop.history for hop in response.history] == [(), response.history[:1]]
        assert [r.target for r in stage.server.requests] == ["/doc", "/token", "/doc"]
        # The flow has the token now, so the next call has no challenge and no history.
        assert stage.get(client, "/doc").history == ()
        assert stage.server.served == 4
    assert stage.server.accepted == connections(stage, 4)
    assert stage.nothing_open()


def test_each_hop_of_a_redirect_has_its_flow_and_history_has_both(stage: Stage) -> None:
    TokenServer(stage.server)
    with stage.block(stage.one(auth=TokenAuth("key"))) as client:
        response = stage.get(client, "/redirect?to=/doc")
        assert stage.read(response) == b"got "
        assert [hop.status_code for hop in response.history] == [302, 401, 200]


@pytest.mark.parametrize(
    "policy", [adieu.Prefetch(), adieu.ReleaseOnRead(), adieu.CloseOnExit()], ids=repr
)
def test_the_body_of_a_challenge_is_never_read_without_bound(
    stage: Stage, policy: adieu.CleanupPolicy
) -> None:
    left = []

    def challenge(peer: Peer, request: Received) -> Ending:
        if request.header("authorization") == f"Bearer {SECRET}":
            peer.reply(200, b"in")
            return "keep"
        size = 50_000_000
        peer.start(401, [("content-length", str(size))])
        try:
            for sent in range(0, size, 10_000):
                peer.send(b"x" * 10_000)
                left.append(sent)
        finally:
            left.append(-1)
        return "keep"

    TokenServer(stage.server)
    stage.server.on("/doc", challenge)
    with stage.block(stage.one(auth=TokenAuth("key"), cleanup=policy)) as client:
        response = stage.get(client, "/doc")
        assert stage.read(response) == b"in"
        stage.server.wait_until(lambda: left[-1:] == [-1])
        assert len(left) < 2_000
        stage.next_works(client)
    assert stage.nothing_open()


def test_the_policy_decides_how_the_body_of_a_challenge_ends(stage: Stage) -> None:
    questions: list[str] = []

    class Recording(adieu.CleanupPolicy):
        def on_close(self, view: adieu.View, why: str) -> Any:
            questions.append(f"{why} {view.status} {view.hop}")
            return adieu.Drain(1000, 1.0)

    TokenServer(stage.server)
    with stage.block(stage.one(auth=TokenAuth("key"), cleanup=Recording())) as client:
        response = stage.get(client, "/doc")
        stage.read(response)
        # The token's response was read to its end.
        assert questions == ([] if stage.adapter == "close" else ["auth 401 0"])


def test_a_flow_reads_at_most_one_mebibyte(stage: Stage) -> None:
    def flow(request: adieu.Request) -> Generator[Any, Any, None]:
        response = yield request
        yield response

    def bomb(peer: Peer, request: Received) -> Ending:
        """Short as it is sent; of random bytes and zeros, so that no ratio gives it away."""
        content = gzip.compress(os.urandom(300_000) + bytes(2_000_000))
        peer.reply(200, content, [("content-encoding", "gzip")])
        return "keep"

    stage.server.on("/bomb", bomb)
    with stage.block(stage.one(auth=auth_of(flow))) as client:
        response = stage.get(client, "/bytes?n=1000000")
        assert len(stage.read(response)) == 1_000_000
        for path in ("/bytes?n=5000000", "/chunked?n=5000000", "/bomb"):
            with pytest.raises(
                adieu.BodyTooLarge, match=r"answers an auth flow with more than 1048576"
            ):
                stage.get(client, path)
        stage.next_works(client)
    assert stage.nothing_open()


def test_a_flow_may_read_a_response_twice_and_one_without_content(stage: Stage) -> None:
    seen = []

    def flow(request: adieu.Request) -> Generator[Any, Any, None]:
        response = yield request
        for _ in range(2):
            again = yield response
            seen.append((again is response, response.content))

    with stage.block(stage.one(auth=auth_of(flow))) as client:
        assert stage.read(stage.get(client, "/no-content")) == b""
        stage.read(stage.get(client, "/bytes?n=3"))
    assert [ok for ok, _ in seen] == [True] * 4
    assert [len(content) for _, content in seen] == [0, 0, 3, 3]


def test_content_that_was_used_up_is_not_sent_in_part(stage: Stage) -> None:
    TokenServer(stage.server)
    with stage.block(stage.one(auth=TokenAuth("key"))) as client:
        with pytest.raises(adieu.ContentError) as caught:
            stage.get(client, "/doc", "POST", content=iter([b"once"]))
        assert str(caught.value) == (
            f"POST {stage.server.url}/doc asks for credentials, so the content must be sent again, "
            "but it was an iterator that has been used up: pass bytes, a file or a list"
        )
        # With the token, the content is sent only once.
        response = stage.get(client, "/doc", "POST", content=iter([b"once"]))
        assert stage.read(response) == b"got once"
        assert stage.get(client, "/doc", "POST", content=[b"li", b"st"]).status_code == 200
        stage.next_works(client)
    assert stage.nothing_open()


def test_an_error_in_a_flow_is_raised_by_the_call_and_leaves_nothing_open(stage: Stage) -> None:
    closed = []

    def flow(request: adieu.Request) -> Generator[Any, Any, None]:
        try:
            yield request
            raise LookupError("no key for this")
        finally:
            closed.append(1)

    with stage.block(stage.one(auth=auth_of(flow))) as client:
        with pytest.raises(LookupError, match="no key for this"):
            stage.get(client, "/bytes?n=100000")
        assert closed == [1]
        assert stage.get(client, "/ok", auth=None).status_code == 200
    assert stage.nothing_open()


def test_an_exchange_that_fails_closes_the_flow(stage: Stage) -> None:
    ended = []

    def flow(request: adieu.Request) -> Generator[Any, Any, None]:
        try:
            yield request
        except BaseException as error:
            ended.append(type(error))
            raise

    with stage.block(stage.one(auth=auth_of(flow))) as client, pytest.raises(adieu.TransportError):
        stage.get(client, "/reset")
    assert ended == [GeneratorExit]


def test_with_a_flow_that_yields_nothing_the_request_is_sent_unchanged(stage: Stage) -> None:
    def flow(request: adieu.Request) -> Generator[Any, Any, None]:
        yield from ()

    with stage.block(stage.one(auth=auth_of(flow))) as client:
        assert stage.get(client, "/ok").status_code == 200
        assert stage.server.served == 1


@pytest.mark.parametrize("junk", [None, "https://example.org/", 5])
def test_a_flow_that_yields_another_type_is_an_error_that_names_it(stage: Stage, junk: Any) -> None:
    def flow(request: adieu.Request) -> Generator[Any, Any, None]:
        yield request
        yield junk

    with (
        stage.block(stage.one(auth=auth_of(flow))) as client,
        pytest.raises(
            adieu.InvalidRequest,
            match=rf"^Flow\(\) yielded {type(junk).__name__}; a flow yields requests, and the last",
        ),
    ):
        stage.get(client, "/ok")
    assert stage.nothing_open()


def test_an_awaitable_is_awaited_by_the_async_client_alone(stage: Stage) -> None:
    async def token() -> str:
        return "made"

    async def sign(request: adieu.Request) -> None:
        request.headers["Authorization"] = "Bearer made"

    is_async = stage.runner.kind is adieu.AsyncClient
    for auth in (adieu.BearerAuth(token), sign):
        with stage.block(stage.one()) as client:
            if is_async:
                stage.get(client, "/ok", auth=auth)
                assert stage.server.requests[-1].header("authorization") == "Bearer made"
            else:
                with pytest.raises(
                    adieu.InvalidRequest, match="has to be awaited: use AsyncClient"
                ):
                    stage.get(client, "/ok", auth=auth)
            stage.next_works(client)


def test_every_request_of_a_flow_has_the_clients_cookies_and_hooks(stage: Stage) -> None:
    TokenServer(stage.server)
    seen: list[str] = []
    hooks = {
        "request": [lambda request: seen.append(f"> {request.url.path}")],
        "response": [lambda response: seen.append(f"< {response.status_code}")],
    }
    with stage.block(stage.one(auth=TokenAuth("key"), event_hooks=hooks)) as client:
        client.cookies["a"] = "b"
        stage.get(client, "/doc")
    assert seen == ["> /doc", "< 401", "> /token", "< 200", "> /doc", "< 200"]
    assert [r.header("cookie") for r in stage.server.requests] == ["a=b"] * 3


def test_a_flow_can_read_a_response_after_an_awaitable(stage: Stage) -> None:
    if stage.runner.kind is not adieu.AsyncClient:
        pytest.skip("nothing is awaited here")
    seen: list[Any] = []

    async def ticket() -> str:
        return "a ticket"

    def flow(request: adieu.Request) -> Generator[Any, Any, None]:
        response = yield request
        seen.extend([(yield ticket()), (yield response) is response])

    with stage.block(stage.one(auth=auth_of(flow))) as client:
        assert stage.get(client, "/bytes?n=5").status_code == 200
    assert seen == ["a ticket", True]


def test_each_request_of_a_flow_has_its_retries(stage: Stage) -> None:
    TokenServer(stage.server)
    doc = stage.server
    failed: list[int] = []
    tokens = TokenServer(doc)

    def busy_first(peer: Peer, request: Received) -> Ending:
        if not failed:
            failed.append(1)
            peer.reply(503, b"later", [("retry-after", "0")])
            return "keep"
        return tokens.doc(peer, request)

    doc.on("/doc", busy_first)
    with stage.block(stage.one(auth=TokenAuth("key"), retry=2)) as client:
        response = stage.get(client, "/doc")
        assert stage.read(response) == b"got "
        assert [hop.status_code for hop in response.history] == [503, 401, 200]


def test_a_flow_that_is_no_plain_generator_is_refused(stage: Stage) -> None:
    class Silent(adieu.Auth):
        def flow(self, request: adieu.Request) -> Any:
            request.headers["x"] = "y"

    class Asynchronous(adieu.Auth):
        async def flow(self, request: adieu.Request) -> Any:
            yield request

    for auth, kind in ((Silent(), "NoneType"), (Asynchronous(), "async_generator")):
        with stage.block(stage.one()) as client:
            with pytest.raises(adieu.InvalidRequest, match=f"plain generator.* this one is {kind}"):
                stage.get(client, "/ok", auth=auth)
            stage.next_works(client)
