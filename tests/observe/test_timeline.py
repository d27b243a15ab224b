"""`adieu.timeline(client)`: what real requests over real sockets did, on every adapter, sync and async."""

from __future__ import annotations

import pickle
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.observe.picture import End
from support.stage import caught, drop, growing

if TYPE_CHECKING:
    from pathlib import Path

    from adieu.testing import FaultServer
    from servers import TLSServer
    from support.stage import Stage


def test_requests_share_connections_as_the_adapter_has_it(stage: Stage) -> None:
    client = stage.client()
    with stage.block(client), adieu.timeline(client) as timeline:
        stage.get(client, "/ok")
        stage.get(client, "/redirect?n=1")
        stage.get(client, "/bytes?n=100000")
    picture = timeline.picture()
    assert [bar.status for bar in picture.bars] == [200, 302, 200, 200]
    assert [bar.hop for bar in picture.bars] == [0, 0, 1, 0]
    assert picture.bars[-1].received == 100_000
    connections = 4 if stage.adapter == "close" else 1
    assert len(picture.tracks) == connections
    assert picture.title.startswith(f"4 requests over {counted(connections)} in ")
    for bar in picture.bars:
        names = [phase.name for phase in bar.phases]
        assert names[-2:] == ["answer", "body"]
        assert all(phase.begin <= phase.end for phase in bar.phases)
        assert re.search(stage.runner.opened_at("stage.py"), bar.opened_at or "")


def counted(connections: int) -> str:
    return "1 connection" if connections == 1 else f"{connections} connections"


def test_leaks_and_failures_stand_out(stage: Stage) -> None:
    client = stage.client(cleanup=adieu.ReleaseOnRead())
    with stage.block(client), adieu.timeline(client) as timeline:
        request = client.build_request("GET", "/bytes?n=5000000")
        response = stage.run(client.send(request, stream=True))
        assert timeline.picture().bars[0].ended is End.OPEN
        with pytest.warns(ResourceWarning, match="dropped unread"):  # noqa: PT031
            del response
            drop()
            stage.runner.settle()
        with pytest.raises(adieu.ReadTimeout):
            stage.get(client, "/stall-head", timeout=adieu.Timeout(read=0.05))
    first, second = timeline.picture().bars
    assert (first.ended, second.error) == (End.LEAKED, "ReadTimeout")
    assert re.search(stage.runner.opened_at("test_timeline.py"), first.opened_at or "")
    text = timeline.text(80)
    assert "LEAKED: dropped unread, opened at " in text
    assert "ReadTimeout" in text
    assert "LEAKED" in timeline.html()


def _with_broken_bodies(stage: Stage, read: float) -> tuple[adieu.Timeline, adieu.HAR]:
    client = stage.client(cleanup=adieu.Prefetch())
    with stage.block(client), adieu.timeline(client) as timeline, adieu.har(client) as har:
        caught(adieu.BodyTruncated, stage.get, client, "/truncated")
        limit = adieu.Timeout(read=read)
        caught(adieu.ReadTimeout, stage.get, client, "/stall-body", timeout=limit)
        caught(adieu.BodyTooLarge, stage.get, client, "/bytes?n=5000000", max_body=1000)
        left = stage.run(client.stream("GET", "/bytes?n=5000000", cleanup=adieu.ReleaseOnRead()))
        stage.run(left.close())
        stage.get(client, "/ok")
    return timeline, har


def test_a_body_that_breaks_is_a_failure_and_one_that_is_left_is_none(stage: Stage) -> None:
    timeline, har = next(
        seen
        for seen in (_with_broken_bodies(stage, read) for read in growing(0.05))
        # The limit has ended the wait for the body, not that for the head.
        if seen[0].picture().bars[1].status is not None
    )
    picture = timeline.picture()
    errors = ["BodyTruncated", "ReadTimeout", "BodyTooLarge", None, None]
    assert [(bar.status, bar.error) for bar in picture.bars] == [(200, each) for each in errors]
    assert [bar.is_problem for bar in picture.bars] == [each is not None for each in errors]
    assert "3 failed" in picture.summary
    marks = ["!" in line for line in timeline.text(120).splitlines()]
    assert marks.count(True) == 4  # The legend is one.
    assert "200 BodyTruncated" in timeline.text(120)
    assert "200 BodyTruncated" in timeline.html()
    entries: Any = har.log()["log"]
    assert [entry["response"].get("_error") for entry in entries["entries"]] == errors


def test_it_stops_with_its_block_and_leaves_other_listeners(fault_server: FaultServer) -> None:
    other = adieu.Events()
    with adieu.Client(fault_server.url, events=other) as client:
        with adieu.timeline(client) as timeline:
            client.get("/ok")
            assert list(client.events) == [other, timeline]
        assert list(client.events) == [other]
        count = len(timeline)
        client.get("/ok")
        assert len(timeline) == count > 0
        timeline.clear()
        assert timeline.picture().tracks == ()


def test_a_page_and_a_text_are_written(tmp_path: Path) -> None:
    timeline = adieu.Timeline()
    with client_of_a_function(timeline) as client:
        client.get("/<script>alert(1)</script>?a=\"'&token=31d4")
    timeline.save(tmp_path / "timeline.html")
    page = (tmp_path / "timeline.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "<script>alert" not in page
    assert "31d4" not in page
    assert "without a connection" in page
    assert "without a connection" in str(timeline)
    assert repr(timeline).startswith("<Timeline: ")


def client_of_a_function(timeline: adieu.Timeline) -> adieu.Client:
    return adieu.Client(
        "https://api.example.org", adapter=lambda _: adieu.Response(204), events=timeline
    )


def test_it_keeps_the_newest_events() -> None:
    timeline = adieu.Timeline(most=50)
    with client_of_a_function(timeline) as client:
        for number in range(100):
            client.get(f"/{number}")
    assert len(timeline) <= 50
    picture = timeline.picture()
    assert picture.bars[-1].url.endswith("/99")
    assert f"the oldest {picture.dropped} events not shown" in picture.summary


@pytest.mark.parametrize("most", [0, -1, True, 2.5, None])
def test_a_wrong_bound_is_refused(most: Any) -> None:
    with pytest.raises(adieu.AdieuError, match="most= is a whole number of events from 1"):
        adieu.Timeline(most=most)


def test_only_clients_are_watched() -> None:
    with pytest.raises(adieu.AdieuError, match="it watches clients of adieu, not str"):
        adieu.timeline("https://api.example.org")  # type: ignore[arg-type]


@pytest.mark.parametrize("begin", [adieu.timeline, adieu.har, adieu.OpenTelemetry.watch])
def test_without_a_client_it_says_that_it_would_record_nothing(begin: Any) -> None:
    with pytest.raises(adieu.InvalidRequest, match="there is no client to listen to"):
        begin(*([adieu.OpenTelemetry()] if begin is adieu.OpenTelemetry.watch else []))


def test_a_client_with_a_timeline_can_be_pickled() -> None:
    with adieu.Client(events=adieu.Timeline()) as client:
        pickled = pickle.dumps(client)
    with pickle.loads(pickled) as copy:
        assert [type(listener) for listener in copy.events] == [adieu.Events]


def test_a_line_is_the_users_or_none(fault_server: FaultServer) -> None:
    """Never one of the standard library that runs threads."""
    with adieu.Client(fault_server.url) as client, adieu.timeline(client) as timeline:
        with client.map(["/ok"]) as outcomes:
            assert [outcome.error for outcome in outcomes] == [None]
        thread = threading.Thread(target=client.get, args=("/ok",))
        thread.start()
        thread.join()
        client.get("/ok")
    in_map, in_thread, own = timeline.picture().bars
    assert (in_map.opened_at, in_thread.opened_at) == (None, None)
    assert "test_timeline.py" in (own.opened_at or "")


def test_every_part_of_opening_a_connection_is_a_phase(stage: Stage, tls_server: TLSServer) -> None:
    client = stage.client(base_url=f"https://localhost:{tls_server.port}", verify=tls_server.ca_pem)
    with stage.block(client), adieu.timeline(client) as timeline:
        stage.get(client, "/ok")
    (track,) = timeline.picture().tracks
    assert [phase.name for phase in track.opening] == ["dns", "tcp", "tls"]
    facts = dict(track.facts)
    assert facts["peer"].endswith(f":{tls_server.port}")
    assert facts["TLS"].startswith("TLSv1.3")
    (bar,) = track.bars
    assert track.opening[-1].end <= bar.phases[0].begin
