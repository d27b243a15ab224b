"""All parsers together: any bytes as the reply of a server to a client that uses everything."""

from __future__ import annotations

import contextlib

import adieu
from adieu.http1.adapter import HTTP1Adapter
from support.replay import ReplayWire

__all__ = ["check_reply"]

_URL = adieu.URL("http://example.org/a/b")


def check_reply(reply: bytes, piece: int) -> None:
    """It is a response or an error of adieu, in a client with redirects, retries, Digest, cookies and content codings.

    Each read of the client gets at most `piece` bytes, and no connection may stay in use.
    """
    wire = ReplayWire(reply, piece)
    retry = adieu.Retry(1, backoff=0, budget=None)
    with adieu.Client(adapter=HTTP1Adapter(wire), retry=retry, max_redirects=2) as client:
        for method in ("GET", "HEAD", "POST"):
            with contextlib.suppress(adieu.AdieuError):
                _parse_all_parts(client.request(method, _URL, auth=adieu.DigestAuth("u", "p")))
        assert not [line for line in client.connections() if line.state != "idle"]
    assert all(stream.closed for stream in wire.streams)


def _parse_all_parts(response: adieu.Response) -> None:
    """Call everything that parses a part of the response."""
    if response.upgraded is not None:
        response.upgraded.close()
    parts = (response.json, response.raise_for_status, lambda: list(response.iter_events()))
    for part in (*parts, lambda: response.text, lambda: response.links, lambda: response.trailers):
        try:
            part()
        except adieu.AdieuError as error:
            assert str(error)  # noqa: PT017 - either will do
    assert repr(response.history)
