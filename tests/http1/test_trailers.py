"""Trailer fields: available after the end of the body, apart from the head (RFC 9110, section 6.5)."""

from __future__ import annotations

import hashlib
import io
import zlib
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing.faults import payload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing.faults import Ending, Peer, Request
    from support.stage import Stage


@pytest.mark.parametrize("n", [10, 300_000])
@pytest.mark.parametrize("policy", [adieu.Prefetch(), adieu.ReleaseOnRead(), adieu.CloseOnExit()])
def test_trailers_are_there_when_the_body_has_ended(
    stage: Stage, policy: adieu.CleanupPolicy, n: int
) -> None:
    with stage.block(stage.one(cleanup=policy)) as client:
        for _ in range(2):
            response = stage.get(client, f"/chunked?n={n}&size=60000&trailers=1")
            assert zlib.crc32(stage.read(response)) == int(response.trailers["X-Checksum"])
            assert response.trailers.multi_items()[1] == ("x-second", "2")
            assert "x-checksum" not in response.headers
        # The next response on the same connection has none.
        response = stage.get(client, "/chunked?n=10")
        stage.read(response)
        assert not response.trailers
        stage.next_works(client)


def test_before_the_end_of_the_body_there_are_none(stage: Stage) -> None:
    with stage.block(stage.one()) as client:
        url = "/chunked?n=300000&size=60000&trailers=1"
        with stage.block(client.stream("GET", url)) as response:
            pieces = stage.runner.each(response.iter_bytes())
            first = next(pieces)
            assert not response.trailers
            rest = b"".join(pieces)
            assert int(response.trailers["x-checksum"]) == zlib.crc32(payload(300_000))
            assert len(first) + len(rest) == 300_000
        assert response.trailers["x-second"] == "2"


def test_fields_that_frame_or_describe_a_message_are_ignored(stage: Stage) -> None:
    stage.server.reply(
        "/sly",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
        b"Content-Length: 5\r\nSet-Cookie: a=b\r\nContent-Type: text/html\r\nX-Good: 1\r\n\r\n",
    )
    with stage.block(stage.one()) as client:
        response = stage.get(client, "/sly")
        assert response.content == b"ok"
        assert response.trailers.multi_items() == [("X-Good", "1")]
        assert [name for name, _ in response.headers.multi_items()] == ["Transfer-Encoding"]
        stage.next_works(client)


def test_a_response_made_by_hand_has_none() -> None:
    assert not adieu.Response(200, body=b"x").trailers


# Sent


def raw_request(stage: Stage) -> list[bytes]:
    """The received bytes of the requests for /raw."""
    came: list[bytes] = []

    def reads(peer: Peer, request: Request) -> Ending:
        body = b""
        while not body.endswith(b"\r\n\r\n"):
            body += peer.read_raw()
        came.append(body)
        peer.reply(200, b"thanks")
        return "keep"

    stage.server.on("/raw", reads, early=True)
    return came


@pytest.mark.needs("sending trailers")
def test_trailers_follow_the_content(stage: Stage) -> None:
    came = raw_request(stage)
    with stage.block(stage.one()) as client:
        for content in (b"abc", [b"abc"], io.BytesIO(b"abc")):
            trailers = {"X-Sum": "900150983cd24fb0", "x-two": "2"}
            assert stage.get(client, "/raw", "PUT", content=content, trailers=trailers).ok
        stage.next_works(client)
    assert set(came) == {b"3\r\nabc\r\n0\r\nX-Sum: 900150983cd24fb0\r\nx-two: 2\r\n\r\n"}
    for request in stage.server.requests[:3]:
        assert request.header("trailer") == "X-Sum, x-two"
        assert request.header("transfer-encoding") == "chunked"
        assert request.header("content-length") is None


@pytest.mark.needs("sending trailers")
def test_a_function_returns_them_after_the_content_was_sent(stage: Stage) -> None:
    came = raw_request(stage)
    digest = hashlib.md5(usedforsecurity=False)

    def pieces() -> Iterator[bytes]:
        for piece in (b"a" * 10, b"b" * 10):
            digest.update(piece)
            yield piece

    with stage.block(stage.one()) as client:
        sums = {"headers": {"Trailer": "x-md5"}, "trailers": lambda: {"x-md5": digest.hexdigest()}}
        assert stage.get(client, "/raw", "PUT", content=pieces(), **sums).ok
        stage.next_works(client)
    whole = hashlib.md5(b"a" * 10 + b"b" * 10, usedforsecurity=False).hexdigest()
    assert came[0].endswith(b"\r\n0\r\nx-md5: %b\r\n\r\n" % whole.encode())
    assert stage.server.requests[0].header("trailer") == "x-md5"


@pytest.mark.needs("sending trailers")
def test_a_redirect_sends_them_again(stage: Stage) -> None:
    came = raw_request(stage)
    with stage.block(stage.one()) as client:
        url = "/redirect?status=307&to=/raw"
        assert stage.get(client, url, "PUT", content=b"a", trailers={"x": "y"}).ok
    assert came == [b"1\r\na\r\n0\r\nx: y\r\n\r\n"]


@pytest.mark.needs("sending trailers")
def test_an_error_or_a_wrong_result_of_the_function_ends_the_exchange(stage: Stage) -> None:
    with stage.block(stage.one()) as client:
        with pytest.raises(adieu.ContentError, match="ZeroDivisionError"):
            stage.get(client, "/ok", "PUT", content=b"a", trailers=lambda: 1 / 0)
        with pytest.raises(adieu.InvalidRequest, match="Content-Length cannot be a trailer"):
            stage.get(client, "/ok", "PUT", content=b"a", trailers=lambda: {"Content-Length": "1"})
        stage.next_works(client)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"content": b"a", "trailers": {"Host": "a"}}, "Host cannot be a trailer"),
        ({"content": b"a", "trailers": {"x": "a\r\nb: c"}}, "U\\+000D at position 1"),
        ({"content": b"a", "trailers": {"x y": "a"}}, "field name"),
        ({"trailers": {"x": "a"}}, "trailers= come after content, and this request has none"),
    ],
)
def test_an_invalid_trailer_is_refused_before_anything_is_sent(
    options: dict[str, Any], text: str
) -> None:
    with pytest.raises(adieu.InvalidRequest, match=text):
        adieu.Request("PUT", "http://a/", **options)
