"""An incomplete body is an error, however its end is marked."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

import adieu
from adieu.messages.decoding.decoder import accept_encoding

if TYPE_CHECKING:
    from servers import TLSServer
    from support.stage import Stage

TEXT = b"line\n" * 20_000


def coded(coding: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (coding, len(body)) + body


@pytest.mark.parametrize("left", [1, 8, 9, 60])
def test_gzip_that_ends_too_early_is_an_error_read_whole_or_in_pieces(
    stage: Stage, left: int
) -> None:
    stage.server.reply("/cut", coded(b"gzip", gzip.compress(TEXT)[:-left]))
    with stage.block(stage.one()) as client:
        with pytest.raises(adieu.DecodeError, match="ended before its gzip data was complete"):
            _ = stage.get(client, "/cut").content
        with (
            stage.block(client.stream("GET", "/cut")) as response,
            pytest.raises(adieu.DecodeError, match="ended before its gzip data was complete"),
        ):
            list(stage.runner.each(response.iter_bytes()))
        stage.next_works(client)


def test_the_accepted_codings_are_those_that_are_decoded(stage: Stage) -> None:
    assert accept_encoding() == "gzip, deflate, br, zstd"
    with stage.block(stage.one()) as client:
        facts = stage.get(client, "/echo").json()
        assert dict(map(tuple, facts["headers"]))["Accept-Encoding"] == accept_encoding()


def test_tls_that_ends_without_close_notify_is_an_error_and_with_it_an_end(
    stage: Stage, tls_server: TLSServer
) -> None:
    verify = str(tls_server.ca_path)
    with stage.block(stage.one(verify=verify)) as client:
        polite = stage.get(client, f"{tls_server.url}/until-close?n=70000")
        assert len(polite.content) == 70_000
        with pytest.raises(adieu.BodyTruncated, match="after 70000 bytes"):
            stage.get(client, f"{tls_server.url}/until-close?n=70000&abrupt=1")
        with pytest.raises(adieu.BodyTruncated):
            stage.get(client, f"{tls_server.url}/truncated?n=1000&sent=500")
        stage.next_works(client)
