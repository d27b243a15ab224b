"""`max_body` limits a body that is read whole, as received and as decoded, but not a stream."""

from __future__ import annotations

import gzip
import pickle
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.messages.response import MAX_BODY, MAX_LINE

if TYPE_CHECKING:
    from support.stage import Stage

MIB = 1024 * 1024


def gzipped(data: bytes) -> bytes:
    packed = gzip.compress(data)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    return head % len(packed) + packed


BOMB = gzipped(bytes(40 * MIB))
TEXT = gzipped(b"line of text %d\n" * 5000)


@pytest.mark.parametrize("n", [1001, 200_000, 5_000_000])
@pytest.mark.parametrize("path", ["/bytes", "/chunked", "/until-close"])
def test_a_longer_body_is_refused_and_its_connection_closed(
    stage: Stage, path: str, n: int
) -> None:
    size = "&size=60000" if path == "/chunked" else ""
    with stage.block(stage.one()) as client:
        with pytest.raises(adieu.BodyTooLarge, match="more than max_body=1000; raise max_body"):
            stage.get(client, f"{path}?n={n}{size}", max_body=1000)
        assert stage.in_use(client) == []
        assert len(stage.get(client, f"{path}?n=1000{size}", max_body=1000).content) == 1000
        stage.next_works(client)


@pytest.mark.parametrize("policy", [adieu.ReleaseOnRead(), adieu.CloseOnExit()])
@pytest.mark.parametrize("n", [1001, 5_000_000])
def test_reading_a_stream_whole_is_bounded_too(stage: Stage, policy: Any, n: int) -> None:
    with stage.block(stage.one(max_body=1000, cleanup=policy)) as client:
        for path in ("/bytes", "/chunked"):
            response = stage.get(client, f"{path}?n={n}&size=60000")
            with pytest.raises(adieu.BodyTooLarge, match="more than max_body=1000"):
                stage.read(response)
            assert stage.in_use(client) == []
        stage.next_works(client)


def test_a_body_with_a_longer_announced_length_is_refused_before_it_is_read(stage: Stage) -> None:
    with stage.block(stage.one(max_body=1000)) as client:
        with pytest.raises(adieu.BodyTooLarge, match="has 2000000 bytes, more than max_body=1000"):
            # The rest never comes, and adieu does not wait for it.
            stage.get(client, "/stall-body?n=2000000&sent=0&seconds=60")
        stage.next_works(client)


def test_a_stream_has_no_bound(stage: Stage) -> None:
    stage.server.reply("/bomb", BOMB)
    with stage.block(stage.one(max_body=1000)) as client:
        for path, size in (("/bytes?n=300000", 300_000), ("/ok", 0), ("/bomb", 40 * MIB)):
            with stage.block(client.stream("GET", path)) as response:
                sizes = [len(piece) for piece in stage.runner.each(response.iter_bytes())]
            assert sum(sizes) == size or not size
            assert max(sizes) <= 256 * 1024
        stage.next_works(client)


def test_a_bomb_is_refused_by_size_and_by_ratio(stage: Stage) -> None:
    stage.server.reply("/bomb", BOMB)
    stage.server.reply("/text", TEXT)
    with stage.block(stage.one()) as client:
        with pytest.raises(adieu.BodyTooLarge, match="a decompression bomb"):
            _ = stage.get(client, "/bomb").content
        with pytest.raises(adieu.BodyTooLarge, match="decode to more than max_body=50000"):
            _ = stage.get(client, "/text", max_body=50_000).content
        assert len(stage.get(client, "/text", max_body=80_000).content) == 80_000
        assert len(stage.get(client, "/bomb", max_body=None).content) == 40 * MIB
        stage.next_works(client)


def test_the_bound_of_the_policy_and_this_one_both_hold(stage: Stage) -> None:
    with stage.block(stage.one(max_body=1000)) as client:
        with pytest.raises(adieu.BodyTooLarge, match="100 are allowed"):
            stage.get(client, "/bytes?n=5000", cleanup=adieu.Prefetch(100))
        with pytest.raises(adieu.BodyTooLarge, match="max_body=1000"):
            stage.get(client, "/bytes?n=500000", cleanup=adieu.Prefetch(1_000_000))
        # A policy that hands out longer bodies as streams still does.
        response = stage.get(client, "/bytes?n=500000", cleanup=adieu.PrefetchUpTo(1_000_000))
        assert sum(map(len, stage.runner.each(response.iter_bytes()))) == 500_000
        stage.next_works(client)


def test_there_is_a_default_and_the_call_wins_over_the_client(stage: Stage) -> None:
    assert MAX_BODY == 1024 * MIB
    with stage.block(stage.one(max_body=10)) as client:
        response = stage.get(client, "/bytes?n=1000", max_body=2000)
        assert len(response.content) == 1000
        assert response.max_body == 2000
        assert len(stage.get(client, "/bytes?n=1000", max_body=None).content) == 1000
        request = client.build_request("GET", "/bytes?n=1000")
        with pytest.raises(adieu.BodyTooLarge):
            stage.run(client.send(request))
        assert stage.run(client.send(request, max_body=1000)).ok


@pytest.mark.parametrize("bound", [-1, 1.5, "1", True])
def test_an_invalid_number_of_bytes_is_refused(bound: Any) -> None:
    with pytest.raises(adieu.InvalidRequest, match="max_body is a number of bytes, or None"):
        adieu.Client(max_body=bound)
    with adieu.Client() as client, pytest.raises(adieu.InvalidRequest, match="max_body"):
        client.get("http://127.0.0.1:1/", max_body=bound)


def test_zero_allows_empty_bodies_only(stage: Stage) -> None:
    with stage.block(stage.one(max_body=0)) as client:
        assert stage.get(client, "/empty").content == b""
        assert stage.get(client, "/bytes?n=1000", "HEAD").content == b""
        with pytest.raises(adieu.BodyTooLarge):
            stage.get(client, "/bytes?n=1")


def test_a_one_shot_function_takes_it(fault_server: Any) -> None:
    with pytest.raises(adieu.BodyTooLarge) as caught:
        adieu.get(fault_server.url + "/bytes?n=1000", max_body=999)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_body_of_tiny_chunks_that_was_read_ahead_comes_in_large_pieces(stage: Stage) -> None:
    """Each piece of a list of tiny ones is an object, and taking the first of them moves all the others."""
    chunks = b"1\r\nx\r\n" * 30_000
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    stage.server.reply("/tiny", head + chunks + b"0\r\n\r\n")
    with stage.block(stage.client()) as client:
        response = stage.get(client, "/tiny", cleanup=adieu.PrefetchUpTo(20_000))
        pieces = stage.runner.each(response.iter_raw())
        assert len(next(pieces)) > 20_000 // 2
        assert len(b"".join(pieces)) < 20_000
        stage.run(response.close())


def test_a_line_without_an_end_is_not_collected_without_a_bound(stage: Stage) -> None:
    stage.server.reply("/bomb", BOMB)
    with stage.block(stage.one()) as client:
        with stage.block(client.stream("GET", "/bomb")) as response:
            lines = stage.runner.each(response.iter_lines())
            with pytest.raises(adieu.BodyTooLarge, match=f"more than {MAX_LINE} characters"):
                next(lines)
            with pytest.raises(adieu.BodyClosed):
                next(lines)
        with stage.block(client.stream("GET", "/bomb")) as response:
            [line] = stage.runner.each(response.iter_lines(max_line=40 * MIB))
            assert len(line) == 40 * MIB
        stage.next_works(client)
