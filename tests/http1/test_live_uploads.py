"""Content from an async iterator that is silent for long: the peer and the clock are heard meanwhile."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.lifecycle.fairness import in_trio
from adieu_native import AsyncNativeAdapter
from support.stage import growing
from support.steering import LOOPS, DelayedWire, run, settle, sleep, spawn, wait

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from adieu.events import Informational
    from adieu.testing.faults import Ending, FaultServer, Peer, Request
    from support.watch import Watch
    from support.ways import Way

every_loop = pytest.mark.parametrize("loop", LOOPS)

SILENCE = 3600.0
"""Longer than any test: what ends earlier has not waited for the iterator (seconds)."""


class Live:
    """Content that gives one piece, and is silent then. `ended`: its clean-up has run, with a wait in it."""

    def __init__(self, *more: bytes) -> None:
        self.more = more
        self.begun = self.ended = False
        self.pieces = self._pieces()

    async def _pieces(self) -> AsyncIterator[bytes]:
        self.begun = True
        try:
            yield b"first"
            await sleep(SILENCE)
        finally:
            if not in_trio():  # A cancelled task of trio's does not wait any more.
                await sleep(0.001)
            self.ended = True


def until_first(peer: Peer) -> None:
    """The first piece has come."""
    got = b""
    while b"first" not in got:
        got += peer.read_raw()


def refuses(peer: Peer, request: Request) -> Ending:
    """It has read the first piece, and wants no more."""
    until_first(peer)
    peer.reply(401, b"who are you?", [("Connection", "close")])
    return "close"


async def sent(url: str, content: Any, **options: Any) -> Any:
    """The response to a POST of this content. One connection, so that the next call would notice a lost one."""
    options = {"limits": adieu.Limits(connections=1), **options}
    async with adieu.AsyncClient(**options) as client:
        response = await client.post(url, content=content)
        following = await client.get(url.rpartition("/")[0] + "/ok")
        assert following.status_code == 200
        return response


@pytest.mark.parametrize("adapter", ["native", "h11", "close"])
@every_loop
def test_a_refusal_is_heard_while_the_content_is_silent(
    way: Way, loop: str, adapter: str, census: Watch
) -> None:
    way.server.on("/live", refuses, early=True)
    live = Live()

    async def main() -> None:
        response = await sent(f"{way.url}/live", live.pieces, adapter=adapter, **way.options)
        assert (response.status_code, response.content) == (401, b"who are you?")
        assert live.ended

    run(main(), LOOPS[loop])


@every_loop
def test_a_peer_that_hangs_up_is_noticed_while_the_content_is_silent(
    way: Way, loop: str, census: Watch
) -> None:
    def leaves(peer: Peer, request: Request) -> Ending:
        until_first(peer)
        return "close"

    way.server.on("/live", leaves, early=True)
    live = Live()

    async def main() -> None:
        with pytest.raises(adieu.PeerClosed, match="without an answer"):
            await sent(f"{way.url}/live", live.pieces, **way.options)
        assert live.ended

    run(main(), LOOPS[loop])


@every_loop
def test_the_total_time_ends_a_call_whose_content_is_silent(
    way: Way, loop: str, census: Watch
) -> None:
    async def main() -> None:
        live = Live()
        for seconds in growing(0.2):
            live = Live()
            timeout = adieu.Timeout(total=seconds)
            with pytest.raises(adieu.DeadlineExceeded, match=rf"{seconds:g} s in all"):
                await sent(f"{way.url}/echo", live.pieces, timeout=timeout, **way.options)
            if live.begun:
                break
        assert live.ended

    run(main(), LOOPS[loop])


@every_loop
def test_other_answers_stop_nothing(way: Way, loop: str, census: Watch) -> None:
    """Interim answers, and a success that begins early, come while the content is silent."""
    heard: list[int] = []

    class Interim(adieu.Events):
        def informational(self, event: Informational) -> None:
            heard.append(event.status)

    def goes_on(peer: Peer, request: Request) -> Ending:
        peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nta\r\n")
        peer.read_body(request)
        peer.send(b"3\r\nken\r\n0\r\n\r\n")
        return "keep"

    way.server.on("/live", goes_on, early=True)

    async def pieces() -> AsyncIterator[bytes]:
        for index in range(5):
            yield b"%d" % index
            while not heard:
                await sleep(0.001)

    async def main() -> None:
        response = await sent(f"{way.url}/live", pieces(), events=Interim(), **way.options)
        assert (response.status_code, response.content) == (200, b"taken")

    run(main(), LOOPS[loop])
    assert [one.body for one in way.server.requests if one.path == "/live"] == [b"01234"]
    assert heard == [103]


@every_loop
def test_a_prompt_iterator_lets_others_run_and_is_stopped(
    fault_server: FaultServer, loop: str, census: Watch
) -> None:
    """Neither the iterator nor the peer makes a pause."""
    fault_server.on("/live", refuses, early=True)

    async def endless() -> AsyncIterator[bytes]:
        yield b"first"
        while True:
            yield b"x" * 1000

    async def main() -> None:
        response = await sent(f"{fault_server.url}/live", endless())
        assert response.status_code == 401

    run(main(), LOOPS[loop])


@pytest.mark.parametrize("attempt", range(5))
@every_loop
def test_a_reset_is_one_error_though_the_listener_and_the_sender_meet_it(
    fault_server: FaultServer,
    loop: str,
    attempt: int,
    census: Watch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It wakes both in the same turn of the loop, of which trio chooses the order at random."""
    reported: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lambda about: reported.append(about.exc_value))

    def resets(peer: Peer, request: Request) -> Ending:
        until_first(peer)
        peer.wait(0.01)  # Until the sender waits for room.
        return "reset"

    fault_server.on("/live", resets, early=True)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        yield bytes(20_000_000)

    async def main() -> None:
        with pytest.raises(adieu.TransportError):
            await sent(f"{fault_server.url}/live", pieces())

    run(main(), LOOPS[loop])
    assert reported == []


@pytest.mark.parametrize("end", ["refusal", "time"])
@every_loop
def test_an_iterator_that_refuses_to_be_cancelled_is_asked_for_no_more(
    fault_server: FaultServer,
    loop: str,
    end: str,
    census: Watch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault_server.on("/live", refuses, early=True)
    asked: list[str] = []
    reported: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lambda about: reported.append(about.exc_value))

    class Stubborn:
        def __aiter__(self) -> Stubborn:
            return self

        async def __anext__(self) -> bytes:
            asked.append("piece")
            if len(asked) == 1:
                return b"first"
            try:
                await sleep(SILENCE)
            except BaseException as error:
                if in_trio():
                    raise
                asked.append(type(error).__name__)
            return b"more"

    async def main() -> None:
        if end == "refusal":
            response = await sent(f"{fault_server.url}/live", Stubborn())
            assert response.status_code == 401
        else:
            for seconds in growing(0.1):
                asked.clear()
                timeout = adieu.Timeout(total=seconds)
                with pytest.raises(adieu.DeadlineExceeded):
                    await sent(f"{fault_server.url}/echo", Stubborn(), timeout=timeout)
                if len(asked) >= 2:
                    break
        assert asked[:2] == ["piece", "piece"]
        assert asked[2:] in ([], ["CancelledError"])

    run(main(), LOOPS[loop])
    assert reported == []


@every_loop
def test_the_answer_counts_and_not_an_error_of_the_clean_up(
    fault_server: FaultServer, loop: str, census: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault_server.on("/live", refuses, early=True)
    reported: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lambda about: reported.append(about.exc_type))

    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        try:
            await sleep(SILENCE)
        finally:
            raise OSError("the microphone is broken")

    async def main() -> None:
        response = await sent(f"{fault_server.url}/live", pieces())
        assert response.status_code == 401

    run(main(), LOOPS[loop])
    assert reported == [adieu.ContentError]


@every_loop
def test_an_error_of_the_iterator_is_the_users_own(
    fault_server: FaultServer, loop: str, census: Watch
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        await sleep(0.001)
        raise OSError("the microphone is broken")

    async def main() -> None:
        with pytest.raises(adieu.ContentError, match="the microphone is broken"):
            await sent(f"{fault_server.url}/echo", pieces())

    run(main(), LOOPS[loop])


@every_loop
def test_a_cancelled_call_ends_its_iterator_and_leaves_no_task(
    fault_server: FaultServer, loop: str, census: Watch
) -> None:
    live = Live()

    async def main() -> None:
        async with adieu.AsyncClient() as client:
            call = spawn(client.post(f"{fault_server.url}/echo", content=live.pieces))
            while not fault_server.served:
                await sleep(0.001)
            call.cancel()
            await wait([call])
            await settle()
            assert client.connections() == []
        assert live.ended

    run(main(), LOOPS[loop])


@every_loop
def test_the_iterator_runs_in_the_task_and_the_context_of_the_call(
    fault_server: FaultServer, loop: str, census: Watch
) -> None:
    """Database sessions and the like are bound to their task; scopes may be open around a `yield`."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    def current_task() -> object:
        if in_trio():
            import trio

            return trio.lowlevel.current_task()
        return asyncio.current_task()

    async def main() -> None:
        task = current_task()

        async def pieces() -> AsyncIterator[bytes]:
            with scope():
                for index in range(3):
                    assert current_task() is task
                    variable.set(f"set {index}")
                    yield b"%d" % index
                    await sleep(0.001)

        response = await sent(f"{fault_server.url}/echo", pieces())
        assert response.json()["body"] == "012"
        assert variable.get() == "set 2"

    run(main(), LOOPS[loop])


@every_loop
def test_interim_answers_are_told_in_the_context_of_the_call(
    fault_server: FaultServer, loop: str, census: Watch
) -> None:
    """Where a tracer keeps its span, for instance."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    heard: list[str | None] = []

    class Interim(adieu.Events):
        def informational(self, event: Informational) -> None:
            heard.append(variable.get(None))

    def hints(peer: Peer, request: Request) -> Ending:
        peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        peer.read_body(request)
        peer.reply(200, b"")
        return "keep"

    fault_server.on("/live", hints, early=True)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        while not heard:
            await sleep(0.001)

    async def main() -> None:
        variable.set("the call's")
        await sent(f"{fault_server.url}/live", pieces(), events=Interim())

    run(main(), LOOPS[loop])
    assert heard == ["the call's"]


def scope() -> Any:
    """A cancel scope of the library in use."""
    import anyio

    return anyio.CancelScope()


@every_loop
def test_a_stream_that_does_not_tell_when_input_comes_is_looked_at(
    fault_server: FaultServer, loop: str, census: Watch
) -> None:
    """A wire of a user's, whose stream has no more than what it must have."""
    fault_server.on("/live", refuses, early=True)
    live = Live()
    adapter = AsyncNativeAdapter(DelayedWire(), limits=adieu.Limits(connections=1))

    async def main() -> None:
        response = await sent(f"{fault_server.url}/live", live.pieces, adapter=adapter, limits=None)
        assert response.status_code == 401

    run(main(), LOOPS[loop])
