"""One reader and many writers at once, the end in the middle of them, cancellations, and many connections."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from support.stage import caught, eventually
from support.steering import LOOPS, gather, limited, run, sleep, spawn
from support.threads import BackgroundCall
from support.websockets import BINARY, CLOSE, TEXT, Sockets, frame

if TYPE_CHECKING:
    from adieu.testing.faults import Ending, FaultServer, Peer
    from servers import TLSServer
    from support.watch import Watch

BIG = bytes(3_000_000)


# Threads


def test_a_thread_sends_while_another_one_receives(
    fault_server: FaultServer, census: Watch
) -> None:
    Sockets(fault_server)
    with adieu.Client(fault_server.url) as client, client.websocket("/ws") as ws:
        reader = BackgroundCall(lambda: [ws.receive() for _ in range(60)])
        reader.wait_until_in("recv")
        caught(adieu.BodyBusy, ws.receive)
        writers = [
            BackgroundCall(lambda nth=nth: [ws.send(f"{nth} {i}") for i in range(20)])  # type: ignore[misc, func-returns-value]
            for nth in range(3)
        ]
        for writer in writers:
            assert writer.finished() == [None] * 20
        received: Any = reader.finished()
        for nth in range(3):
            # Each thread's messages come in their order.
            mine = [text for text in received if text.startswith(f"{nth} ")]
            assert mine == [f"{nth} {i}" for i in range(20)]


def test_a_reader_that_answers_pings_does_not_wait_for_a_writer(
    fault_server: FaultServer, census: Watch
) -> None:
    """The server reads nothing until its messages have been received: a reader that waited would never end."""
    sockets = Sockets(fault_server)

    def stubborn(peer: Peer) -> Ending:
        for _ in range(40):
            peer.send(frame(9, b"ping") + frame(BINARY, bytes(100_000)))
        size = 0
        while size < len(BIG):
            size += len(peer.read_raw())
        peer.send(frame(TEXT, b"done"))
        while peer.read_raw():  # With unread bytes the end would be an RST.
            pass
        return "close"

    sockets.does("/stubborn", stubborn)
    with (
        adieu.Client(fault_server.url) as client,
        client.websocket("/stubborn", compression=False, cleanup=adieu.CloseOnExit()) as ws,
    ):
        writer = BackgroundCall(lambda: ws.send(BIG))
        for _ in range(40):
            assert len(ws.receive(30)) == 100_000
        assert ws.receive(30) == "done"
        assert writer.finished() is None


def test_a_server_that_takes_nothing_ends_the_send(
    fault_server: FaultServer, census: Watch
) -> None:
    sockets = Sockets(fault_server)
    sockets.does("/full", lambda peer: peer.wait(60))  # type: ignore[arg-type, return-value]
    timeout = adieu.Timeout(write=0.05)
    with (
        adieu.Client(fault_server.url, timeout=timeout) as client,
        client.websocket("/full", compression=False) as ws,
    ):
        error = caught(adieu.WriteTimeout, ws.send, bytes(30_000_000))
        assert isinstance(error, adieu.WriteTimeout)
        assert (error.limit, error.method) == (0.05, "GET")
        caught(adieu.WebSocketClosed, ws.send, "more")


def test_close_in_one_thread_ends_the_receive_of_another(
    fault_server: FaultServer, census: Watch
) -> None:
    sockets = Sockets(fault_server)
    with adieu.Client(fault_server.url) as client:
        ws = client.websocket("/ws")
        reader = BackgroundCall(ws.receive)
        reader.wait_until_in("recv")
        ws.close(4001, "over")
        error = reader.finished()
        assert isinstance(error, adieu.WebSocketClosed)
        assert (error.code, error.sent_code) == (4001, 4001)
        assert sockets.closed == [(4001, "over")]
        # A server that does not answer: the reader is woken when the patience of the policy is over.
        sockets.says("/silent")
        ws = client.websocket("/silent", cleanup=adieu.CloseOnExit())
        reader = BackgroundCall(ws.receive)
        reader.wait_until_in("recv")
        ws.close()
        assert isinstance(reader.finished(), adieu.WebSocketClosed)
        ws = client.websocket("/silent")
        reader = BackgroundCall(ws.receive)
        reader.wait_until_in("recv")
        client.close()
        assert isinstance(reader.finished(), adieu.ClientClosed)
    census.check()


# Tasks


@pytest.mark.parametrize("loop", LOOPS)
def test_tasks_send_and_receive_at_once(
    fault_server: FaultServer, census: Watch, loop: str
) -> None:
    sockets = Sockets(fault_server)

    async def main() -> None:
        async with adieu.AsyncClient(fault_server.url) as client:
            async with client.websocket("/ws", max_message=None) as ws:
                reading = spawn(_all(ws, 33))
                while not ws._session.is_being_read:  # Trio begins tasks in any order.
                    await sleep(0)
                with pytest.raises(adieu.BodyBusy):
                    await ws.receive()
                messages = [bytes([nth]) * 200_000 for nth in range(33)]
                await gather(*(ws.send(message) for message in messages))
                assert sorted(await reading) == messages
            assert sockets.closed == [(1000, "")]

    run(main(), LOOPS[loop])


async def _all(ws: adieu.AsyncWebSocket, count: int) -> list[str | bytes]:
    return [await ws.receive() for _ in range(count)]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_cancelled_receive_loses_nothing(
    fault_server: FaultServer, census: Watch, loop: str
) -> None:
    sockets = Sockets(fault_server)

    def drips(peer: Peer) -> Ending:
        for nth in range(50):
            data = frame(9, b"p") + frame(TEXT, b"%d" % nth)
            peer.send(data[:4])
            peer.wait(0.001)
            peer.send(data[4:])
        peer.send(frame(CLOSE, b"\x03\xe8"))
        while peer.read_raw():
            pass
        return "close"

    sockets.does("/drips", drips)

    async def main() -> None:
        received: list[str | bytes] = []
        ends: list[bool] = []
        async with adieu.AsyncClient(fault_server.url) as client, client.websocket("/drips") as ws:
            while not ends:
                try:
                    received.append(await limited(ws.receive(), 0.0005))
                except asyncio.TimeoutError:
                    continue
                except adieu.WebSocketClosed as error:
                    ends.append(error.is_clean)
                    break
        assert received == [str(nth) for nth in range(50)]
        assert ends == [True]

    run(main(), LOOPS[loop])


@pytest.mark.parametrize("loop", LOOPS)
def test_a_send_that_is_cancelled_in_its_middle_ends_the_websocket(
    fault_server: FaultServer, census: Watch, loop: str
) -> None:
    sockets = Sockets(fault_server)
    sockets.does("/full", lambda peer: peer.wait(60))  # type: ignore[arg-type, return-value]

    async def main() -> None:
        async with adieu.AsyncClient(fault_server.url) as client:
            ws = await client.websocket("/full", compression=False)
            sending = spawn(ws.send(bytes(30_000_000)))
            waiting = spawn(ws.send("next in line"))
            for _ in range(5):
                await sleep(0)
            waiting.cancel()
            await gather(waiting, return_exceptions=True)
            assert (ws.state, sending.done()) == ("open", False)
            sending.cancel()
            await gather(sending, return_exceptions=True)
            assert (ws.state, sending.done()) == ("closed", True)
            census.check()
            with pytest.raises(adieu.WebSocketClosed):
                await ws.send("more")

    run(main(), LOOPS[loop])


@pytest.mark.parametrize("loop", LOOPS)
def test_a_cancelled_block_closes_at_once(
    fault_server: FaultServer, census: Watch, loop: str
) -> None:
    sockets = Sockets(fault_server)
    sockets.says("/silent")

    async def main() -> None:
        async with adieu.AsyncClient(fault_server.url) as client:

            async def block() -> None:
                async with client.websocket("/silent") as ws:
                    opened.append(ws)
                    await ws.receive()

            opened: list[Any] = []
            task = spawn(block())
            while not opened:
                await sleep(0.001)
            await sleep(0)
            task.cancel()
            await gather(task, return_exceptions=True)
            assert opened[0].state == "closed"
            census.check()

    run(main(), LOOPS[loop])


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("tls", [False, True])
def test_closing_the_client_ends_the_receive_of_a_task(
    fault_server: FaultServer, tls_server: TLSServer, census: Watch, loop: str, tls: bool
) -> None:
    sockets = Sockets(tls_server.server if tls else fault_server)

    async def main() -> None:
        context = tls_server.client_context
        async with adieu.AsyncClient(sockets.server.url, verify=context) as client:
            ws = await client.websocket("/ws")
            reading = spawn(ws.receive())
            await sleep(
                0.01
            )  # A turn of the stream's is over: a send would let the other tasks run first.
            await client.close()
            (error,) = await gather(reading, return_exceptions=True)
            assert isinstance(error, adieu.ClientClosed)
            census.check()

    run(main(), LOOPS[loop])
    eventually(lambda: sockets.closed == [(1001, "")])
