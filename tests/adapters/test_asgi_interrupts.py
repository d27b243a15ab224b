"""Ctrl-C in the client's code, at random moments: no app goes on running, and the content is closed.

An interrupt in the code of asyncio itself ends the loop's bookkeeping in the middle, which nobody can put right. So the
steps of the client's task are interrupted, one by one, and the loop goes on without having seen it, as in a notebook.
"""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

import adieu
from adieu_asgi import AsyncASGIAdapter
from adieu_asgi.waiting import Changes
from support.alarm import HAS_ALARMS, Alarm, fell_before
from support.stage import drop

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

pytestmark = [
    pytest.mark.lifecycle,
    pytest.mark.skipif(not HAS_ALARMS, reason="this platform has no interval timers"),
]

# More than an app needs to notice that its client has left, and to end.
_TURNS = 50


class App:
    """Reads the content, answers in pieces, and counts its calls."""

    running = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.running += 1
        try:
            while (await receive()).get("more_body"):
                pass
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(5):
                await send({"type": "http.response.body", "body": b"x" * 100, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            self.running -= 1


class Content:
    """Two pieces. `begun` has those whose first piece was asked for, and that are not closed."""

    begun: ClassVar[set[Content]] = set()

    def __init__(self) -> None:
        self._left = 2

    def __aiter__(self) -> Content:
        return self

    async def __anext__(self) -> bytes:
        Content.begun.add(self)
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        await asyncio.sleep(0)
        return b"c" * 10

    async def aclose(self) -> None:
        Content.begun.discard(self)


class Interrupted:
    """Awaits a coroutine; each of its steps may be interrupted, which ends it. The result is the interrupt, or None."""

    def __init__(self, coroutine: Coroutine[Any, Any, object], alarm: Alarm) -> None:
        self._coroutine: Any = coroutine
        self._alarm = alarm

    def __await__(self) -> Generator[Any, Any, KeyboardInterrupt | None]:
        waits_for: list[Any] = []
        # Out of which it is taken: this frame is in its traceback, and must not refer to it.
        interrupts: list[KeyboardInterrupt] = []

        def step() -> None:
            waits_for.append(self._coroutine.send(None))

        try:
            while True:
                interrupts += filter(None, [self._alarm.call(step)])
                if interrupts:
                    if self._coroutine.cr_frame is not None:
                        self._coroutine.throw(interrupts.pop())  # It fell between two steps.
                    return interrupts.pop()
                yield waits_for.pop()
        except StopIteration:
            return None
        except KeyboardInterrupt as interrupt:
            return interrupt


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
@pytest.mark.parametrize("streamed", [False, True], ids=["read", "left"])
def test_after_an_interrupt_no_app_is_running_and_the_content_is_closed(streamed: bool) -> None:
    app = App()

    async def play(client: adieu.AsyncClient) -> None:
        if not streamed:
            await client.post("/", content=Content())
            return
        async with client.stream("POST", "/", content=Content()) as response:
            await anext(response.iter_bytes())

    async def main() -> None:
        adapter = AsyncASGIAdapter(app, lifespan="off")
        with Alarm(531, 1e-4, "asyncio") as alarm:
            async with adieu.AsyncClient("http://app.test", adapter=adapter) as client:
                for _ in alarm.rounds(300):
                    interrupt = await Interrupted(play(client), alarm)
                    where = ""
                    if interrupt is not None:
                        last = traceback.extract_tb(interrupt.__traceback__)[-2]
                        where = str(last)
                        if last.name == "play" or fell_before(interrupt, "__aenter__", "__aexit__"):
                            interrupt = None  # Before or after a block, whose response is only dropped then.
                            drop()
                    for _ in range(_TURNS):
                        await asyncio.sleep(0)
                    assert (app.running, Content.begun) == (0, set()), where
                    assert len(asyncio.all_tasks()) == 1, where
                    del interrupt

    asyncio.run(main())


def test_an_interrupt_in_a_notification_loses_no_waiting_task() -> None:
    interrupts = iter([KeyboardInterrupt])

    class Waiting(asyncio.Future[None]):
        def set_result(self, result: None) -> None:
            super().set_result(result)
            for interrupt in interrupts:
                raise interrupt

    async def main() -> None:
        changes = Changes(asyncio.get_running_loop())
        holds: list[bool] = []
        tasks = [asyncio.create_task(changes.until(lambda: bool(holds))) for _ in range(2)]
        await asyncio.sleep(0)
        changes._waiting.append(Waiting())
        holds.append(True)
        with pytest.raises(KeyboardInterrupt):
            changes.notify()
        changes.notify()  # As the end of the lease does.
        await asyncio.wait_for(asyncio.gather(*tasks), 30)
        assert changes._waiting == []

    asyncio.run(main())
