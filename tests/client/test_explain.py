"""`client.explain()`: one page of what its connections are doing, over every adapter."""

from __future__ import annotations

import re
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from support.everywhere import stage
from support.stage import caught

if TYPE_CHECKING:
    from support.stage import Stage

__all__ = ["stage"]

pytestmark = pytest.mark.lifecycle

STREAM = adieu.ReleaseOnRead(within=0)
BIG = "/bytes?n=300000&api_key=31d4"


def told(client: Any) -> list[str]:
    """The lines of the page, without numbers of seconds, connections and ports."""
    text = re.sub(r"\d+\.\d s", "_ s", client.explain())
    return re.sub(r"connection \d+", "connection _", text).splitlines()


def test_the_page_names_what_is_in_use_idle_and_closed(stage: Stage) -> None:
    url = stage.server.url
    with stage.block(stage.client(cleanup=STREAM)) as client:
        assert told(client) == [f"{client!r}: 0 connections open, 0 in use, 0 idle"]
        stage.read(stage.get(client, "/ok"))
        line = sys._getframe().f_lineno + 1
        held = stage.run(client.stream("GET", BIG))
        caught(adieu.PeerClosed, stage.get, client, "/close")
        title, *lines = told(client)
        assert title == f"{client!r}: 1 connection open, 1 in use, 0 idle"
        assert lines[0] == "in use:"
        place = stage.runner.opened_at(rf"\S+test_explain\.py:{line} in \w+")
        uses = "1 request" if stage.adapter == "close" else "2 requests"
        assert re.fullmatch(
            rf"  connection _ to {url}: GET {url}/bytes\?n=300000&api_key=\*\*\* holds connection _ for _ s, "
            rf"opened at \S*{place}; open for _ s, {uses}",
            lines[1],
        )
        closed = f"  connection _ to {url}: PeerClosed, _ s ago, after 1 request in _ s"
        assert lines[2:4] == ["closed lately:", closed]
        stage.read(held)
        idle = f"  connection _ to {url}: idle for _ s; open for _ s, 2 requests"
        if stage.adapter != "close":
            assert told(client)[1:3] == ["idle:", idle]
    assert "client closed" in client.explain() or stage.adapter == "close"


def names_the_call(pages: list[list[str]], client: Any) -> bool:
    """Take one more page; whether a request waits, as it does a moment after its call."""
    pages.append(told(client))
    return any("called at" in line for line in pages[-1])


def test_what_waits_is_named_with_the_line_that_called(stage: Stage) -> None:
    with stage.block(stage.one(cleanup=STREAM)) as client:
        held = stage.run(client.stream("GET", BIG))
        waiting = threading.Thread(target=lambda: stage.get(client, "/ok?token=31d4"))
        waiting.start()
        try:
            pages: list[list[str]] = []
            stage.server.wait_until(lambda: names_the_call(pages, client))
            error = caught(
                adieu.PoolTimeout, stage.get, client, "/ok", timeout=adieu.Timeout(pool=0.05)
            )
        finally:
            stage.run(held.close())
            waiting.join(30)
    at = pages[-1].index("waiting for a connection:") + 1
    assert re.fullmatch(
        r"  GET \S+/ok\?token=\*\*\* waits, _ s after its call began, called at \S+ in \w+",
        pages[-1][at],
    )
    assert "1 other request waited too" in str(error)


def test_a_full_pool_says_what_it_closed_last(stage: Stage) -> None:
    with stage.block(stage.one(cleanup=STREAM)) as client:
        caught(adieu.PeerClosed, stage.get, client, "/close")
        held = stage.run(client.stream("GET", BIG))
        error = caught(
            adieu.PoolTimeout, stage.get, client, "/ok", timeout=adieu.Timeout(pool=0.05)
        )
        stage.run(held.close())
    assert re.search(r"\. closed last was connection \d+ to \S+: PeerClosed, ", str(error))


def test_responses_without_a_connection_are_named_too() -> None:
    answer = adieu.adapter(lambda request: adieu.Response(200, body=iter([b"a", b"b"])))
    with adieu.Client(adapter=answer, cleanup=STREAM) as client:
        with client.stream("GET", "memory://host/?api_key=31d4"):
            title, *lines = told(client)
        assert title.endswith(": 0 connections open, 0 in use, 0 idle")
        assert lines[0] == "open, without a connection:"
        assert re.fullmatch(
            r"  GET memory://host/\?api_key=\*\*\*, _ s after its call began, opened at \S+test_explain\.py:\d+ in \w+",
            lines[1],
        )
        assert len(told(client)) == 1


def test_an_adapter_of_ones_own_shows_its_connections() -> None:
    class Mine(adieu.AdapterBase):
        def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
            return exchange.respond(200, body=b"")

        def close(self) -> None:
            pass

        def connections(self) -> list[adieu.ConnectionInfo]:
            return [adieu.ConnectionInfo(7, "mine://host", "idle", 2.0, 3, 1.0, None)]

    with adieu.Client(adapter=adieu.Middleware(Mine())) as client:
        client.get("mine://host/")
        assert told(client)[1:] == [
            "idle:",
            "  connection _ to mine://host: idle for _ s; open for _ s, 3 requests",
        ]


def test_a_long_page_is_cut() -> None:
    class Many(adieu.AdapterBase):
        def send(self, request: adieu.Request, exchange: adieu.Exchange) -> adieu.Response:
            return exchange.respond(200, body=b"")

        def close(self) -> None:
            pass

        def connections(self) -> list[adieu.ConnectionInfo]:
            line = adieu.ConnectionInfo(7, "mine://host", "idle", 2.0, 3, 1.0, None)
            return [line] * 60

    with adieu.Client(adapter=Many()) as client:
        client.get("mine://host/")
        assert len(told(client)) == 53
        assert told(client)[-1] == "  and 10 more"
